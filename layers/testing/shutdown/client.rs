//! As much of an HTTP/1.1 client as a drill needs.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection, and what came of the answer on it.
#[derive(Debug)]
pub(super) struct Client {
    socket: TcpStream,
    answer: Vec<u8>,
    is_closed: bool,
}

impl Client {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            socket: TcpStream::connect(address).await?,
            answer: Vec::new(),
            is_closed: false,
        })
    }

    pub(super) async fn get(address: SocketAddr, path: &str) -> io::Result<Self> {
        let mut client = Self::open(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        client.socket.write_all(request.as_bytes()).await?;
        Ok(client)
    }

    /// Reads until the head is there, or the end.
    pub(super) async fn head(&mut self) {
        while head(&self.answer).is_none() && self.read().await {}
    }

    /// Reads until the answer is whole, or the end.
    pub(super) async fn answer(&mut self) {
        while is_whole(&self.answer) != Some(true) && self.read().await {}
    }

    /// Reads until the connection is closed, by whatever means.
    pub(super) async fn closed(&mut self) {
        while self.read().await {
            self.answer.clear();
        }
    }

    /// What is wrong with what came: nothing, where it is a whole answer that is not a server's failure.
    pub(super) fn fault(&self) -> Option<String> {
        let Some(head) = head(&self.answer) else {
            return Some(format!("the connection was closed after {} bytes", self.answer.len()));
        };
        let line = head.lines().next().unwrap_or_default();
        let status = line.split(' ').nth(1).unwrap_or_default();
        if status.starts_with('5') {
            return Some(line.to_owned());
        }
        match is_whole(&self.answer) {
            Some(false) => Some(format!("{line}, and then a body that breaks off")),
            // It ends where the connection does.
            Some(true) | None => None,
        }
    }

    /// Whether all of the answer has come.
    pub(super) fn is_answered(&self) -> bool {
        is_whole(&self.answer) == Some(true)
    }

    async fn read(&mut self) -> bool {
        self.is_closed = self.is_closed || !matches!(self.socket.read_buf(&mut self.answer).await, Ok(1..));
        !self.is_closed
    }
}

fn head(answer: &[u8]) -> Option<String> {
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n")?;
    Some(String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase())
}

/// Whether the answer is there from its first byte to its last. `None`: only the end of the connection will tell.
fn is_whole(answer: &[u8]) -> Option<bool> {
    let Some(head) = head(answer) else { return Some(false) };
    let field = |name: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields
            .map(|(name, value)| (name, value.trim()))
            .find(|(is, _)| *is == name)
    };
    let body = answer.len() - head_length(answer);
    if let Some((_, length)) = field("content-length") {
        return length.parse().ok().map(|length: usize| body >= length);
    }
    if field("transfer-encoding").is_some_and(|(_, coding)| coding.ends_with("chunked")) {
        return Some(answer.ends_with(b"\r\n0\r\n\r\n"));
    }
    let has_none = [" 204", " 304"]
        .iter()
        .any(|status| head.lines().next().is_some_and(|line| line.contains(status)));
    has_none.then_some(true)
}

fn head_length(answer: &[u8]) -> usize {
    answer
        .windows(4)
        .position(|at| at == b"\r\n\r\n")
        .map_or(0, |end| end + 4)
}

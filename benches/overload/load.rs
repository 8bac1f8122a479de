//! The callers: an open loop, that asks at its own pace whether it is answered or not.
//!
//! One task a request, on one thread, and no more HTTP than the answers need: what the callers use of the processor is missing
//! to what they measure. The timer's resolution is a millisecond, so a request is sent up to that much after it should have
//! been; that counts as its latency, and how late they were is told.

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, time::Duration};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::spawn_local,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use crate::upstream::exponential;

/// How long a caller waits.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: upstream.example\r\n\r\n";

/// So many requests a second, for so long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) rate: f64,
    pub(crate) duration: Duration,
}

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// 200, in time.
    Answered,
    /// 503.
    Rejected,
    /// Its caller left.
    TimedOut,
    /// Any other status, or a connection that broke.
    Broken,
}

/// What became of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// When it should have been sent, from the beginning of its phase.
    pub(crate) at: Duration,
    /// How late it was sent.
    pub(crate) late: Duration,
    /// When it ended, from when it should have been sent.
    pub(crate) latency: Duration,
    pub(crate) end: End,
}

/// The callers of one address. Their connections outlive a phase.
pub(crate) struct Load {
    connections: Rc<Connections>,
    random: RefCell<Rng>,
}

impl Load {
    pub(crate) fn on(address: SocketAddr, seed: u64) -> Self {
        Self {
            connections: Rc::new(Connections {
                address,
                idle: RefCell::default(),
            }),
            random: RefCell::new(Rng::with_seed(seed)),
        }
    }

    /// Waits until whoever listens there answers 200.
    pub(crate) async fn answered(&self) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if let Ok(Ok(200)) = timeout_at(end, self.connections.exchange()).await {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(io::Error::other(format!("no answer from {}", self.connections.address)))
    }

    /// Asks for the length of the phase, waits for the last answer, and tells what became of all.
    pub(crate) async fn offer(&self, phase: Phase) -> Vec<Sample> {
        let samples = Rc::new(RefCell::new(Vec::new()));
        let mean = Duration::from_secs_f64(1.0 / phase.rate);
        let start = Instant::now();
        let mut at = Duration::ZERO;
        while at < phase.duration {
            let intended = start + at;
            if intended > Instant::now() {
                sleep_until(intended).await;
            }
            let (connections, samples) = (self.connections.clone(), samples.clone());
            spawn_local(async move {
                let late = intended.elapsed();
                let end = match timeout_at(intended + PATIENCE, connections.exchange()).await {
                    Err(_) => End::TimedOut,
                    Ok(Ok(200)) => End::Answered,
                    Ok(Ok(503)) => End::Rejected,
                    Ok(_) => End::Broken,
                };
                samples.borrow_mut().push(Sample {
                    at,
                    late,
                    latency: intended.elapsed(),
                    end,
                });
            });
            at += exponential(&mut self.random.borrow_mut(), mean);
        }
        sleep(PATIENCE + Duration::from_millis(100)).await;
        samples.take()
    }
}

/// Connections to one address, as many as requests at once.
struct Connections {
    address: SocketAddr,
    idle: RefCell<Vec<TcpStream>>,
}

impl Connections {
    /// Sends a request and reads its answer: its status. Who drops this leaves, and closes the connection.
    async fn exchange(&self) -> io::Result<u16> {
        let mut stream = match self.idle() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        stream.write_all(REQUEST).await?;
        let (mut buffer, mut length) = ([0; 4096], 0);
        loop {
            let read = stream.read(&mut buffer[length..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            length += read;
            if let Some(answer) = Answer::whole(&buffer[..length])? {
                if answer.keep_alive {
                    self.idle.borrow_mut().push(stream);
                }
                return Ok(answer.status);
            }
        }
    }

    /// One that is still open: a server closes what idles for too long.
    fn idle(&self) -> Option<TcpStream> {
        loop {
            let stream = self.idle.borrow_mut().pop()?;
            if matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                return Some(stream);
            }
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

struct Answer {
    status: u16,
    keep_alive: bool,
}

impl Answer {
    /// The answer, if this is all of it. Each of those measured here declares its length.
    fn whole(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else {
            return Ok(None);
        };
        let broken = || io::Error::from(io::ErrorKind::InvalidData);
        let text = str::from_utf8(&bytes[..head]).map_err(|_| broken())?;
        let status = text
            .get(9..12)
            .and_then(|status| status.parse().ok())
            .ok_or_else(broken)?;
        let header = |wanted: &str| {
            let fields = text.lines().skip(1).filter_map(|line| line.split_once(':'));
            let mut named = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            named.next().map(|(_, value)| value.trim())
        };
        let length: usize = header("content-length")
            .and_then(|length| length.parse().ok())
            .ok_or_else(broken)?;
        let keep_alive = header("connection") != Some("close");
        Ok((bytes.len() == head + 4 + length).then_some(Self { status, keep_alive }))
    }
}

//! The connection watch: a peer that leaves is noticed where nobody reads.
//!
//! hyper does not read an HTTP/1 connection while a request's body has come in part and the handler does not take it, while bytes of
//! the next request are buffered, and with `half_close`. What it does not read tells it nothing, so a handler worked on for a
//! client that had long gone. The kernel knows: a FIN and a reset are events of the socket, apart from its bytes. Asking for
//! those alone takes no byte and clears no readiness. (What reads readiness and clears it beside a reader loses that reader the
//! wake-up for bytes that are there.)
//!
//! A FIN behind a full receive window is not seen, for the kernel does not take it in; a reset always is.

use std::{future::Future, pin::Pin, sync::Arc, task::Context};

use tokio::net::TcpStream;

type Left = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whether the peer has left. It costs nothing until it is first asked.
pub(super) enum Watch {
    Unasked { stream: Arc<TcpStream>, half_close: bool },
    Watching(Left),
    Over,
}

impl Watch {
    pub(super) fn new(stream: Arc<TcpStream>, half_close: bool) -> Self {
        Self::Unasked { stream, half_close }
    }

    /// Whether it has left; if not, the task is woken when it does.
    pub(super) fn has_left(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Unasked { stream, half_close } = self {
            *self = Self::Watching(Box::pin(left(stream.clone(), *half_close)));
        }
        let Self::Watching(left) = self else { return false };
        let has_left = left.as_mut().poll(cx).is_ready();
        if has_left {
            *self = Self::Over;
        }
        has_left
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
async fn left(stream: Arc<TcpStream>, half_close: bool) {
    use tokio::io::Interest;

    // tokio counts the end of a peer's bytes to its interest in priority, as to that in reading; urgent data itself it does not ask
    // the kernel for. Neither that nor an error is ever cleared by a reader.
    let interest = if half_close {
        Interest::ERROR
    } else {
        Interest::ERROR | Interest::PRIORITY
    };
    match stream.ready(interest).await {
        Ok(ready) if ready.is_read_closed() || ready.is_error() => {}
        _ => std::future::pending().await,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
async fn left(_: Arc<TcpStream>, _: bool) {
    std::future::pending().await
}

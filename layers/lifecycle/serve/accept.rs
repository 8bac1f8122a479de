use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch::Receiver,
    time::{Sleep, sleep},
};

use super::connection::draining;
use crate::lifecycle::Phase;

/// How long it accepts nothing after an error that is not one connection's: out of file descriptors, mostly, and connections end.
const PAUSE: Duration = Duration::from_millis(100);

/// How many of those that had connected before the drain are still taken. The system resets the rest with the listener.
const BACKLOG: usize = 1024;

/// Accepts until the process drains.
pub(super) struct Accept {
    state: State,
    draining: Pin<Box<dyn Future<Output = bool> + Send>>,
    pause: Option<Pin<Box<Sleep>>>,
}

enum State {
    Open(TcpListener),
    /// So many more, if they are there: asked of the system itself, for tokio may not have heard of them yet.
    Closing(std::net::TcpListener, usize),
    Closed,
}

impl Accept {
    pub(super) fn new(listener: TcpListener, phases: Receiver<Phase>) -> Self {
        Self {
            state: State::Open(listener),
            draining: Box::pin(draining(phases)),
            pause: None,
        }
    }

    /// The next connection; none any more once the process drains and all that had connected by then are taken.
    ///
    /// Small writes are not held back ([`TCP_NODELAY`](TcpStream::set_nodelay)): a server knows what belongs together.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(TcpStream, SocketAddr)>> {
        loop {
            if let State::Open(_) = &self.state
                && self.draining.as_mut().poll(cx).is_ready()
                && let State::Open(listener) = std::mem::replace(&mut self.state, State::Closed)
            {
                self.pause = None;
                if let Ok(listener) = listener.into_std() {
                    self.state = State::Closing(listener, BACKLOG);
                }
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let accepted = match &mut self.state {
                State::Open(listener) => ready!(listener.poll_accept(cx)),
                State::Closing(listener, left @ 1..) => {
                    *left -= 1;
                    listener.accept().and_then(|(stream, peer)| {
                        stream.set_nonblocking(true)?;
                        Ok((TcpStream::from_std(stream)?, peer))
                    })
                }
                State::Closing(..) => {
                    self.state = State::Closed;
                    continue;
                }
                State::Closed => return Poll::Ready(None),
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Where it cannot be set, the connection is on its way out, and its first read says so.
                    let _ = stream.set_nodelay(true);
                    return Poll::Ready(Some((stream, peer)));
                }
                Err(error) if is_of_one(&error) => {}
                Err(_) => match self.state {
                    State::Open(_) => self.pause = Some(Box::pin(sleep(PAUSE))),
                    // There are no more.
                    _ => self.state = State::Closed,
                },
            }
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.state {
            State::Open(listener) => listener.local_addr(),
            State::Closing(listener, _) => listener.local_addr(),
            State::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// Whether an error is that of a connection that ended before it was accepted.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

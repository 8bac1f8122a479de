use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_layer::Layer;
use tower_service::Service;

use crate::outcome::Uses;

/// Makes a connector's connections tell whether they are reused. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ReuseLayer;

/// The connector of [`ReuseLayer`]. `poll_ready` and the error are the inner connector's.
#[derive(Clone, Debug)]
pub struct Reuse<C> {
    inner: C,
}

/// The future of [`Reuse`].
#[pin_project]
#[derive(Debug)]
pub struct ReuseFuture<F>(#[pin] F);

/// The connection of [`Reuse`].
///
/// It stands between two adapters of hyper-util, for only tokio's traits let what has been read be seen. Neither copies.
#[pin_project]
pub struct Reusable<T> {
    #[pin]
    inner: TokioIo<T>,
    uses: Uses,
}

// === impl ReuseLayer, Reuse ===

impl ReuseLayer {
    /// To be put around a connector, outside TLS.
    pub const fn new() -> Self {
        Self
    }
}

impl<C> Layer<C> for ReuseLayer {
    type Service = Reuse<C>;

    fn layer(&self, inner: C) -> Reuse<C> {
        Reuse { inner }
    }
}

impl<C: Service<Uri>> Service<Uri> for Reuse<C> {
    type Response = TokioIo<Reusable<C::Response>>;
    type Error = C::Error;
    type Future = ReuseFuture<C::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> ReuseFuture<C::Future> {
        ReuseFuture(self.inner.call(to))
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for ReuseFuture<F> {
    type Output = Result<TokioIo<Reusable<T>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let connection = ready!(self.project().0.poll(cx));
        Poll::Ready(connection.map(|connection| {
            TokioIo::new(Reusable {
                inner: TokioIo::new(connection),
                uses: Uses::default(),
            })
        }))
    }
}

// === impl Reusable ===

impl<T: Connection> Connection for Reusable<T> {
    fn connected(&self) -> Connected {
        self.inner.inner().connected().extra(self.uses.clone())
    }
}

impl<T: Read> AsyncRead for Reusable<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        let read = this.inner.poll_read(cx, buffer);
        this.uses.receive(&buffer.filled()[before..]);
        read
    }
}

impl<T: Write> AsyncWrite for Reusable<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.uses.send(bytes);
        this.inner.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.uses.send(bytes.first().map_or(&[], |first| first));
        this.inner.poll_write_vectored(cx, bytes)
    }
}

impl<T> fmt::Debug for Reusable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reusable")
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

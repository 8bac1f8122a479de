use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::line::Line;
use crate::registry::{self, End, Entry, Kind, Root};

/// A connection that is in the [registry](crate::registry) until it is dropped, and ends with the process, whoever drives it.
///
/// When the process aborts what is left, every read, write and flush fails as
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted), and the tasks that wait for one are woken. So it is the same to a
/// server's own task, to one that a WebSocket was upgraded into, and to a stream of events that nobody reads.
///
/// It costs a look at one flag for each poll.
#[pin_project]
pub struct TrackedIo<IO> {
    #[pin]
    inner: IO,
    line: Arc<Line>,
    entry: Arc<Entry>,
}

impl<IO> TrackedIo<IO> {
    /// Enters a connection of this process, unless that is closed.
    pub(super) fn enter(inner: IO, name: &'static str, root: &Arc<Root>) -> Option<Self> {
        let entry = registry::enter(Kind::Connection, name, None, Some(root.clone()))?;
        let line = Arc::<Line>::default();
        // Not the entry itself, which would then hold itself.
        let abort = line.clone();
        entry.ends_by(End::Call(Arc::new(move || abort.abort())));
        Some(Self {
            inner,
            line,
            entry: Arc::new(entry),
        })
    }

    /// What it wraps.
    pub fn get_ref(&self) -> &IO {
        &self.inner
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl<IO: AsyncRead> AsyncRead for TrackedIo<IO> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let (line, inner) = (&**this.line, this.inner);
        line.transfer(&line.reader, cx, |cx| inner.poll_read(cx, buffer))
    }
}

impl<IO: AsyncWrite> AsyncWrite for TrackedIo<IO> {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        let (line, inner) = (&**this.line, this.inner);
        line.transfer(&line.writer, cx, |cx| inner.poll_write(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let (line, inner) = (&**this.line, this.inner);
        line.transfer(&line.writer, cx, |cx| inner.poll_write_vectored(cx, bytes))
    }

    /// hyper flushes on every poll, also where it does not read and has never waited: so it hears of an abort there, if it is woken.
    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let (line, inner) = (&**this.line, this.inner);
        line.writer.keep(cx);
        line.drive(&line.writer, cx, |cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let (line, inner) = (&**this.line, this.inner);
        line.drive(&line.writer, cx, |cx| inner.poll_shutdown(cx))
    }
}

impl<IO> fmt::Debug for TrackedIo<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedIo")
            .field("aborted", &self.line.is_aborted())
            .finish_non_exhaustive()
    }
}

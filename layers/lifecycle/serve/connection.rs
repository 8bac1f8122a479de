use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderValue, Response, Version, header::CONNECTION};
use tokio::{
    sync::watch::Receiver,
    time::{Sleep, sleep},
};

use super::{
    line::Line,
    origin::{End, Hold},
    watch::Watch,
};
use crate::{
    context::{Cancelled, ContextGuard},
    lifecycle::Phase,
    registry::Entry,
};

/// How long a connection without a request on it is quiet, in the drain, before it is closed.
///
/// A client that sent its first request just before the drain is still heard. And a peer on HTTP/2 that never answers the PING by
/// which h2 finds out that it has heard of the GOAWAY would hold the connection, and with it the drain, for ever.
const LAST_CALL: Duration = Duration::from_secs(1);

/// How long a connection may say nothing from its beginning: as long as hyper waits for the head of a request, unless it is told. But hyper
/// waits for ever for the bytes by which it tells HTTP/1 from HTTP/2.
const FIRST_WORD: Duration = Duration::from_secs(30);

/// A connection that we serve, as its requests see it.
pub(super) struct Served {
    pub(super) context: ContextGuard,
    pub(super) end: End,
    pub(super) peer: SocketAddr,
    line: Arc<Line>,
    entry: Arc<Entry>,
    /// How many requests are on it, up to the ends of their answers.
    requests: AtomicUsize,
    /// Whether there ever was one.
    has_begun: AtomicBool,
    is_http1: AtomicBool,
}

/// A request's hold on its connection.
pub(super) struct OnConnection(Arc<Served>);

/// A connection of hyper's.
pub(super) trait Http: Future {
    /// Lets the requests that are on it end, and no more begin.
    fn drain(self: Pin<&mut Self>);
}

/// A connection at work: what to look at whenever it is polled.
pub(super) struct Passage<D> {
    served: Arc<Served>,
    watch: Watch,
    draining: Pin<Box<D>>,
    stage: Stage,
    silence: Silence,
}

enum Stage {
    Running,
    /// The process drains. Until the first request on it begins, or it has been quiet for long enough, hyper is not told:
    /// it would close a connection on which nothing has been heard.
    LastCall(Quiet),
    Draining(Quiet),
}

/// Until a request has begun on it, or it is answered on HTTP/2 before there is one.
enum Silence {
    Begins,
    Lasts(Pin<Box<Sleep>>),
    Broken,
}

/// Since when nothing has moved on it, and what the count was.
#[derive(Default)]
struct Quiet(Option<(Pin<Box<Sleep>>, u64)>);

// === impl Served, OnConnection ===

impl Served {
    pub(super) fn new(
        context: ContextGuard,
        end: End,
        peer: SocketAddr,
        line: Arc<Line>,
        entry: Arc<Entry>,
    ) -> Arc<Self> {
        Arc::new(Self {
            context,
            end,
            peer,
            line,
            entry,
            requests: AtomicUsize::new(0),
            has_begun: AtomicBool::new(false),
            is_http1: AtomicBool::new(false),
        })
    }

    /// A request has come, by this version.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> OnConnection {
        self.has_begun.store(true, Ordering::Relaxed);
        self.is_http1.store(version < Version::HTTP_2, Ordering::Relaxed);
        OnConnection::new(self.clone())
    }

    /// Runs a poll on its behalf: what that starts is its own.
    pub(super) fn enter<R>(&self, poll: impl FnOnce() -> R) -> R {
        self.entry.enter(poll)
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
    }

    /// Whether a request is on it and nobody reads, so that its departure would not be noticed.
    fn is_blind(&self) -> bool {
        self.is_http1.load(Ordering::Relaxed) && !self.is_idle() && !self.line.reader.waits()
    }
}

impl OnConnection {
    pub(super) fn new(served: Arc<Served>) -> Self {
        served.requests.fetch_add(1, Ordering::AcqRel);
        Self(served)
    }

    pub(super) fn served(&self) -> &Arc<Served> {
        &self.0
    }
}

impl Drop for OnConnection {
    fn drop(&mut self) {
        let was_last = self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last && self.0.end.deadline().is_some() {
            self.0.line.task.wake();
        }
    }
}

impl Hold {
    /// The next answer on HTTP/1 says that it is the last, also where hyper has not been told yet.
    pub(super) fn answer<B>(&self, response: &mut Response<B>) {
        if let Self::Connection(OnConnection(served)) = self
            && served.line.is_draining()
            && served.is_http1.load(Ordering::Relaxed)
            && response.status().as_u16() != 101
        {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

// === impl Passage ===

/// Whether the process drains (`true`), or is gone without having ended.
pub(super) async fn draining(mut phases: Receiver<Phase>) -> bool {
    phases.wait_for(|now| *now >= Phase::Draining).await.is_ok()
}

impl<D: Future<Output = bool>> Passage<D> {
    pub(super) fn new(served: Arc<Served>, watch: Watch, draining: D) -> Self {
        // It has not been polled yet.
        served.line.ring();
        Self {
            served,
            watch,
            draining: Box::pin(draining),
            stage: Stage::Running,
            silence: Silence::Begins,
        }
    }

    /// Drives it to its end: by itself, by the process's, or by its peer's departure.
    pub(super) fn poll<H: Http>(&mut self, cx: &mut Context<'_>, mut http: Pin<&mut H>) -> Poll<()> {
        let served = self.served.clone();
        let line = &served.line;
        // Before all that wakes it is looked at.
        line.task.register(cx.waker());
        if line.is_aborted() {
            return Poll::Ready(());
        }
        if matches!(self.stage, Stage::Running) && line.take_ring() {
            let bell = Waker::from(line.clone());
            match self.draining.as_mut().poll(&mut Context::from_waker(&bell)) {
                Poll::Ready(true) => {
                    line.drain();
                    self.stage = Stage::LastCall(Quiet::default());
                }
                Poll::Ready(false) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        line.reader.forget();
        self.drain_begun(http.as_mut());
        if served.enter(|| http.as_mut().poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        if self.drain_begun(http.as_mut()) && served.enter(|| http.poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        if served.is_blind() && self.watch.has_left(cx) {
            served.context.end(Cancelled::Disconnected);
            return Poll::Ready(());
        }
        match &mut self.stage {
            Stage::Running => self.silence.poll(cx, &served),
            Stage::LastCall(quiet) | Stage::Draining(quiet) => quiet.poll(cx, &served),
        }
    }

    /// Tells hyper of the drain as soon as a request has begun. Whether it has just been told.
    fn drain_begun<H: Http>(&mut self, http: Pin<&mut H>) -> bool {
        let tell = matches!(self.stage, Stage::LastCall(_)) && self.served.has_begun.load(Ordering::Relaxed);
        if tell {
            self.stage = Stage::Draining(Quiet::default());
            http.drain();
        }
        tell
    }
}

impl Silence {
    /// Ready once it has lasted for too long.
    fn poll(&mut self, cx: &mut Context<'_>, served: &Served) -> Poll<()> {
        if let Self::Broken = self {
            return Poll::Pending;
        }
        if served.has_begun.load(Ordering::Relaxed) || served.line.writer.has_moved() {
            *self = Self::Broken;
            return Poll::Pending;
        }
        if let Self::Begins = self {
            *self = Self::Lasts(Box::pin(sleep(FIRST_WORD)));
        }
        match self {
            Self::Lasts(sleep) => sleep.as_mut().poll(cx),
            Self::Begins | Self::Broken => Poll::Pending,
        }
    }
}

impl Quiet {
    /// Ready once nothing has moved for a while, with no request on the connection and nothing unsent.
    fn poll(&mut self, cx: &mut Context<'_>, served: &Served) -> Poll<()> {
        if !served.is_idle() || served.line.writer.waits() {
            self.0 = None;
            return Poll::Pending;
        }
        let moved = served.line.moved();
        match &mut self.0 {
            Some((sleep, before)) if *before == moved => sleep.as_mut().poll(cx),
            since => {
                let (sleep, _) = since.insert((Box::pin(sleep(LAST_CALL)), moved));
                sleep.as_mut().poll(cx)
            }
        }
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

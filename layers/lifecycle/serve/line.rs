use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake},
};

use atomic_waker::AtomicWaker;

/// What the socket of a connection shares with those who end it: one place to say that it is over, and all who must hear of it.
#[derive(Debug, Default)]
pub(super) struct Line {
    aborted: AtomicBool,
    pub(super) reader: Side,
    pub(super) writer: Side,
    /// How often bytes went over it, either way.
    moved: AtomicU64,
    /// The task that drives it, where it is one of ours.
    pub(super) task: AtomicWaker,
    rung: AtomicBool,
    draining: AtomicBool,
}

/// One direction of a connection. They can be in two tasks, as those of a WebSocket often are.
#[derive(Debug, Default)]
pub(super) struct Side {
    waker: AtomicWaker,
    waits: AtomicBool,
    has_moved: AtomicBool,
}

impl Line {
    /// Ends it, whoever drives it: its next read, write or flush fails, and who waits for one is woken.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        self.reader.waker.wake();
        self.writer.waker.wake();
        self.task.wake();
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// The process drains.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
    }

    /// Whether the [waker](Wake) that this is was woken since it was last asked.
    pub(super) fn take_ring(&self) -> bool {
        self.rung.load(Ordering::Acquire) && self.rung.swap(false, Ordering::AcqRel)
    }

    /// A number that changes whenever bytes go over it.
    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Polls for bytes to go over it one way.
    #[inline]
    pub(super) fn transfer<T>(
        &self,
        side: &Side,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let polled = self.drive(side, cx, poll);
        side.waits.store(polled.is_pending(), Ordering::Relaxed);
        if polled.is_ready() {
            self.moved.fetch_add(1, Ordering::Relaxed);
            side.move_first();
        }
        polled
    }

    /// Polls the socket on one side, unless it is aborted, and keeps whom to wake where that has to wait.
    #[inline]
    pub(super) fn drive<T>(
        &self,
        side: &Side,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.is_aborted() {
            return Poll::Ready(Err(aborted()));
        }
        let polled = poll(cx);
        if polled.is_pending() {
            side.keep(cx);
            // An abort before the registration did not see it.
            if self.is_aborted() {
                return Poll::Ready(Err(aborted()));
            }
        }
        polled
    }
}

impl Side {
    /// Keeps whom to wake by an abort.
    pub(super) fn keep(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Whether it waits for its peer since its last poll.
    pub(super) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    fn move_first(&self) {
        if !self.has_moved() {
            self.has_moved.store(true, Ordering::Relaxed);
        }
    }

    /// Whether bytes ever went over it this way.
    pub(super) fn has_moved(&self) -> bool {
        self.has_moved.load(Ordering::Relaxed)
    }

    /// Forgets that it waits, to see whether it is polled.
    pub(super) fn forget(&self) {
        self.waits.store(false, Ordering::Relaxed);
    }
}

/// As a waker, it rings and wakes the task: so that a future on which many wait, and whose every poll takes a lock of theirs, is
/// polled when it has news, and not with every packet.
impl Wake for Line {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
        self.task.wake();
    }
}

fn aborted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the process is shutting down")
}

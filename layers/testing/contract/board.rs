//! What a probe, its clones and its calls share: what they are to do, what is held of them, and who of them waits.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::{ProbeError, Violation};
use crate::body::BoxError;

/// What a probe does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// Waits wherever a service may.
    pub(super) slow: bool,
    pub(super) ends: Ends,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ends {
    #[default]
    Well,
    /// `poll_ready` fails.
    Unready,
    /// The call does.
    Failed,
    /// The body does.
    Broken,
    /// The call does not, until all is [open](Board::open).
    Never,
}

#[derive(Debug)]
pub(super) struct Board {
    pub(super) plan: Plan,
    live: [AtomicUsize; Held::ALL.len()],
    gates: Mutex<Vec<Weak<Gate>>>,
    /// Of those who wait until all is open.
    hanging: Mutex<Vec<Waker>>,
    /// No gate holds anybody any more.
    open: AtomicBool,
    /// A probe has failed, as it was to.
    failed: AtomicBool,
    /// A probe has answered.
    answered: AtomicBool,
    violations: Mutex<Vec<Violation>>,
}

/// What can be held of a probe.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    Service,
    Call,
    Request,
    Answer,
}

impl Held {
    const ALL: [Self; 4] = [Self::Service, Self::Call, Self::Request, Self::Answer];

    const fn name(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Call => "calls",
            Self::Request => "requests",
            Self::Answer => "answers",
        }
    }
}

impl Board {
    pub(super) fn new(plan: Plan) -> Arc<Self> {
        Arc::new(Self {
            plan,
            live: Default::default(),
            gates: Mutex::default(),
            hanging: Mutex::default(),
            open: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            violations: Mutex::default(),
        })
    }

    pub(super) fn violates(&self, violation: Violation) {
        lock(&self.violations).push(violation);
    }

    /// The error that a probe fails with, now.
    pub(super) fn fail(&self) -> BoxError {
        self.failed.store(true, Ordering::SeqCst);
        ProbeError.into()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    pub(super) fn answer(&self) {
        self.answered.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::SeqCst)
    }

    pub(super) fn take_violations(&self) -> Vec<Violation> {
        mem::take(&mut *lock(&self.violations))
    }

    /// What is still held, and how many.
    pub(super) fn held(&self) -> Vec<(&'static str, usize)> {
        let of = |held: Held| (held.name(), self.live[held as usize].load(Ordering::SeqCst));
        Held::ALL.map(of).into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Lets all go on who wait now, and says whether there were any.
    pub(super) fn advance(&self) -> bool {
        let gates = mem::take(&mut *lock(&self.gates));
        let waiting: Vec<_> = gates
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|gate| gate.open())
            .collect();
        !waiting.is_empty()
    }

    /// Lets all go on, from now on.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
        self.advance();
        let hanging = mem::take(&mut *lock(&self.hanging));
        for waker in hanging {
            waker.wake();
        }
    }

    /// Holds a call until all is open.
    pub(super) fn hang(&self, cx: &Context<'_>) -> Poll<()> {
        if self.open.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        lock(&self.hanging).push(cx.waker().clone());
        Poll::Pending
    }
}

/// Where a probe waits, until the [board](Board::advance) lets it go on.
#[derive(Debug, Default)]
pub(super) struct Gate {
    open: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Gate {
    pub(super) fn poll(self: &Arc<Self>, board: &Board, cx: &Context<'_>) -> Poll<()> {
        if !board.plan.slow || board.open.load(Ordering::SeqCst) || self.open.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        if lock(&self.waiting).replace(cx.waker().clone()).is_none() {
            lock(&board.gates).push(Arc::downgrade(self));
        }
        Poll::Pending
    }

    /// Whether somebody waited at it.
    fn open(&self) -> bool {
        self.open.store(true, Ordering::SeqCst);
        let waiting = lock(&self.waiting).take();
        let waited = waiting.is_some();
        if let Some(waker) = waiting {
            waker.wake();
        }
        waited
    }
}

/// Counts as held while it lives.
pub(super) struct Live {
    board: Arc<Board>,
    what: Held,
}

impl Live {
    pub(super) fn new(board: &Arc<Board>, what: Held) -> Self {
        board.live[what as usize].fetch_add(1, Ordering::SeqCst);
        Self {
            board: board.clone(),
            what,
        }
    }

    pub(super) fn board(&self) -> &Arc<Board> {
        &self.board
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.board.live[self.what as usize].fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The tree of cancellations: who ended, why, and who must hear of it.

use std::{
    error, fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
    },
};

use slab::Slab;
use tokio::sync::Notify;

use crate::registry::Root;

/// Why a [`Context`](crate::Context) ended.
///
/// It is an error, so that work checks its context with `?`: `ctx.check()?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cancelled {
    /// The caller left: its connection closed, its stream was reset, its future was dropped.
    Disconnected,
    /// The deadline passed.
    DeadlineExceeded,
    /// The process is shutting down.
    ShuttingDown,
    /// Another attempt at the same work won, as when a hedge loses.
    Superseded,
    /// The work it belonged to is done: a request's context ends with the last frame of its response.
    Finished,
}

impl Cancelled {
    const ALL: [Self; 5] = [
        Self::Disconnected,
        Self::DeadlineExceeded,
        Self::ShuttingDown,
        Self::Superseded,
        Self::Finished,
    ];

    /// The reason as a metric's attribute has it: `client_disconnect`, `deadline`, `shutdown`, `superseded`, `finished`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "client_disconnect",
            Self::DeadlineExceeded => "deadline",
            Self::ShuttingDown => "shutdown",
            Self::Superseded => "superseded",
            Self::Finished => "finished",
        }
    }

    fn code(self) -> u8 {
        self as u8 + 1
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.code() == code)
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disconnected => "the caller left",
            Self::DeadlineExceeded => "deadline exceeded",
            Self::ShuttingDown => "the process is shutting down",
            Self::Superseded => "superseded by another attempt",
            Self::Finished => "the work is finished",
        })
    }
}

impl error::Error for Cancelled {}

const LIVE: u8 = 0;

/// One cancellation. It ends once, keeps the first reason, and takes its children with it.
///
/// A child registers with its parent under the parent's own lock and leaves when it is dropped, so a context that lives long
/// holds its living children only. Parents are held strongly: a chain does not break where a handle in its middle is dropped.
pub(super) struct Node {
    ended: AtomicU8,
    ending: Notify,
    children: Mutex<Slab<Weak<Node>>>,
    parent: Option<(Arc<Node>, usize)>,
    /// Of the topmost alone: what all below belongs to.
    root: Option<Arc<Root>>,
}

impl Node {
    pub(super) fn new(parent: Option<&Arc<Node>>) -> Arc<Self> {
        let Some(parent) = parent else {
            return Self::topmost(LIVE, None);
        };
        let mut siblings = parent.children();
        // Read under the lock: `cancel` marks first and takes the children under the same lock afterwards, so a child is
        // either born ended or seen by it.
        match parent.ended.load(Ordering::Acquire) {
            LIVE => {
                let seat = siblings.vacant_entry();
                let parent = Some((parent.clone(), seat.key()));
                let child = Arc::new(Self::new_with(LIVE, parent, None));
                seat.insert(Arc::downgrade(&child));
                child
            }
            ended => {
                drop(siblings);
                Self::topmost(ended, parent.root().cloned())
            }
        }
    }

    /// One that nothing above can end.
    pub(super) fn of_root(root: Option<Arc<Root>>) -> Arc<Self> {
        Self::topmost(LIVE, root)
    }

    fn topmost(ended: u8, root: Option<Arc<Root>>) -> Arc<Self> {
        Arc::new(Self::new_with(ended, None, root))
    }

    fn new_with(ended: u8, parent: Option<(Arc<Node>, usize)>, root: Option<Arc<Root>>) -> Self {
        Self {
            ended: AtomicU8::new(ended),
            ending: Notify::new(),
            children: Mutex::new(Slab::new()),
            parent,
            root,
        }
    }

    /// What it belongs to in the end.
    pub(super) fn root(&self) -> Option<&Arc<Root>> {
        let mut node = self;
        while let Some((parent, _)) = &node.parent {
            node = parent;
        }
        node.root.as_ref()
    }

    pub(super) fn reason(&self) -> Option<Cancelled> {
        Cancelled::from_code(self.ended.load(Ordering::Acquire))
    }

    /// Ends this and all below it. The first reason stays.
    pub(super) fn cancel(&self, why: Cancelled) {
        // A work list, not recursion: a chain of contexts can be as long as a user makes it.
        let mut below = self.end(why);
        while let Some(child) = below.pop() {
            below.extend(child.end(why));
        }
    }

    fn end(&self, why: Cancelled) -> Vec<Arc<Node>> {
        if self
            .ended
            .compare_exchange(LIVE, why.code(), Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            return Vec::new();
        }
        self.ending.notify_waiters();
        let children = std::mem::take(&mut *self.children());
        children.into_iter().filter_map(|(_, child)| child.upgrade()).collect()
    }

    pub(super) async fn ended(&self) -> Cancelled {
        loop {
            // A `Notified` hears every `notify_waiters` from its creation on, so the check comes after it.
            let ending = self.ending.notified();
            if let Some(why) = self.reason() {
                return why;
            }
            ending.await;
        }
    }

    fn children(&self) -> MutexGuard<'_, Slab<Weak<Node>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut above = self.parent.take();
        while let Some((parent, seat)) = above {
            parent.children().try_remove(seat);
            // Where ours was the last hold on it, take it apart here rather than one stack frame deeper.
            above = Arc::into_inner(parent).and_then(|mut parent| parent.parent.take());
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancellation").field(&self.reason()).finish()
    }
}

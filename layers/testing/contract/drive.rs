//! Polls a layer as an executor does, and watches whether it is woken when it should be, and only then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::{sync::Notify, task::yield_now, time::timeout};

use super::{Violation, board::Board};

/// So often may it be polled while nothing happens. Some wake themselves once or twice, to let others go first.
const MOST_IDLE: usize = 32;

/// For a layer that works in a task of its own, to come to where it waits.
const TURNS: usize = 8;

pub(super) struct Driver {
    board: Arc<Board>,
    heard: Arc<Heard>,
    waker: Waker,
    /// Waits so long for a wake.
    patience: Duration,
    /// What waits for ever is as it should be.
    pub(super) may_hang: bool,
    /// After so many polls it is dropped.
    pub(super) drop_after: Option<usize>,
    polls: usize,
    idle: usize,
}

/// Why something did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// As it was meant to.
    Dropped,
    /// It broke the contract.
    Broken,
}

#[derive(Debug, Default)]
struct Heard {
    woken: AtomicBool,
    notify: Notify,
}

impl Wake for Heard {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }
}

impl Heard {
    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }

    async fn woken(&self) {
        // A permit may be left of an earlier wake.
        while !self.is_woken() {
            self.notify.notified().await;
        }
    }
}

impl Driver {
    pub(super) fn new(board: &Arc<Board>, patience: Duration) -> Self {
        let heard = Arc::<Heard>::default();
        Self {
            board: board.clone(),
            waker: heard.clone().into(),
            heard,
            patience,
            may_hang: false,
            drop_after: None,
            polls: 0,
            idle: 0,
        }
    }

    /// Whether it came to where it was to be dropped.
    pub(super) fn has_dropped(&self) -> bool {
        self.drop_after == Some(self.polls)
    }

    /// Polls up to the end, whenever woken.
    pub(super) async fn drive<T>(&mut self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Result<T, Stop> {
        loop {
            if self.has_dropped() {
                return Err(Stop::Dropped);
            }
            self.polls += 1;
            self.heard.woken.store(false, Ordering::SeqCst);
            if let Poll::Ready(output) = poll(&mut Context::from_waker(&self.waker)) {
                self.idle = 0;
                return Ok(output);
            }
            self.idle += 1;
            if self.idle > MOST_IDLE {
                self.board.violates(Violation::Spins { polls: self.idle });
                return Err(Stop::Broken);
            }
            if self.heard.is_woken() {
                // By itself.
                yield_now().await;
            } else {
                self.wait().await?;
            }
        }
    }

    /// Until it is woken: by what the probe does, or by time.
    async fn wait(&mut self) -> Result<(), Stop> {
        let mut advanced = false;
        loop {
            for _ in 0..TURNS {
                if self.heard.is_woken() {
                    return Ok(());
                }
                yield_now().await;
            }
            if self.board.advance() {
                advanced = true;
                self.idle = 0;
                continue;
            }
            if timeout(self.patience, self.heard.woken()).await.is_ok() {
                return Ok(());
            }
            if self.may_hang {
                return Err(Stop::Dropped);
            }
            let violation = if advanced {
                Violation::LostWake
            } else {
                Violation::Stuck
            };
            self.board.violates(violation);
            return Err(Stop::Broken);
        }
    }
}

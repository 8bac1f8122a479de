//! Who asked to be polled.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    task::{Wake, Waker},
};

/// The wakers of all calls, and the calls that were woken, in that order.
#[derive(Default)]
pub(super) struct Woken {
    wakers: Vec<Waker>,
    calls: Calls,
}

type Calls = Arc<Mutex<Vec<usize>>>;

impl Woken {
    /// What wakes this call.
    pub(super) fn waker(&mut self, call: usize) -> &Waker {
        while self.wakers.len() <= call {
            let (call, calls) = (self.wakers.len(), self.calls.clone());
            self.wakers.push(Waker::from(Arc::new(WakesOne { call, calls })));
        }
        &self.wakers[call]
    }

    /// Those woken since this was asked.
    pub(super) fn take(&self) -> Vec<usize> {
        mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct WakesOne {
    call: usize,
    calls: Calls,
}

impl Wake for WakesOne {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.call);
    }
}

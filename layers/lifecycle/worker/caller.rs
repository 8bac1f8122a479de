//! Who waits for room in a queue.

use super::{
    line::{Call, Caller, No},
    shared::Shared,
};

/// A caller who waits for room, until it comes with its job or this is dropped.
pub(super) struct CallerWaits<'a, J> {
    shared: &'a Shared<J>,
    /// Gone once it has come.
    call: Option<Call>,
}

impl<'a, J> CallerWaits<'a, J> {
    /// Begins to wait, in front of all who come later.
    pub(super) fn new(shared: &'a Shared<J>) -> Self {
        let own = Call::default();
        let first = shared.line().caller_waits(own.clone());
        call(first);
        Self {
            shared,
            call: Some(own),
        }
    }

    /// Ready when there is room for it, or will be none any more. The room is kept as long as this lives.
    pub(super) async fn called(&self) {
        if let Some(call) = &self.call {
            call.notified().await;
        }
    }

    /// Comes with its job. To be called first.
    pub(super) fn come(mut self, job: J) -> Result<(), (No, J)> {
        self.shared.offer(job, Caller::Called)?;
        self.call = None;
        Ok(())
    }
}

impl<J> Drop for CallerWaits<'_, J> {
    fn drop(&mut self) {
        if let Some(own) = self.call.take() {
            let next = self.shared.line().caller_leaves(&own);
            call(next);
        }
    }
}

/// Calls who is to be called, if anybody is.
pub(super) fn call(caller: Option<Call>) {
    if let Some(caller) = caller {
        caller.notify_one();
    }
}

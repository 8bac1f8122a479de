use std::{future::Future, pin::Pin};

use tokio::time::Instant;

use super::worker::QueueStatus;

/// A worker, as the end of the process sees it.
pub(super) trait Staff: Send + Sync {
    fn name(&self) -> &'static str;

    /// Takes nothing in any more, does what is left up to this time, and hands back what is not done.
    fn stop(&self, until: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Begins nothing any more, and hands back what is not begun.
    fn end(&self);

    fn left(&self) -> Left;

    /// How its queue stands.
    fn status(&self) -> QueueStatus;
}

/// What a worker took in and did not run, because the process ended first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// To somebody who takes it.
    pub(super) handed_back: usize,
    /// To nobody.
    pub(super) lost: usize,
}

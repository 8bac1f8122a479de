use std::{future::Future, pin::Pin};

use tokio::time::Instant;

use super::worker::QueueStatus;

/// A worker, as the end of the process sees it.
pub(super) trait Staff: Send + Sync {
    fn name(&self) -> &'static str;

    /// Takes nothing in any more, does what is left up to this time, and hands back what is not done.
    fn stop(&self, until: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// How its queue stands.
    fn status(&self) -> QueueStatus;

    /// How many jobs were handed back.
    fn unprocessed(&self) -> usize;
}

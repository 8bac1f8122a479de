//! A wait that ends with the work that waits.

use std::{future::Future, pin::Pin};

use tokio::time::{Instant, sleep_until};

use crate::context::{Cancelled, Context};

/// To the time it was for, or to the end of the context: why that ended.
pub(super) type Wait = Pin<Box<dyn Future<Output = Result<(), Cancelled>> + Send + Sync>>;

/// Until then, in the context in scope here. `None` is for ever.
pub(super) fn wait_until(when: Option<Instant>) -> Wait {
    let context = Context::current();
    Box::pin(async move {
        let over = async {
            match when {
                Some(when) => sleep_until(when).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            why = context.cancelled() => Err(why),
            () = over => Ok(()),
        }
    })
}

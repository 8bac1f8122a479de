//! Nothing may be left when the work is done: no task, no entry in the registry, no code that blocks, no open file.
//!
//! A leaked task fails no test. It holds its connection, its permit and its memory, and the service dies of it a month later. So the
//! work is run on a runtime of its own, and what lives when it is done is what nothing stopped:
//!
//! ```
//! use buttress::{Context, testing::leak};
//!
//! leak::assert_none(|| async {
//!     let ctx = Context::current().child();
//!     let _task = ctx.spawn("warm-cache", std::future::pending::<()>());
//!     // The guard is dropped here, and the task ends with its context.
//! });
//!
//! let leaks = leak::Check::new()
//!     .settle(std::time::Duration::from_millis(50))
//!     .run(|| async { drop(Context::current().spawn("warm-cache", std::future::pending::<()>())) })
//!     .unwrap_err();
//! assert_eq!(leaks.works[0].name, "warm-cache");
//! ```
//!
//! # What is found
//!
//! - **Tasks** that live on the runtime when the time to settle is over. Ours by kind, name and owner; of foreign ones (a bare
//!   `tokio::spawn`, a client's pool) the count alone is known.
//! - **Entries** of the [registry](crate::registry) that the work made and that hang on no task: a shield that somebody keeps.
//! - **Code that blocks** a thread and does not end.
//! - **File descriptors**, [where asked for](Check::file_descriptors), on Linux.
//!
//! Tests run beside each other in one process, and the registry is the process's. What lives on the runtime is counted by the
//! runtime itself; which entries are its own is known by what the work started, and by what goes when the runtime does. So other
//! tests do not disturb.
//!
//! # Limits
//!
//! Time is real, unless it is [paused](Check::paused). A task that waits for something is given the [time to settle](Check::settle); one
//! that sleeps longer is a leak. Of blocking code that a foreign task of a [multi-threaded](Check::multi_thread) check started, the name
//! may be missing; that it blocks is found.

mod check;
mod descriptors;
mod leaks;
#[cfg(test)]
mod tests;

use std::future::Future;

pub use self::{check::Check, leaks::Leaks};

/// Runs `body` on a runtime of its own, and fails if anything of it lives a second after its end. See the [module](self).
///
/// # Panics
///
/// If something does: that is what it is for. Within a runtime, where no other can be run; and if none can be made.
#[track_caller]
pub fn assert_none<F, Fut>(body: F)
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = ()>,
{
    Check::new().assert_none(body);
}

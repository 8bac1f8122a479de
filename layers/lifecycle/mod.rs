//! The process: the one root of all that runs, and an end that comes in order, in time, and with a report.
//!
//! A server that is told to stop has three ways to get it wrong. It stops at once, and breaks what it was doing; it waits for all to
//! end, and hangs on the one that does not; or it is killed in the middle, and nobody knows what was lost. Here the end has phases
//! and *one* deadline, that is set once and never moved; what has not ended by then is aborted, and named.
//!
//! ```no_run
//! use buttress::{BoxError, Lifecycle};
//! use std::time::Duration;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), BoxError> {
//!     let life = Lifecycle::builder().signals().ready_delay(Duration::from_secs(5)).budget(Duration::from_secs(25)).build()?;
//!     life.on_close("pool", async { /* close the connections */ Ok(()) });
//!     life.critical("consumer", std::future::pending()); // what consumes for ever
//!
//!     let report = life.run().await; // until a signal, or a critical task that ends
//!     report.exit() // 0 if everything ended by itself
//! }
//! ```
//!
//! # The phases of the end
//!
//! | | | until |
//! |---|---|---|
//! | 1 | running | a signal, [`Handle::shutdown`], or the end of a [critical](Lifecycle::critical) task |
//! | 2 | not ready: [readiness](Readiness) says no, all else goes on | the [readiness delay](LifecycleBuilder::ready_delay) is over |
//! | 3 | draining: listeners close, connections end after their requests | all have ended; at the latest, when a quarter of the budget is left for the workers and a second for the hooks, if there are any |
//! | 4 | workers: intake closed, queues drained, the last that was started first | they are done; at the latest, when a second is left |
//! | 5 | hooks: the last that was added first | they are done; at the latest, when the budget is spent |
//! | 6 | abort: contexts end as [shutting down](crate::Cancelled::ShuttingDown), tasks are dropped at their next yield | all have ended; at the latest, after the grace |
//! | 7 | the [report](Report): what was aborted, by kind, name and age | |
//!
//! A phase that is done early gives its time to those after it. A second signal goes straight to the abort.
//!
//! # What belongs to it
//!
//! What is started below its [context](Handle::context), by [`Context::spawn`](crate::Context::spawn) and its kin, and what it starts
//! itself. It is all in the [registry](crate::registry), and [`Handle::snapshot`] lists it with its owner, its age, and what stops it.
//! A bare `tokio::spawn` belongs to nobody: nothing here knows of it or stops it.
//!
//! # What is told of it
//!
//! An [observer](LifecycleBuilder::observe) hears of each job that ended, each phase of the end, and what had to be aborted. A
//! [`Handle`] can be [measured](crate::telemetry::Measured): how much is alive, whether it is ready, how its workers' queues stand.
//!
//! # Limits
//!
//! A task that never yields cannot be stopped, and neither can code that blocks: after the grace they are in the report as
//! [stuck](Report::stuck), and end with the process. A `main` that returns waits for them, as it drops its runtime;
//! so end `main` with [`Report::exit`], which does not wait.

mod builder;
mod debug;
mod hooks;
mod life;
mod phase;
mod readiness;
mod report;
mod run;
#[cfg(feature = "server")]
pub mod serve;
mod signals;
mod staff;
mod told;
pub mod worker;

pub use self::{
    builder::{InvalidLifecycle, LifecycleBuilder},
    debug::DebugView,
    life::{Handle, Lifecycle},
    phase::Phase,
    readiness::Readiness,
    report::{Cause, Ended, Report},
};

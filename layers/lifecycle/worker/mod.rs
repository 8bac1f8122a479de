//! Workers: what is done behind the answer, by whom, how much of it at most, and what becomes of it at the end.
//!
//! The mail after the order, the thumbnail after the upload: handlers start such work with a bare `tokio::spawn`, and nobody knows how
//! much of it there is, who bounds it when the mail server is slow, or what was lost when the process ended. A worker has a name, a
//! bounded queue, so many jobs at a time, and an account in which every job that was taken in is found again:
//!
//! ```
//! use buttress::{BoxError, Lifecycle, lifecycle::worker::{EnqueueError, Failed, Queue}, retry::Backoff};
//! use std::time::Duration;
//!
//! #[derive(Clone)]
//! struct Mail { to: String }
//!
//! async fn send_mail(mail: Mail) -> Result<(), BoxError> {
//!     /* talk to the mail server */
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
//! let life = Lifecycle::builder().build()?;
//! let mail: Queue<Mail> = life
//!     .worker("mail")
//!     .queue(1024)
//!     .concurrency(4)
//!     .job_timeout(Duration::from_secs(10))
//!     .retry(3, Backoff::default())
//!     .on_failed(|failed: Failed<Mail>| eprintln!("no mail to {}: {}", failed.job.to, failed.why))
//!     .on_unprocessed(|mail: Mail| eprintln!("to be sent by the next process: {}", mail.to))
//!     .run(send_mail)?;
//! # let handle = life.handle();
//!
//! // In a handler: 202, or 503 with the job still in hand.
//! if let Err(EnqueueError { kind, job, .. }) = mail.enqueue(Mail { to: "ada@example.org".into() }).await {
//!     eprintln!("{kind}: {}", job.to);
//! }
//! # handle.shutdown();
//! # assert!(life.run().await.is_clean());
//! # assert_eq!(mail.status().counts.done, 1);
//! # Ok(()) }
//! ```
//!
//! # What is guaranteed
//!
//! - **Nothing is lost silently.** At every moment, and at every end, `accepted = done + failed + expired + unprocessed`, and what waits and
//!   runs. What was not taken in comes back with the [error](EnqueueError); what failed goes to
//!   [`on_failed`](WorkerBuilder::on_failed), what was not run to [`on_unprocessed`](WorkerBuilder::on_unprocessed). Where there is nobody to
//!   take back what the end of the process leaves, the [report](super::Report::lost) says that it is lost, and so does the exit code.
//! - **What is unprocessed never began**, so whoever takes it up need not ask whether it may be done twice. What was cut off by the abort
//!   has begun: it [failed](FailedBy::Aborted).
//! - **No wait in vain.** A job is refused at once, as [late](NotEnqueued::Late), where those before it take longer than its caller has left:
//!   depth x mean job time / concurrency. What expired in the queue is not run.
//! - **No queue for ever.** An `enqueue` waits no longer than its caller's deadline, its caller, the intake, and
//!   [`max_wait`](WorkerBuilder::max_wait) allow, and those who wait are served before those who come later.
//! - **A panic is the job's.** A job that panics has failed, and the next one runs. Where the worker itself dies it is started again,
//!   after a wait, and [counted](Counts::restarts).
//!
//! # A job's context
//!
//! The criticality and the deadline in scope where it was enqueued go with a job; the cancellation does not: it is there to outlive its
//! request. It has until the sooner of that deadline and the [timeout](WorkerBuilder::job_timeout). Where the deadline of the request
//! should not be the job's, enqueue it outside of it:
//!
//! ```
//! # use buttress::{Context, Lifecycle};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let life = Lifecycle::builder().build()?;
//! # let queue = life.worker("w").queue(1).run(async |_: ()| Ok::<_, std::fmt::Error>(()))?;
//! Context::default().scope(queue.enqueue(())).await?;
//! # Ok(()) }
//! ```
//!
//! The context ends with the job, and so do the tasks that the job spawned; and it ends with the process. What begins while the process
//! ends is told when that aborts. In the [registry](crate::registry) a worker is listed from its start, and a job, as
//! owned by it, from when it first waits for something.
//!
//! # The end
//!
//! The intake stays open while the process [drains](super::Phase::Draining), for handlers that drain can enqueue. Then the worker that was
//! started last is stopped first: its intake closes, its queue is worked off, and what is left when its time is over is handed back. What
//! still runs then goes on to the abort, which names it in the report. A job that waits for an attempt which would come after that has
//! failed by its last one, and holds nobody up.
//!
//! # Readiness
//!
//! ```
//! # use buttress::Lifecycle;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let life = Lifecycle::builder().build()?;
//! # let queue = life.worker("mail").queue(1).run(async |_: ()| Ok::<_, std::fmt::Error>(()))?;
//! life.readiness().depends_on("mail", move || !queue.status().behind);
//! # Ok(()) }
//! ```
//!
//! # Limits
//!
//! The queue is in memory: what must survive the machine belongs in a database first. A job that waits for its next attempt keeps its
//! place among those that run, so that a worker whose upstream fails slows down. The lanes of a worker are tasks, and are there from the
//! start: a concurrency of 1,000 is 1,000 idle tasks. Where nothing has ended yet nothing is known of how long jobs take, and none is late.

mod attempt;
mod builder;
mod caller;
mod crew;
mod failed;
mod lane;
mod line;
mod mean;
mod queue;
mod refused;
mod running;
mod settings;
mod shared;
mod status;
mod stretch;
#[cfg(test)]
mod tests;

use super::{Handle, Lifecycle};

pub use self::{
    builder::{InvalidWorker, NewWorker, WorkerBuilder},
    failed::{Failed, FailedBy},
    queue::{Enqueue, Queue},
    refused::{EnqueueError, NotEnqueued},
    status::{Counts, QueueStatus},
};

impl Lifecycle {
    /// A [worker](self) of this process, to be given a queue, set, and run. No two have the same name.
    pub fn worker(&self, name: &'static str) -> NewWorker {
        self.handle.worker(name)
    }
}

impl Handle {
    /// See [`Lifecycle::worker`].
    pub fn worker(&self, name: &'static str) -> NewWorker {
        NewWorker {
            life: self.clone(),
            name,
        }
    }
}

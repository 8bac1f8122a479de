//! Load shedding: while the *process* is in trouble, the least critical requests are rejected on arrival.
//!
//! A concurrency limit protects from one kind of overload, and knows nothing of the others: memory that runs out, a
//! runtime whose workers are blocked, a pool that is used up. Here any of them is a [`Signal`], a level from 0 to 1
//! that is held at a [`SetPoint`]. A controller turns the excess of the worst one into a share of the requests to
//! reject, and that into a [`Floor`]: who is below, by [criticality](crate::Criticality) and within it by the hash of a
//! key, gets 503 (gRPC: status 14) before anything is done for it.
//!
//! ```
//! use axum::{Router, routing::get};
//! use buttress::{Criticality, CriticalityLayer, LoadShedLayer, admission::shed::{QueueDelay, hash}};
//! use std::time::Duration;
//!
//! let pool = QueueDelay::new(Duration::from_millis(250)); // told by whoever waits for the pool
//! let shed = LoadShedLayer::new() // the runtime's lag, and memory
//!     .signal(pool.clone())
//!     .key(|head| Some(hash(head.headers.get("x-user-id")?)));
//! let policy = shed.policy();
//!
//! let criticality = CriticalityLayer::new()
//!     .by(|head| head.uri.path().starts_with("/export").then_some(Criticality::Sheddable));
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(shed)
//!     .layer(criticality);
//!
//! println!("{}", policy.snapshot().floor); // none
//! let monitor = policy.monitor(); // in main: `tokio::spawn(monitor)`
//! ```
//!
//! # The control law
//!
//! Each 100 ms the worst excess steers a proportional-integral controller, as in Uber's Cinnamon. The excess is -1 at
//! the level 0, 0 at the set point, 1 at the level 1. It steers the logarithm of what is let in, so that the same gains
//! hold an overload of 1.2 and of 10: twice too much is met in half a second, ten times in three, and both are over as
//! soon. It never rejects more than 99%. The share becomes a floor by the mix of criticalities that arrives, as in
//! Tencent's DAGOR: a band is touched only when all of those below it are rejected, critical-plus last of all.
//!
//! # Who samples
//!
//! The arrival that finds the last sample 100 ms old: it asks the signals, in some microseconds, and no task is needed.
//! But how long requests wait for their turn in the runtime only a task can tell, so run a [`Monitor`] in one; it takes
//! the samples off the path of requests, too. The [snapshot](LoadShed::snapshot) says where one is lacking, and with
//! the feature `tracing` an event does.
//!
//! An arrival reads the floor, and the clock unless a [`DeadlineLayer`](crate::DeadlineLayer) has shared its reading;
//! requests are counted only while there is a floor. `poll_ready` is the inner service's, nothing is held, and there is
//! nothing to be dropped.
//!
//! # By hand
//!
//! [`LoadShed::hold`] sets a floor whatever the signals say, `hold(Floor::NONE)` switches shedding off,
//! [`LoadShed::release`] gives it back to the controller.
//!
//! # Limits
//!
//! - Health checks are requests, too. Make them [critical-plus](crate::CriticalityLayer::by), or serve them outside of
//!   the layer.
//! - A signal that stays bad whatever is rejected, such as a leak, ends with 1% of the traffic. That is seen in the
//!   [snapshot](LoadShed::snapshot), and is for whoever restarts the process.
//! - The mix is learnt while there is a floor. At the first trouble each band is taken to be as likely as the others,
//!   for a sample.
//!
//! [`ShedUnreadyLayer`] is the plain case: it rejects what finds the inner service not ready.

mod control;
mod floor;
mod key;
mod layer;
mod monitor;
mod policy;
mod signal;
mod snapshot;
mod tally;
mod unready;

pub use self::{
    floor::Floor,
    key::hash,
    layer::LoadShedLayer,
    monitor::Monitor,
    policy::LoadShed,
    signal::{CpuPressure, InvalidSetPoint, Memory, QueueDelay, RuntimeLag, SetPoint, Signal},
    snapshot::{ShedSnapshot, SignalSnapshot},
    unready::{ShedUnready, ShedUnreadyFuture, ShedUnreadyLayer, TypedShedUnreadyFuture},
};

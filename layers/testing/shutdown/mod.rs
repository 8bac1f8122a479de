//! Whether a process ends in order: a drill, with the app itself, over real sockets.
//!
//! That a shutdown works is known when it is tried, and it is tried in production, at each deployment: with a request under way, a
//! stream that never ends, a task that hangs. The drill starts the app anew for each of these, asks it to end, and looks:
//!
//! ```
//! # #[tokio::main] async fn main() {
//! use axum::{Router, routing::get};
//! use buttress::{BoxError, Lifecycle, testing};
//! use std::{net::SocketAddr, time::Duration};
//!
//! /// As `main` starts it.
//! async fn start(life: &Lifecycle) -> Result<SocketAddr, BoxError> {
//!     let slow = get(|| tokio::time::sleep(Duration::from_millis(300)));
//!     let app = Router::new().route("/slow", slow);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     let draining = life.handle().draining();
//!     let serve = async move { axum::serve(listener, app).with_graceful_shutdown(draining).await };
//!     drop(life.handle().context().spawn("serve", serve));
//!     Ok(address)
//! }
//!
//! testing::shutdown(start).slow("/slow").assert().await;
//! # }
//! ```
//!
//! # What is tried
//!
//! | | what must hold |
//! |---|---|
//! | [nothing to do](Scenario::Idle), and a connection that says nothing | it ends clean, and no longer listens |
//! | [a slow request](Scenario::SlowRequest), where a [path](Drill::slow) is given | it is answered whole, and the end is clean |
//! | [a stuck task](Scenario::StuckTask) | it is aborted and named, within the budget and the grace |
//! | [a stuck stream](Scenario::StuckStream), where a [path](Drill::stream) is given | it is cut when the process has ended, in the same time |
//! | [a second signal](Scenario::SecondSignal), with all that is stuck | all is over within the grace |
//!
//! Time is real: a drill takes about twice the budget, more where there is a stream.
//!
//! # Limits
//!
//! It speaks HTTP/1.1 without TLS. A slow request counts as under way a [moment](Drill::lead) after it was sent.

mod client;
mod drill;
mod finding;

use std::net::SocketAddr;

pub use self::{
    drill::Drill,
    finding::{Finding, Findings, Scenario},
};
use crate::{body::BoxError, lifecycle::Lifecycle};

/// A drill for the app that `start` starts: as a part of the lifecycle it is given, listening at the address it gives back. See the
/// [module](self).
///
/// It is started once for each scenario.
pub const fn shutdown<F>(start: F) -> Drill<F>
where
    F: AsyncFn(&Lifecycle) -> Result<SocketAddr, BoxError>,
{
    Drill::new(start)
}

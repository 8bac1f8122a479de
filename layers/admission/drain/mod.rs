//! The gate at shutdown: nothing new is let in, what is in flight goes on.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
//! use axum::{Router, routing::get};
//! use buttress::admission::drain::Drain;
//! # use tower::ServiceExt;
//!
//! let drain = Drain::new();
//! let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(drain.layer());
//!
//! drain.start();
//! let response = app.oneshot(http::Request::get("/").body(axum::body::Body::empty())?).await?;
//! assert_eq!(response.status(), 503);
//! assert_eq!(response.headers()["connection"], "close");
//! # Ok(()) }
//! ```
//!
//! The answer is 503 (gRPC: status 14), with a hint to come back, for another instance can serve it; on HTTP/1 it closes its
//! connection, so that the caller's next request goes elsewhere. The request was not executed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{AdmissionLayer, Admit, Arrival, Decision, Never};
use crate::{
    rejection::{Reason, Rejection},
    telemetry::{Measured, Report, instruments},
};

const NAME: &str = "drain";

/// A gate that is open until draining [starts](Self::start). Clones are the same gate. See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Drain {
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    draining: AtomicBool,
    /// Written to only once it is closed, so that who passes an open gate waits for nobody.
    rejected: AtomicU64,
}

/// How a [`Drain`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainSnapshot {
    /// Whether the gate is closed.
    pub draining: bool,
    /// Requests that came to it when it was.
    pub rejected: u64,
}

impl Drain {
    /// An open gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// The layer of this gate. It holds nothing per request, and costs a load.
    pub fn layer(&self) -> AdmissionLayer<Self> {
        AdmissionLayer::new(self.clone())
    }

    /// Closes the gate, for good.
    pub fn start(&self) {
        self.gate.draining.store(true, Ordering::Release);
    }

    /// Whether the gate is closed.
    pub fn is_draining(&self) -> bool {
        self.gate.draining.load(Ordering::Acquire)
    }

    /// How it stands.
    pub fn snapshot(&self) -> DrainSnapshot {
        DrainSnapshot {
            draining: self.is_draining(),
            rejected: self.gate.rejected.load(Ordering::Relaxed),
        }
    }
}

impl Admit for Drain {
    type Permit = ();
    type Wait = Never<()>;

    fn admit(&self, _: &Arrival<'_>) -> Decision<(), Never<()>> {
        if self.is_draining() {
            self.gate.rejected.fetch_add(1, Ordering::Relaxed);
            Decision::No(Rejection::new(Reason::Draining, NAME))
        } else {
            Decision::Now(())
        }
    }
}

impl Measured for Drain {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        instruments::DRAIN_REJECTED.count(self.snapshot().rejected, &[("name", name)], report);
    }
}

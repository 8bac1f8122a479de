//! Deadlines: read at the door, enforced over queue, handler and body, and written on every call that goes out.
//!
//! A timeout on each hop is not a deadline. Three tiers with 10 s each work for 10 s after their caller has given up, because
//! none knows what the one above has left. A deadline is one instant for the whole call, and every tier gets what remains.
//!
//! - [`DeadlineLayer`], on a server, reads the caller's deadline from the headers, caps it, and holds all below to it.
//! - [`PropagateDeadlineLayer`], on a client, writes what remains on each attempt, and sends nothing when nothing remains.
//! - [`TimeoutLayer`] is a plain bound on what it wraps, of any request type: a child deadline.
//!
//! ```
//! use buttress::{CancelLayer, DeadlineLayer};
//! use std::time::Duration;
//!
//! let app: axum::Router = axum::Router::new()
//!     .route("/", axum::routing::get(|| async { "hello" }))
//!     .layer(CancelLayer::new())
//!     .layer(DeadlineLayer::new(Duration::from_secs(10)));
//! ```
//!
//! # What happens when it passes
//!
//! | where the call is | the answer |
//! |---|---|
//! | on arrival | 504 (gRPC: status 4) without calling the handler |
//! | waiting, or in the handler | the handler is dropped; 504 (gRPC: status 4) |
//! | the service fails, and it is late | the same: most often it failed by the deadline |
//! | in the body, gRPC | trailers with status 4 |
//! | in the body, gRPC-Web and Connect streams, at the boundary of a message | an end-of-stream frame of the protocol |
//! | in the body, all else | a body error, so that nobody takes half an answer for a whole one |
//!
//! The inner service is polled before any timer, and a timer is armed only when it is not ready at once: a call that never
//! waits never touches one. `poll_ready` is always the inner service's; a wait for readiness is the caller's, and counts from
//! the moment the request is handed over.
//!
//! # Limits
//!
//! A body is not polled while its peer does not read. Against a reader that stalls, the end of the body is therefore found when
//! the peer reads again or leaves. The context of the request does end at its deadline, and so do its tasks.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    context::Frame,
    telemetry::{Event, Stage, emit},
};

/// Which of the layers rejects: a byte in place of a name, for it rides in every response.
#[derive(Clone, Copy, Debug)]
enum By {
    Deadline,
    Propagate,
    Timeout,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Propagate => "propagate-deadline",
            Self::Timeout => "timeout",
        }
    }
}

/// Tells how much is left of the deadline in scope, as of this moment.
#[inline]
fn tell_remaining(stage: Stage, now: Instant) {
    emit(|| Event::Deadline {
        stage,
        remaining: Frame::facts()
            .deadline
            .map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now)),
    });
}

mod body;
mod future;
mod layer;
mod propagate;
mod timeout;

pub use self::{
    body::DeadlineBody,
    future::{DeadlineFuture, TypedDeadlineFuture},
    layer::{DeadlineLayer, DeadlineService, DeadlineSnapshot},
    propagate::{PropagateDeadline, PropagateDeadlineLayer, PropagateSnapshot},
    timeout::{Timeout, TimeoutLayer},
};

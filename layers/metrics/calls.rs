use std::{fmt, sync::Arc};

use metrics::Recorder;

use super::{
    handles::Handles,
    series::{Kind, Spoken},
    sink::Sink,
    told::{Count, Timed},
};
use crate::{
    observe::{Began, Ended, Event, Observer, ProcessEvent, Side, method},
    outcome::Outcome,
};

/// Records calls, what happens in them, and the end of the process. See the [module](super).
///
/// | instrument | from |
/// |---|---|
/// | `http.server.request.duration`, `http.client.request.duration` | each call's end |
/// | `rpc.server.call.duration`, `rpc.client.call.duration` | each call's end, where it is gRPC or Connect |
/// | `http.server.active_requests` | each call's beginning and end |
/// | `buttress.request.cancelled` | calls whose end nobody waited for |
/// | `buttress.deadline.remaining` | the deadline that a request came with, and the one that a call was sent with |
/// | `buttress.rejected` | the layers that reject |
/// | `buttress.queue.wait.duration` | the limits that let wait |
/// | `buttress.job.duration`, `buttress.shutdown.duration`, `buttress.shutdown.aborted` | the [`Lifecycle`](crate::Lifecycle) that it observes |
///
/// Clones record with the same handles: give one to each [`ObserveLayer`](crate::ObserveLayer), of server and clients.
#[derive(Clone)]
pub struct CallMetrics(Arc<Handles>);

/// What a call is counted under while it runs.
#[derive(Debug)]
pub struct Counted(Option<Kind>);

impl CallMetrics {
    /// Records with the recorder that is installed. Install it first: what is recorded without one is lost, then and later.
    #[expect(
        clippy::new_without_default,
        reason = "it has an effect: it describes its instruments"
    )]
    pub fn new() -> Self {
        Self(Arc::new(Handles::new(Sink::Installed)))
    }

    /// Records with this recorder, whatever is installed.
    pub fn with_recorder(recorder: impl Recorder + Send + Sync + 'static) -> Self {
        Self(Arc::new(Handles::new(Sink::Given(Arc::new(recorder)))))
    }
}

impl Observer for CallMetrics {
    type Call = Counted;

    #[inline]
    fn began(&self, began: &Began<'_>) -> Counted {
        let (Some(protocol), Some(head)) = (began.protocol, began.head) else {
            return Counted(None);
        };
        let method = method::number(head.method);
        if began.side == Side::Server {
            self.0.active(method).increment(1.0);
        }
        Counted(Some(Kind {
            side: began.side,
            spoken: Spoken::of(protocol),
            method,
            route: began.route.map(|route| self.0.route(route)),
        }))
    }

    fn event(&self, _: &mut Counted, event: &Event) {
        match *event {
            Event::Deadline { stage, remaining } => self.0.remaining(stage, remaining.as_secs_f64()),
            Event::Queued {
                limit,
                band,
                wait,
                leave,
            } => self.0.time(Timed::Queued(limit, band, leave), wait.as_secs_f64()),
            Event::Rejected {
                layer,
                reason,
                criticality,
            } => self.0.count(Count::Rejected(layer, reason, criticality)),
            // Counted by the layers themselves.
            Event::Retried { .. } | Event::GaveUp { .. } | Event::Hedged { .. } => {}
        }
    }

    #[inline]
    fn ended(&self, Counted(kind): Counted, ended: &Ended) {
        if let Outcome::Cancelled(why) = ended.outcome {
            self.0.count(Count::Cancelled(why, ended.at));
        }
        let Some(kind) = kind else { return };
        if kind.side == Side::Server {
            self.0.active(kind.method).decrement(1.0);
        }
        self.0.ended(kind, ended);
    }

    fn process(&self, event: &ProcessEvent<'_>) {
        match *event {
            ProcessEvent::JobEnded {
                worker,
                outcome,
                took: Some(took),
            } => self.0.job(worker, outcome, took.as_secs_f64()),
            ProcessEvent::PhaseEnded { phase, took } => self.0.time(Timed::Phase(phase), took.as_secs_f64()),
            ProcessEvent::Aborted { kind, .. } => self.0.count(Count::Aborted(kind)),
            // Counted by the worker itself.
            ProcessEvent::JobEnded { took: None, .. } | ProcessEvent::WorkerRestarted { .. } => {}
        }
    }
}

impl fmt::Debug for CallMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallMetrics").finish_non_exhaustive()
    }
}

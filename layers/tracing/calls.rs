use std::time::Duration;

use ::tracing::{Level, Span, debug, event, info, level_filters::LevelFilter, warn};

use super::{MakeSpan, Standard};
use crate::{
    observe::{Began, Ended, ErrorType, Event, Observer, ProcessEvent, Side, grpc_status_name},
    telemetry::Stage,
};

/// Makes a span of each call. See the [module](super).
///
/// Clones are as good as new ones: there is no state, for it is all the subscriber's.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallSpans<M = Standard> {
    make: M,
}

/// A call's span. It is small where there is none, for it is moved with the call's future and its answer.
#[derive(Debug)]
pub struct Spanned(Option<Box<Spanning>>);

/// A span, with what its end is to say.
#[derive(Debug)]
struct Spanning {
    span: Span,
    side: Side,
    attempts: u32,
    queued: Option<Duration>,
    remaining: Option<Duration>,
}

impl CallSpans {
    /// Makes spans as the [module](super) describes them.
    pub const fn new() -> Self {
        Self { make: Standard }
    }
}

impl<M: MakeSpan> CallSpans<M> {
    /// Makes spans by this function: with a parent from the request's headers, with fields of one's own, or none where there is to be none.
    ///
    /// ```
    /// use buttress::{ObserveLayer, observe::Began, tracing::{CallSpans, MakeSpan, Standard}};
    ///
    /// let layer = ObserveLayer::server(CallSpans::with(|began: &Began<'_>| match began.head {
    ///     Some(head) if head.uri.path() == "/live" => tracing::Span::none(),
    ///     _ => Standard.make_span(began),
    /// }));
    /// # let _ = layer;
    /// ```
    pub const fn with(make: M) -> Self {
        Self { make }
    }
}

impl<M: MakeSpan> Observer for CallSpans<M> {
    type Call = Spanned;

    /// Whether there is a subscriber that wants anything of it at all.
    #[inline]
    fn listens(&self) -> bool {
        M::LEVEL <= LevelFilter::current()
    }

    #[inline]
    fn began(&self, began: &Began<'_>) -> Spanned {
        let span = self.make.make_span(began);
        if span.is_disabled() {
            return Spanned(None);
        }
        Spanned(Some(Box::new(Spanning {
            span,
            side: began.side,
            attempts: 1,
            queued: None,
            remaining: None,
        })))
    }

    #[inline]
    fn enter<R>(&self, call: &mut Spanned, poll: impl FnOnce() -> R) -> R {
        match call {
            Spanned(Some(call)) => call.span.in_scope(poll),
            Spanned(None) => poll(),
        }
    }

    fn event(&self, call: &mut Spanned, event: &Event) {
        if let Spanned(Some(call)) = call {
            call.happened(event);
        }
    }

    #[inline]
    fn ended(&self, call: Spanned, ended: &Ended) {
        if let Spanned(Some(call)) = call {
            call.ended(ended);
        }
    }

    fn process(&self, event: &ProcessEvent<'_>) {
        match *event {
            ProcessEvent::JobEnded { worker, outcome, took } => {
                let took = took.map(|took| took.as_secs_f64());
                if outcome == "done" {
                    debug!(target: "buttress", worker, outcome, took, "job ended");
                } else {
                    warn!(target: "buttress", worker, outcome, took, "job ended");
                }
            }
            ProcessEvent::PhaseEnded { phase, took } => {
                info!(target: "buttress", phase, took = took.as_secs_f64(), "phase ended");
            }
            ProcessEvent::Aborted { kind, name, age } => {
                warn!(target: "buttress", kind, name, age = age.as_secs_f64(), "aborted");
            }
            // The worker tells of it itself, whoever observes.
            ProcessEvent::WorkerRestarted { .. } => {}
        }
    }
}

impl Spanning {
    #[cold]
    fn happened(&mut self, event: &Event) {
        let Self { span, .. } = &*self;
        match *event {
            Event::Deadline { stage, remaining } => {
                // A server's is what it arrived with, whatever it then sends.
                if stage == Stage::Arrival || self.side == Side::Client {
                    self.remaining = Some(remaining);
                }
            }
            Event::Queued {
                limit,
                band,
                wait,
                leave,
            } => {
                event!(
                    target: "buttress", parent: span, Level::DEBUG,
                    limit, band = band.as_str(), wait = wait.as_secs_f64(), leave = leave.as_str(), "queued"
                );
                *self.queued.get_or_insert_default() += wait;
            }
            Event::Rejected {
                layer,
                reason,
                criticality,
            } => event!(
                target: "buttress", parent: span, Level::INFO,
                layer, reason = reason.as_str(), criticality = criticality.as_str(), "rejected"
            ),
            Event::Retried { attempt, class } => {
                event!(
                    target: "buttress", parent: span, Level::INFO,
                    attempt, error.r#type = %ErrorType::from(class), "retried"
                );
                self.attempts += 1;
            }
            Event::GaveUp { attempts, reason } => {
                event!(target: "buttress", parent: span, Level::INFO, attempts, reason, "gave up");
            }
            Event::Hedged { attempt } => {
                event!(target: "buttress", parent: span, Level::INFO, attempt, "hedged");
                self.attempts += 1;
            }
        }
    }

    fn ended(&self, ended: &Ended) {
        let Self { span, .. } = self;
        if let Some(status) = ended.grpc_status {
            span.record("rpc.response.status_code", grpc_status_name(status).unwrap_or("_OTHER"));
        } else if let Some(status) = ended.status {
            span.record("http.response.status_code", status.as_u16());
        }
        if let Some(error) = ended.error {
            span.record("error.type", ::tracing::field::display(error));
            span.record("otel.status_code", "ERROR");
        }
        span.record("buttress.outcome", ended.outcome.as_str());
        span.record("buttress.at", ended.at.as_str());
        span.record("buttress.attempts", self.attempts);
        if let Some(wait) = self.queued {
            span.record("buttress.queue.wait", wait.as_secs_f64());
        }
        if let Some(remaining) = self.remaining {
            span.record("buttress.deadline.remaining", remaining.as_secs_f64());
        }
    }
}

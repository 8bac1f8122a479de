use std::fmt;

use ::tracing::{Level, Span, field, info_span};

use crate::observe::{Began, Side};

/// Makes the span of a call. A function of the [`Began`] is one, and [`Standard`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make spans of calls",
    note = "a function `Fn(&Began<'_>) -> tracing::Span` does"
)]
pub trait MakeSpan {
    /// How severe a subscriber's threshold may be, for this to be of any interest to it: where it wants only what is more severe, no call is
    /// observed.
    const LEVEL: Level = Level::ERROR;

    /// The span of a call that begins. What is recorded in it at the end are the fields that it has of [those](super).
    fn make_span(&self, began: &Began<'_>) -> Span;
}

/// Makes spans with the fields that the [module](super) lists.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

impl<F: Fn(&Began<'_>) -> Span> MakeSpan for F {
    #[inline]
    fn make_span(&self, began: &Began<'_>) -> Span {
        self(began)
    }
}

/// Each of these is a callsite of its own, and so cannot be one with the other.
macro_rules! standard {
    ($name:literal, $kind:literal, $began:ident) => {
        info_span!(
            target: "buttress",
            $name,
            otel.name = %Name($began),
            otel.kind = $kind,
            otel.status_code = field::Empty,
            http.request.method = $began.method().filter(|_| $began.rpc_system().is_none()),
            http.route = $began.route.filter(|_| $began.rpc_system().is_none()),
            http.response.status_code = field::Empty,
            rpc.system.name = $began.rpc_system(),
            rpc.method = $began.rpc_method(),
            rpc.response.status_code = field::Empty,
            error.r#type = field::Empty,
            buttress.outcome = field::Empty,
            buttress.at = field::Empty,
            buttress.attempts = field::Empty,
            buttress.queue.wait = field::Empty,
            buttress.deadline.remaining = field::Empty,
        )
    };
}

impl MakeSpan for Standard {
    const LEVEL: Level = Level::INFO;

    #[inline]
    fn make_span(&self, began: &Began<'_>) -> Span {
        match began.side {
            Side::Server => standard!("request", "server", began),
            Side::Client => standard!("call", "client", began),
        }
    }
}

/// What OpenTelemetry's conventions call a span: of few values, as the route is.
struct Name<'a>(&'a Began<'a>);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(began) = *self;
        if let Some(system) = began.rpc_system() {
            return f.write_str(began.rpc_method().unwrap_or(system));
        }
        // What has a method of its own is not what a name should be made of.
        let method = match began.method() {
            Some("_OTHER") => "HTTP",
            Some(method) => method,
            None => "call",
        };
        match began.route {
            Some(route) => write!(f, "{method} {route}"),
            None => f.write_str(method),
        }
    }
}

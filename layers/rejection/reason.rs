use http::StatusCode;

/// Why a request was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A limit is reached and its queue is full, or could not serve it in time.
    Overloaded,
    /// The process is in trouble, and the request less critical than others.
    Shed,
    /// The destination keeps failing: its circuit is open.
    BreakerOpen,
    /// The process is shutting down.
    Draining,
    /// The caller is over its quota.
    Quota,
    /// The deadline passed, or cannot be met.
    DeadlineExceeded,
    /// The caller left, or gave up.
    Cancelled,
    /// The request carries a deadline that cannot be read, and the layer is strict.
    InvalidDeadline,
    /// The call has no deadline, and must have one.
    MissingDeadline,
    /// The upstream cannot be reached, or broke off.
    Unreachable,
}

impl Reason {
    /// Whether it is for want of capacity, and whoever comes back later may be let in.
    pub const fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::Overloaded | Self::Shed | Self::BreakerOpen | Self::Draining | Self::Quota
        )
    }

    /// The reason as a metric's attribute has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Shed => "shed",
            Self::BreakerOpen => "breaker_open",
            Self::Draining => "draining",
            Self::Quota => "quota",
            Self::DeadlineExceeded => "deadline",
            Self::Cancelled => "cancelled",
            Self::InvalidDeadline => "invalid_deadline",
            Self::MissingDeadline => "missing_deadline",
            Self::Unreachable => "unreachable",
        }
    }

    /// What people are told.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Shed => "shedding load",
            Self::BreakerOpen => "circuit breaker open",
            Self::Draining => "shutting down",
            Self::Quota => "quota exceeded",
            Self::DeadlineExceeded => "deadline exceeded",
            Self::Cancelled => "the caller left",
            Self::InvalidDeadline => "invalid deadline",
            Self::MissingDeadline => "call without a deadline",
            Self::Unreachable => "upstream unreachable",
        }
    }

    /// The status it has in plain HTTP. 499 is for logs alone: nobody is left to hear it.
    pub fn http_status(self) -> StatusCode {
        match self {
            Self::Overloaded | Self::Shed | Self::BreakerOpen | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::Quota => StatusCode::TOO_MANY_REQUESTS,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::InvalidDeadline => StatusCode::BAD_REQUEST,
            Self::MissingDeadline => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unreachable => StatusCode::BAD_GATEWAY,
        }
    }

    /// The code it has in gRPC and gRPC-Web, as `grpc-status` has it.
    pub const fn grpc_status(self) -> &'static str {
        match self {
            Self::Overloaded | Self::Shed | Self::BreakerOpen | Self::Draining | Self::Unreachable => "14",
            Self::Quota => "8",
            Self::DeadlineExceeded => "4",
            Self::Cancelled => "1",
            Self::InvalidDeadline | Self::MissingDeadline => "13",
        }
    }

    /// The code it has in Connect.
    pub const fn connect_code(self) -> &'static str {
        match self {
            Self::Overloaded | Self::Shed | Self::BreakerOpen | Self::Draining | Self::Unreachable => "unavailable",
            Self::Quota => "resource_exhausted",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Cancelled => "canceled",
            Self::InvalidDeadline => "invalid_argument",
            Self::MissingDeadline => "internal",
        }
    }

    /// The status that goes with the code in Connect's unary calls, as the Connect protocol maps them.
    pub(super) fn connect_status(self) -> StatusCode {
        match self.connect_code() {
            "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => self.http_status(),
        }
    }
}

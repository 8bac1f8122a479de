//! The headers: their names, what their values mean, and how one is written.

use std::{error, fmt, time::Duration};

use http::{HeaderName, HeaderValue};

use super::grammar;

/// A header that says how long the caller will wait.
///
/// ```
/// # use std::time::Duration;
/// # use buttress::context::wire::DeadlineHeader;
/// let header = DeadlineHeader::GrpcTimeout;
/// assert_eq!(header.decode(b"1500u"), Ok(Some(Duration::from_micros(1500))));
/// assert!(header.decode(b"+1S").is_err());
/// assert_eq!(header.encode(Duration::from_millis(100)).expect("in range"), "100000u");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadlineHeader {
    /// `grpc-timeout`: 1 to 8 digits and a unit, hours (`H`) to nanoseconds (`n`). Source: gRPC over HTTP/2, *Timeout*.
    GrpcTimeout,
    /// `connect-timeout-ms`: 1 to 10 digits of milliseconds. Source: the Connect protocol, *Timeouts*.
    ConnectTimeoutMs,
    /// `x-envoy-expected-rq-timeout-ms`: milliseconds that Envoy gives its upstream, less on each retry; `0` is no deadline.
    EnvoyExpectedMs,
    /// `x-envoy-upstream-rq-timeout-ms`: milliseconds that a caller asks of Envoy; `0` is no deadline.
    EnvoyUpstreamMs,
    /// `x-request-timeout-ms`: 1 to 10 digits of milliseconds, for services that speak plain HTTP. Where it is valid,
    /// [`RequestTimeout`](Self::RequestTimeout) is not heard.
    RequestTimeoutMs,
    /// `x-request-timeout`: seconds as 1 to 10 digits, and after a point 1 to 9 more.
    RequestTimeout,
    /// `l5d-request-timeout`: digits and a unit, milliseconds (`ms`) to days (`d`), or a bare `0`. Source: linkerd2-proxy.
    LinkerdRequestTimeout,
    /// `l5d-timeout`: the short name of [`LinkerdRequestTimeout`](Self::LinkerdRequestTimeout).
    LinkerdTimeout,
}

impl DeadlineHeader {
    /// All of them, in the order in which [`Reading::strict`](super::Reading::strict) looks at them.
    pub const ALL: [Self; 8] = [
        Self::GrpcTimeout,
        Self::ConnectTimeoutMs,
        Self::EnvoyExpectedMs,
        Self::EnvoyUpstreamMs,
        Self::RequestTimeoutMs,
        Self::RequestTimeout,
        Self::LinkerdRequestTimeout,
        Self::LinkerdTimeout,
    ];

    /// The header's name, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GrpcTimeout => "grpc-timeout",
            Self::ConnectTimeoutMs => "connect-timeout-ms",
            Self::EnvoyExpectedMs => "x-envoy-expected-rq-timeout-ms",
            Self::EnvoyUpstreamMs => "x-envoy-upstream-rq-timeout-ms",
            Self::RequestTimeoutMs => "x-request-timeout-ms",
            Self::RequestTimeout => "x-request-timeout",
            Self::LinkerdRequestTimeout => "l5d-request-timeout",
            Self::LinkerdTimeout => "l5d-timeout",
        }
    }

    /// The header's name, for a `HeaderMap`. It is static: nothing is allocated or checked.
    pub fn name(self) -> HeaderName {
        const fn name(index: usize) -> HeaderName {
            HeaderName::from_static(DeadlineHeader::ALL[index].as_str())
        }
        static NAMES: [HeaderName; 8] = [name(0), name(1), name(2), name(3), name(4), name(5), name(6), name(7)];
        NAMES[self as usize].clone()
    }

    /// The header with this name, which is in lower case as in every `HeaderMap`.
    #[inline]
    pub(super) fn named(name: &str) -> Option<Self> {
        /// A bit for each length that one of our names has. Few others have one of them.
        const LENGTHS: u64 = {
            let (mut lengths, mut index) = (0, 0);
            while index < DeadlineHeader::ALL.len() {
                lengths |= 1 << DeadlineHeader::ALL[index].as_str().len();
                index += 1;
            }
            lengths
        };
        if name.len() < 64 && LENGTHS >> name.len() & 1 == 1 {
            Self::of_that_length(name)
        } else {
            None
        }
    }

    fn of_that_length(name: &str) -> Option<Self> {
        match name {
            "grpc-timeout" => Some(Self::GrpcTimeout),
            "connect-timeout-ms" => Some(Self::ConnectTimeoutMs),
            "x-envoy-expected-rq-timeout-ms" => Some(Self::EnvoyExpectedMs),
            "x-envoy-upstream-rq-timeout-ms" => Some(Self::EnvoyUpstreamMs),
            "x-request-timeout-ms" => Some(Self::RequestTimeoutMs),
            "x-request-timeout" => Some(Self::RequestTimeout),
            "l5d-request-timeout" => Some(Self::LinkerdRequestTimeout),
            "l5d-timeout" => Some(Self::LinkerdTimeout),
            _ => None,
        }
    }

    /// Reads a value of this header, byte for byte: no white space, no sign, no list.
    ///
    /// `Ok(None)` says "no deadline", which only Envoy's `0` does. Any other zero is [`Duration::ZERO`]: the caller has left
    /// already, so answer without calling the handler. What is too long for a [`Duration`] saturates at [`Duration::MAX`].
    ///
    /// # Errors
    ///
    /// [`InvalidDeadline`] where the value does not fit the header's grammar.
    pub fn decode(self, value: &[u8]) -> Result<Option<Duration>, InvalidDeadline> {
        let timeout = match self {
            Self::GrpcTimeout => grammar::decode_grpc(value),
            Self::ConnectTimeoutMs | Self::RequestTimeoutMs => grammar::decode_ms::<10>(value),
            Self::EnvoyExpectedMs | Self::EnvoyUpstreamMs => {
                return match grammar::decode_ms::<19>(value) {
                    Some(Duration::ZERO) => Ok(None),
                    Some(timeout) => Ok(Some(timeout)),
                    None => Err(InvalidDeadline { header: self }),
                };
            }
            Self::RequestTimeout => grammar::decode_seconds(value),
            Self::LinkerdRequestTimeout | Self::LinkerdTimeout => grammar::decode_linkerd(value),
        };
        timeout.map(Some).ok_or(InvalidDeadline { header: self })
    }

    /// Writes a timeout, rounded down to the header's unit: milliseconds, and for gRPC the finest unit that takes 8 digits.
    ///
    /// `None` where the header has no word for it: zero, less than 1 ms in all but gRPC's, or more digits than its grammar has
    /// (10 or 19; for gRPC, 99,999,999 hours). A timeout of zero is never written: the call is over, and to Envoy `0` would
    /// say the opposite. Where a timeout is too long to write, no header says it well enough: the callee's own limit holds.
    pub fn encode(self, timeout: Duration) -> Option<HeaderValue> {
        match self {
            Self::GrpcTimeout => grammar::encode_grpc(timeout),
            Self::ConnectTimeoutMs | Self::RequestTimeoutMs => grammar::encode_ms::<10>(timeout, ""),
            Self::EnvoyExpectedMs | Self::EnvoyUpstreamMs => grammar::encode_ms::<19>(timeout, ""),
            Self::RequestTimeout => grammar::encode_seconds(timeout),
            Self::LinkerdRequestTimeout | Self::LinkerdTimeout => grammar::encode_ms::<19>(timeout, "ms"),
        }
    }

    const fn grammar(self) -> &'static str {
        match self {
            Self::GrpcTimeout => "1 to 8 digits and one of H M S m u n",
            Self::ConnectTimeoutMs | Self::RequestTimeoutMs => "1 to 10 digits",
            Self::EnvoyExpectedMs | Self::EnvoyUpstreamMs => "1 to 19 digits",
            Self::RequestTimeout => "1 to 10 digits, or those with a point and 1 to 9 digits",
            Self::LinkerdRequestTimeout | Self::LinkerdTimeout => "1 to 19 digits and one of ms s m h d, or 0",
        }
    }
}

/// A deadline header does not fit its grammar.
///
/// It names the header and what was expected, and does not repeat what came: that is a stranger's text.
///
/// ```
/// # use buttress::context::wire::DeadlineHeader;
/// let error = DeadlineHeader::GrpcTimeout.decode(b"1.5S").unwrap_err();
/// assert_eq!(error.header(), DeadlineHeader::GrpcTimeout);
/// assert_eq!(error.to_string(), "invalid grpc-timeout: expected 1 to 8 digits and one of H M S m u n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidDeadline {
    pub(super) header: DeadlineHeader,
}

impl InvalidDeadline {
    /// The header whose value is invalid.
    pub const fn header(self) -> DeadlineHeader {
        self.header
    }
}

impl fmt::Display for InvalidDeadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid {}: expected {}",
            self.header.as_str(),
            self.header.grammar()
        )
    }
}

impl error::Error for InvalidDeadline {}

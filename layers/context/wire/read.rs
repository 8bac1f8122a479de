//! Which headers are read, and what they say together.

use std::{fmt, ops::BitOr, time::Duration};

use http::{HeaderMap, HeaderValue, header::Keys};

use super::{DeadlineHeader, InvalidDeadline};

/// A set of deadline headers: those that are read from a request.
///
/// The default is [`GRPC`](Self::GRPC), [`CONNECT`](Self::CONNECT) and [`PLAIN`](Self::PLAIN). The headers of a mesh mean
/// something behind that mesh, where its proxy wrote them; anywhere else they are a stranger's word.
///
/// ```
/// use std::time::Duration;
///
/// use buttress::context::wire::{DeadlineHeader, DeadlineHeaders};
/// use http::HeaderMap;
///
/// let headers = HeaderMap::from_iter([
///     (DeadlineHeader::GrpcTimeout.name(), "2S".parse()?),
///     (DeadlineHeader::EnvoyExpectedMs.name(), "250".parse()?),
/// ]);
/// let trusted = DeadlineHeaders::default();
/// assert_eq!(trusted.read(&headers).timeout, Some(Duration::from_secs(2)));
///
/// let trusted = trusted | DeadlineHeaders::ENVOY;
/// assert_eq!(trusted.read(&headers).timeout, Some(Duration::from_millis(250)));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeadlineHeaders(pub(super) u8);

impl DeadlineHeaders {
    /// No header: what callers ask for is not heard.
    pub const NONE: Self = Self(0);
    /// Every header there is.
    pub const ALL: Self = Self(u8::MAX);
    /// `grpc-timeout`.
    pub const GRPC: Self = Self::only(DeadlineHeader::GrpcTimeout);
    /// `connect-timeout-ms`.
    pub const CONNECT: Self = Self::only(DeadlineHeader::ConnectTimeoutMs);
    /// `x-request-timeout-ms` and `x-request-timeout`.
    pub const PLAIN: Self =
        Self::only(DeadlineHeader::RequestTimeoutMs).with(Self::only(DeadlineHeader::RequestTimeout));
    /// `x-envoy-expected-rq-timeout-ms` and `x-envoy-upstream-rq-timeout-ms`.
    pub const ENVOY: Self =
        Self::only(DeadlineHeader::EnvoyExpectedMs).with(Self::only(DeadlineHeader::EnvoyUpstreamMs));
    /// `l5d-request-timeout` and `l5d-timeout`.
    pub const LINKERD: Self =
        Self::only(DeadlineHeader::LinkerdRequestTimeout).with(Self::only(DeadlineHeader::LinkerdTimeout));

    /// This one header.
    #[must_use]
    pub const fn only(header: DeadlineHeader) -> Self {
        Self(1 << header as u8)
    }

    /// These and `other`, as `|` does where a constant is not needed.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `header` is one of these.
    pub const fn contains(self, header: DeadlineHeader) -> bool {
        self.0 & Self::only(header).0 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The headers, in the order of [`DeadlineHeader::ALL`].
    pub fn iter(self) -> impl Iterator<Item = DeadlineHeader> {
        DeadlineHeader::ALL
            .into_iter()
            .filter(move |header| self.contains(*header))
    }

    /// Whether one of these is among the headers. It costs half of a [reading](Self::read), for the names alone are quickly gone
    /// through, and most requests have none.
    #[inline]
    pub(crate) fn are_in(self, headers: &HeaderMap) -> bool {
        !headers.is_empty() && self.are_among(headers.keys())
    }

    fn are_among(self, mut names: Keys<'_, HeaderValue>) -> bool {
        names.any(|name| DeadlineHeader::named(name.as_str()).is_some_and(|header| self.contains(header)))
    }

    /// Reads these headers of a request: the shortest valid timeout, and which of them were invalid.
    ///
    /// One pass over all headers, and no allocation. The order in which they stand does not matter.
    pub fn read(self, headers: &HeaderMap) -> Reading {
        let mut reading = Reading::default();
        if self.is_empty() || headers.is_empty() {
            return reading;
        }
        let (mut plain_ms, mut plain) = (None, None);
        for (name, value) in headers {
            let Some(header) = DeadlineHeader::named(name.as_str()).filter(|header| self.contains(*header)) else {
                continue;
            };
            match header.decode(value.as_bytes()) {
                Ok(timeout) => {
                    let shortest = match header {
                        DeadlineHeader::RequestTimeoutMs => &mut plain_ms,
                        DeadlineHeader::RequestTimeout => &mut plain,
                        _ => &mut reading.timeout,
                    };
                    *shortest = shorter(*shortest, timeout);
                }
                Err(InvalidDeadline { header }) => reading.invalid = reading.invalid | header.into(),
            }
        }
        reading.timeout = shorter(reading.timeout, plain_ms.or(plain));
        reading
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Default for DeadlineHeaders {
    fn default() -> Self {
        Self::GRPC.with(Self::CONNECT).with(Self::PLAIN)
    }
}

impl From<DeadlineHeader> for DeadlineHeaders {
    fn from(header: DeadlineHeader) -> Self {
        Self::only(header)
    }
}

impl BitOr for DeadlineHeaders {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl fmt::Debug for DeadlineHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(DeadlineHeader::as_str)).finish()
    }
}

/// What a request's headers said about its deadline. The default says nothing.
///
/// A lenient reader takes [`timeout`](Self::timeout) and counts what was [`invalid`](Self::invalid); a strict one asks
/// [`strict`](Self::strict), and answers the error with INTERNAL (13), `invalid_argument` or 400.
///
/// ```
/// # use std::time::Duration;
/// # use buttress::context::wire::{DeadlineHeader, DeadlineHeaders};
/// # use http::HeaderMap;
/// let mut headers = HeaderMap::new();
/// headers.append("grpc-timeout", "9S".parse()?);
/// headers.append("grpc-timeout", "soon".parse()?);
/// let reading = DeadlineHeaders::default().read(&headers);
///
/// assert_eq!(reading.timeout, Some(Duration::from_secs(9)));
/// assert_eq!(reading.invalid, DeadlineHeaders::GRPC);
/// assert_eq!(reading.strict().unwrap_err().header(), DeadlineHeader::GrpcTimeout);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// The shortest valid timeout, neither trusted nor capped; zero has expired already. `None` where there is none.
    pub timeout: Option<Duration>,
    /// The headers that had an invalid value, be it beside a valid one.
    pub invalid: DeadlineHeaders,
}

impl Reading {
    /// The timeout, if no value was invalid.
    ///
    /// # Errors
    ///
    /// [`InvalidDeadline`] for the first of [`invalid`](Self::invalid).
    pub fn strict(self) -> Result<Option<Duration>, InvalidDeadline> {
        match self.invalid.iter().next() {
            Some(header) => Err(InvalidDeadline { header }),
            None => Ok(self.timeout),
        }
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            timeout: None,
            invalid: DeadlineHeaders::NONE,
        }
    }
}

//! What the headers say of attempts: to the upstream which one it is, to the callers above that it is over.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::rejection::Protocol;

static PREVIOUS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");
static RETRY: HeaderName = HeaderName::from_static("x-retry-attempt");
static SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
static PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// Tells the upstream how many attempts came before this one. The first says nothing ([gRFC A6]).
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#exposed-retry-metadata
pub(crate) fn write_attempt(headers: &mut HeaderMap, protocol: &Protocol, attempt: u32) {
    let name = if protocol.has_grpc_status() { &PREVIOUS } else { &RETRY };
    headers.insert(name, attempt.saturating_sub(1).into());
}

/// Whether it says of itself that it is a retry.
pub(crate) fn is_retry(headers: &HeaderMap) -> bool {
    let counts = |name| {
        headers
            .get(name)
            .is_some_and(|value: &HeaderValue| value.as_bytes() != b"0")
    };
    counts(&PREVIOUS) || counts(&RETRY)
}

/// Tells the callers not to try again: what could be done about it was done.
pub(crate) fn write_do_not_retry(headers: &mut HeaderMap, protocol: &Protocol) {
    if protocol.has_grpc_status() {
        headers.insert(&PUSHBACK, HeaderValue::from_static("-1"));
    } else {
        headers.insert(&SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

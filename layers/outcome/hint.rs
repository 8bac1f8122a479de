//! When to come back: what an upstream says about trying again.
//!
//! A caller that is turned away and guesses its backoff comes back too soon, or later than it need. The upstream knows better,
//! and has a header to say so: in seconds, in milliseconds, as a date, as a quota. Read wrong, a hint makes the storm that it
//! should have calmed: a date against a skewed clock, a `0` that tells a thousand clients "now", a number that never ends.

use std::{
    cell::LazyCell,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, header};
use sfv::{List, ListEntry, Parser, key_ref};

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static X_MS_RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");
static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
static SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// What an upstream said about trying again.
///
/// `None` of it is "no hint", the caller's own backoff. For HTTP, a wait of zero, a past date and a value that does not parse
/// come to the same, while a gRPC pushback that does not parse is [`DoNotRetry`](Self::DoNotRetry).
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use buttress::outcome::Hint;
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after", "120".parse()?);
///
/// let hint = Hint::http(&headers, SystemTime::now);
/// assert_eq!(hint, Some(Hint::After(Duration::from_secs(120))));
/// // Nobody waits two minutes: better to fail now than to hold the caller.
/// assert_eq!(hint.map(|hint| hint.capped(Hint::DEFAULT_CAP)), Some(Hint::DoNotRetry));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
///
/// # Limits
///
/// It is the upstream's word, uncapped until [`capped`](Self::capped). Whether there is time left to wait, and whether the
/// request may be sent twice, is for the retry to know. Jitter is for whoever waits: some on top of HTTP's, none on gRPC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Come back after this long. [`Duration::ZERO`] comes from a gRPC pushback alone.
    After(Duration),
    /// Do not try again.
    DoNotRetry,
}

impl Hint {
    /// The longest wait that a hint is followed to, unless the user says otherwise: 30 s. See [`capped`](Self::capped).
    pub const DEFAULT_CAP: Duration = Duration::from_secs(30);

    /// Reads the headers of an HTTP response. The first of these that can be read decides:
    ///
    /// 1. `retry-after-ms`, then `x-ms-retry-after-ms`: digits, milliseconds.
    /// 2. `retry-after` ([RFC 9110, 10.2.3]): digits, seconds, or an HTTP-date in any of its three forms. A date counts from
    ///    the response's own `date`, which the same clock wrote; only where there is no valid one, `now` is called.
    /// 3. `ratelimit` ([draft-ietf-httpapi-ratelimit-headers]), where there is no `retry-after` at all: the longest `t` among
    ///    the policies with nothing left (`r=0`). A field that is malformed anywhere is ignored; so is a policy whose `r` or
    ///    `t` is no natural number.
    ///
    /// Given twice, a header means the longest of its valid waits. Too many digits saturate at [`Duration::MAX`]. A wait of zero
    /// and a date that is past decide as well, for `None`: "at once" is no answer to an overload.
    ///
    /// [RFC 9110, 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    /// [draft-ietf-httpapi-ratelimit-headers]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
    pub fn http(headers: &HeaderMap, now: impl FnOnce() -> SystemTime) -> Option<Self> {
        let dated = || date(headers.get(header::DATE)?.to_str().ok()?);
        let sent = LazyCell::new(|| dated().unwrap_or_else(now));
        let milliseconds = |value: &str| natural(value, Duration::from_millis);
        let seconds_or_date = |value: &str| {
            let until = || Some(date(value)?.duration_since(*sent).unwrap_or_default());
            natural(value, Duration::from_secs).or_else(until)
        };
        longest(headers, &RETRY_AFTER_MS, milliseconds)
            .or_else(|| longest(headers, &X_MS_RETRY_AFTER_MS, milliseconds))
            .or_else(|| longest(headers, &header::RETRY_AFTER, seconds_or_date))
            .or_else(|| exhausted(headers).filter(|_| !headers.contains_key(header::RETRY_AFTER)))
            .filter(|wait| !wait.is_zero())
            .map(Self::After)
    }

    /// Reads a gRPC server's pushback, `grpc-retry-pushback-ms`, from the trailers, or the headers of a response that has
    /// nothing else ([gRFC A6]): an `i32` of milliseconds, to be waited exactly.
    ///
    /// What is negative, repeated or anything else (leading zeros, a `+`, 2³¹ and above) is [`DoNotRetry`](Self::DoNotRetry).
    /// `0` is an order to come back at once. (Never send it: C-core hangs on it until its deadline.)
    ///
    /// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
    pub fn grpc(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&PUSHBACK).iter();
        let (value, repeated) = (values.next()?, values.next().is_some());
        let wait = value.to_str().ok().and_then(pushback).filter(|_| !repeated);
        Some(wait.map_or(Self::DoNotRetry, Self::After))
    }

    /// Reads `x-should-retry`, an upstream's plain word, for those who trust it above their own classification.
    ///
    /// `true` or `false`, in any case of letters; anything else is not heard. Where both are there, it is `false`.
    pub fn should_retry(headers: &HeaderMap) -> Option<bool> {
        let word = |value: &str| value.to_ascii_lowercase().parse().ok();
        values(headers, &SHOULD_RETRY).filter_map(word).min()
    }

    /// The hint, to those who wait no longer than `cap`: a longer wait is [`DoNotRetry`](Self::DoNotRetry).
    ///
    /// It is not cut down to the cap, for whoever comes back before the time is turned away again.
    #[must_use]
    pub fn capped(self, cap: Duration) -> Self {
        match self {
            Self::After(wait) if wait > cap => Self::DoNotRetry,
            hint => hint,
        }
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

fn longest(headers: &HeaderMap, name: &HeaderName, parse: impl Fn(&str) -> Option<Duration>) -> Option<Duration> {
    values(headers, name).filter_map(parse).max()
}

/// Digits and nothing else, in a unit.
fn natural(value: &str, unit: impl Fn(u64) -> Duration) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    // Of digits, `parse` fails on those alone that are too many.
    digits.then(|| value.parse().map_or(Duration::MAX, unit))
}

fn date(value: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(value).ok()
}

fn pushback(value: &str) -> Option<Duration> {
    let canonical = value == "0" || !value.starts_with('0');
    natural(value, Duration::from_millis).filter(|wait| canonical && wait.as_millis() <= i32::MAX.unsigned_abs().into())
}

/// How long until the last of the exhausted policies has quota again.
fn exhausted(headers: &HeaderMap) -> Option<Duration> {
    let mut policies = List::new();
    for line in headers.get_all(&RATELIMIT) {
        let line = Parser::new(line.as_bytes());
        line.parse_list_with_visitor(&mut policies).ok()?;
    }
    let wait = |policy: &ListEntry| {
        let ListEntry::Item(policy) = policy else { return None };
        let natural = |key| u64::try_from(policy.params.get(key_ref(key))?.as_integer()?).ok();
        let (remaining, reset) = (natural("r")?, natural("t")?);
        (remaining == 0).then_some(Duration::from_secs(reset))
    };
    policies.iter().filter_map(wait).max()
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    const S: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    /// A list of `name: value`, one a line.
    fn headers(lines: &str) -> HeaderMap {
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())
        };
        lines.lines().map(header).collect()
    }

    fn http(lines: &str) -> Option<Hint> {
        let now = || date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        Hint::http(&headers(lines), now)
    }

    #[test]
    fn retry_after_vectors() {
        let vector = |value| http(&format!("retry-after: {value}"));
        for (value, wait) in [
            ("120", 120 * S),
            ("Sun, 06 Nov 1994 08:49:47 GMT", 10 * S),
            ("Sunday, 06-Nov-94 08:49:47 GMT", 10 * S),
            ("Sun Nov  6 08:49:47 1994", 10 * S),
            ("Sun, 06 Nov 1994 08:49:47 GMT\ndate: today", 10 * S),
            // The longest valid of several, whichever comes first.
            ("5\nretry-after: 20", 20 * S),
            ("20\nretry-after: 5", 20 * S),
            ("soon\nretry-after: 5", 5 * S),
            ("5\nretry-after: Sun, 06 Nov 1994 08:49:47 GMT", 10 * S),
            ("99999999999999999999", Duration::MAX),
        ] {
            assert_eq!(vector(value), Some(Hint::After(wait)), "{value}");
        }
        let past = ["0", "Sun, 06 Nov 1994 08:49:00 GMT"];
        let invalid = ["-1", "1.5", "+1", "", "Mon, 06 Nov 1994 08:49:47 GMT"];
        for value in past.into_iter().chain(invalid) {
            assert_eq!(vector(value), None, "{value}");
        }
    }

    #[test]
    fn a_date_counts_from_the_clock_that_wrote_it() {
        let wait = |sent: &str| {
            let lines = format!("retry-after: Sun, 06 Nov 1994 08:49:47 GMT\ndate: {sent}");
            Hint::http(&headers(&lines), || panic!("the clock is read"))
        };
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:45 GMT"), Some(Hint::After(2 * S)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:50 GMT"), None);
    }

    #[test]
    fn ratelimit_vectors() {
        let vector = |value| http(&format!("ratelimit: {value}"));
        for (value, wait) in [
            (r#""p";r=0;t=30"#, 30 * S),
            (r#""p";t=30;r=0;pk=:cHsdsRa894==:"#, 30 * S),
            (r#""p";r=0;t=30, "q";r=0;t=60, "day";r=9;t=3600"#, 60 * S),
            ("p;r=0;t=30\nratelimit: q;r=0;t=60", 60 * S),
        ] {
            assert_eq!(vector(value), Some(Hint::After(wait)), "{value}");
        }
        let quota_left = ["p;r=1;t=30", "p;r=0", "p;r=0;t=0"];
        let mistyped = ["p;r=0;t=-30", "p;r=0.0;t=30", "(p);r=0;t=30"];
        let malformed = ["p;r=0;t=30,", "p;r=0;t=30\nratelimit: \"", "p=1, r=0, t=30"];
        for value in quota_left.into_iter().chain(mistyped).chain(malformed) {
            assert_eq!(vector(value), None, "{value}");
        }
    }

    #[test]
    fn the_first_header_that_can_be_read_decides() {
        for (lines, wait) in [
            ("retry-after: 120\nretry-after-ms: 700", Some(700 * MS)),
            ("retry-after: 120\nx-ms-retry-after-ms: 700", Some(700 * MS)),
            ("x-ms-retry-after-ms: 300\nretry-after-ms: 700", Some(700 * MS)),
            ("retry-after-ms: 1.5\nx-ms-retry-after-ms: 700", Some(700 * MS)),
            ("retry-after-ms: -1\nretry-after: 120", Some(120 * S)),
            ("retry-after-ms: 0\nretry-after: 120", None),
            ("ratelimit: p;r=0;t=30\nretry-after: 5", Some(5 * S)),
            ("ratelimit: p;r=0;t=30\nretry-after: soon", None),
            ("content-type: text/plain", None),
        ] {
            assert_eq!(http(lines), wait.map(Hint::After), "{lines}");
        }
    }

    #[test]
    fn pushback_vectors() {
        let vector = |value| Hint::grpc(&headers(&format!("grpc-retry-pushback-ms: {value}")));
        for (value, ms) in [("700", 700), ("0", 0), ("2147483647", 2_147_483_647)] {
            assert_eq!(vector(value), Some(Hint::After(ms * MS)), "{value}");
        }
        let invalid = "-1 -0 +5 0700 00 1.5 abc 2147483648 99999999999".split(' ');
        for value in invalid.chain(["", "300\ngrpc-retry-pushback-ms: 300"]) {
            assert_eq!(vector(value), Some(Hint::DoNotRetry), "{value}");
        }
        assert_eq!(Hint::grpc(&headers("retry-after: 5")), None);
    }

    #[test]
    fn should_retry_vectors() {
        let vector = |value| Hint::should_retry(&headers(&format!("x-should-retry: {value}")));
        assert_eq!(vector("True"), Some(true));
        assert_eq!(vector("maybe\nx-should-retry: true"), Some(true));
        assert_eq!(vector("true\nx-should-retry: false"), Some(false));
        assert_eq!([vector(""), vector("1"), vector("?1")], [None; 3]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(lines in collection::vec((
            "retry-after|retry-after-ms|date|ratelimit|grpc-retry-pushback-ms|x-should-retry",
            prop_oneof![collection::vec(any::<u8>(), 0..40), "[0-9:;,=\"a-zA-Z -]{0,40}".prop_map(String::into_bytes)],
        ), 0..6)) {
            let line = |(name, value): (String, Vec<u8>)| Some((name.try_into().ok()?, value.try_into().ok()?));
            let headers: HeaderMap = lines.into_iter().filter_map(line).collect();
            Hint::http(&headers, || SystemTime::UNIX_EPOCH);
            Hint::grpc(&headers);
            Hint::should_retry(&headers);
        }

        #[test]
        fn a_wait_above_the_cap_is_no_wait_and_any_other_stays(wait: Duration, cap: Duration) {
            let stop = wait > cap;
            prop_assert_eq!(Hint::After(wait).capped(cap), if stop { Hint::DoNotRetry } else { Hint::After(wait) });
            prop_assert_eq!(Hint::After(cap).capped(cap), Hint::After(cap));
            prop_assert_eq!(Hint::DoNotRetry.capped(cap), Hint::DoNotRetry);
        }
    }
}

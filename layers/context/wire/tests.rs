use http::{HeaderMap, HeaderValue};

use super::{DeadlineHeader as H, *};

const NS: Duration = Duration::from_nanos(1);
const US: Duration = Duration::from_micros(1);
const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// What a value means: a timeout, no deadline, or nothing.
#[derive(Debug, PartialEq)]
enum Means {
    Timeout(Duration),
    NoDeadline,
    Invalid,
}
use Means::{Invalid, NoDeadline, Timeout};

#[test]
fn vectors_in() {
    for (header, value, means) in [
        (H::GrpcTimeout, "1S", Timeout(S)),
        (H::GrpcTimeout, "00000001S", Timeout(S)),
        (H::GrpcTimeout, "2H", Timeout(7_200 * S)),
        (H::GrpcTimeout, "3M", Timeout(180 * S)),
        (H::GrpcTimeout, "250m", Timeout(250 * MS)),
        (H::GrpcTimeout, "1500u", Timeout(1_500 * US)),
        (H::GrpcTimeout, "7n", Timeout(7 * NS)),
        (H::GrpcTimeout, "0n", Timeout(Duration::ZERO)),
        (
            H::GrpcTimeout,
            "99999999H",
            Timeout(Duration::from_secs(99_999_999 * 3_600)),
        ),
        (H::GrpcTimeout, "123456789S", Invalid),
        (H::GrpcTimeout, "+1S", Invalid),
        (H::GrpcTimeout, "-1S", Invalid),
        (H::GrpcTimeout, "1s", Invalid),
        (H::GrpcTimeout, "1.5S", Invalid),
        (H::GrpcTimeout, "S", Invalid),
        (H::GrpcTimeout, "1", Invalid),
        (H::GrpcTimeout, "", Invalid),
        (H::GrpcTimeout, "5S,9S", Invalid),
        (H::GrpcTimeout, " 5S", Invalid),
        (H::ConnectTimeoutMs, "200", Timeout(200 * MS)),
        (H::ConnectTimeoutMs, "0", Timeout(Duration::ZERO)),
        (
            H::ConnectTimeoutMs,
            "9999999999",
            Timeout(Duration::from_millis(9_999_999_999)),
        ),
        (H::ConnectTimeoutMs, "10000000000", Invalid),
        (H::ConnectTimeoutMs, "-5", Invalid),
        (H::ConnectTimeoutMs, "+5", Invalid),
        (H::ConnectTimeoutMs, "1e3", Invalid),
        (H::ConnectTimeoutMs, "", Invalid),
        (H::EnvoyExpectedMs, "250", Timeout(250 * MS)),
        (H::EnvoyExpectedMs, "0", NoDeadline),
        (H::EnvoyUpstreamMs, "0", NoDeadline),
        (
            H::EnvoyUpstreamMs,
            "9999999999999999999",
            Timeout(Duration::from_millis(9_999_999_999_999_999_999)),
        ),
        (H::EnvoyUpstreamMs, "10000000000000000000", Invalid),
        (H::EnvoyUpstreamMs, "abc", Invalid),
        (H::EnvoyUpstreamMs, "100,200", Invalid),
        (H::RequestTimeoutMs, "1500", Timeout(1_500 * MS)),
        (H::RequestTimeoutMs, "0", Timeout(Duration::ZERO)),
        (H::RequestTimeoutMs, "1.5", Invalid),
        (H::RequestTimeoutMs, "10000000000", Invalid),
        (H::RequestTimeout, "1", Timeout(S)),
        (H::RequestTimeout, "1.5", Timeout(1_500 * MS)),
        (H::RequestTimeout, "0.25", Timeout(250 * MS)),
        (H::RequestTimeout, "0.000000001", Timeout(NS)),
        (H::RequestTimeout, "0.0", Timeout(Duration::ZERO)),
        (
            H::RequestTimeout,
            "9999999999.999999999",
            Timeout(Duration::new(9_999_999_999, 999_999_999)),
        ),
        (H::RequestTimeout, "10000000000", Invalid),
        (H::RequestTimeout, "0.0000000001", Invalid),
        (H::RequestTimeout, "1.", Invalid),
        (H::RequestTimeout, ".5", Invalid),
        (H::RequestTimeout, "1.5.0", Invalid),
        (H::RequestTimeout, "1,5", Invalid),
        (H::RequestTimeout, "-1.5", Invalid),
        (H::RequestTimeout, "1s", Invalid),
        (H::LinkerdRequestTimeout, "10s", Timeout(10 * S)),
        (H::LinkerdRequestTimeout, "1d", Timeout(DAY)),
        (H::LinkerdTimeout, "250ms", Timeout(250 * MS)),
        (H::LinkerdTimeout, "2m", Timeout(120 * S)),
        (H::LinkerdTimeout, "1h", Timeout(3_600 * S)),
        (H::LinkerdTimeout, "0", Timeout(Duration::ZERO)),
        (H::LinkerdTimeout, "0s", Timeout(Duration::ZERO)),
        (H::LinkerdTimeout, "9999999999999999999d", Timeout(Duration::MAX)),
        (H::LinkerdTimeout, "99999999999999999999s", Invalid),
        (H::LinkerdTimeout, "5", Invalid),
        (H::LinkerdTimeout, "1.5s", Invalid),
        (H::LinkerdTimeout, "1us", Invalid),
        (H::LinkerdTimeout, "ms", Invalid),
        (H::LinkerdTimeout, "", Invalid),
    ] {
        let meant = match header.decode(value.as_bytes()) {
            Ok(timeout) => timeout.map_or(NoDeadline, Timeout),
            Err(InvalidDeadline { header: named }) => {
                assert_eq!(named, header);
                Invalid
            }
        };
        assert_eq!(meant, means, "{header:?} {value:?}");
    }
}

#[test]
fn vectors_out() {
    for (header, timeout, value) in [
        (H::GrpcTimeout, NS, Some("1n")),
        (H::GrpcTimeout, 99_999_999 * NS, Some("99999999n")),
        (H::GrpcTimeout, 100 * MS, Some("100000u")),
        (H::GrpcTimeout, 100_000_999 * NS, Some("100000u")),
        (H::GrpcTimeout, 99_999_999 * US + 999 * NS, Some("99999999u")),
        (H::GrpcTimeout, 3_600_500 * MS, Some("3600500m")),
        (H::GrpcTimeout, 100_000 * S, Some("100000S")),
        (H::GrpcTimeout, 100_000_000 * S, Some("1666666M")),
        (
            H::GrpcTimeout,
            Duration::from_secs(99_999_999 * 60 + 60),
            Some("1666666H"),
        ),
        (
            H::GrpcTimeout,
            Duration::from_secs(99_999_999 * 3_600 + 3_599),
            Some("99999999H"),
        ),
        (H::GrpcTimeout, Duration::from_secs(100_000_000 * 3_600), None),
        (H::GrpcTimeout, Duration::ZERO, None),
        (H::ConnectTimeoutMs, 1_999 * US, Some("1")),
        (H::ConnectTimeoutMs, 999 * US, None),
        (
            H::ConnectTimeoutMs,
            Duration::from_millis(9_999_999_999),
            Some("9999999999"),
        ),
        (H::ConnectTimeoutMs, 10_000_000 * S, None),
        (H::RequestTimeoutMs, S, Some("1000")),
        (H::EnvoyExpectedMs, 10_000_000 * S, Some("10000000000")),
        (H::EnvoyUpstreamMs, 999 * US, None),
        (H::RequestTimeout, 1_500 * MS, Some("1.5")),
        (H::RequestTimeout, 2 * S, Some("2")),
        (H::RequestTimeout, 1_050 * MS, Some("1.05")),
        (H::RequestTimeout, 1_005 * MS, Some("1.005")),
        (H::RequestTimeout, 1_500_999 * US, Some("1.5")),
        (H::RequestTimeout, 999 * US, None),
        (H::RequestTimeout, Duration::from_secs(10_000_000_000), None),
        (H::LinkerdRequestTimeout, 1_500 * MS, Some("1500ms")),
        (H::LinkerdTimeout, 999 * US, None),
        (H::LinkerdTimeout, Duration::MAX, None),
    ] {
        assert_eq!(
            header.encode(timeout),
            value.map(HeaderValue::from_static),
            "{header:?} {timeout:?}"
        );
    }
}

#[test]
fn outgoing_is_the_least_of_three_or_nothing() {
    for (remaining, margin, per_attempt, timeout) in [
        (S, Duration::ZERO, None, Some(S)),
        (S, 10 * MS, None, Some(990 * MS)),
        (S, 10 * MS, Some(100 * MS), Some(100 * MS)),
        (S, 950 * MS, Some(100 * MS), Some(50 * MS)),
        (Duration::MAX, 10 * MS, None, Some(30 * S)),
        (Duration::MAX, 10 * MS, Some(60 * S), Some(30 * S)),
        (11 * MS, 10 * MS, None, Some(MS)),
        (10_999_999 * NS, 10 * MS, None, None),
        (5 * MS, 10 * MS, None, None),
        (S, Duration::ZERO, Some(999 * US), None),
    ] {
        assert_eq!(
            outgoing(remaining, margin, per_attempt, 30 * S),
            timeout,
            "{remaining:?} - {margin:?}"
        );
    }
    assert_eq!(outgoing(S, Duration::ZERO, None, Duration::ZERO), None);
}

fn map(lines: &[(H, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(header, value)| (header.name(), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn reading_vectors() {
    let (all, default) = (DeadlineHeaders::ALL, DeadlineHeaders::default());
    for (trusted, lines, timeout, invalid) in [
        (all, &[][..], None, DeadlineHeaders::NONE),
        (
            all,
            &[(H::GrpcTimeout, "9S"), (H::GrpcTimeout, "5S")],
            Some(5 * S),
            DeadlineHeaders::NONE,
        ),
        (
            all,
            &[(H::GrpcTimeout, "5S"), (H::GrpcTimeout, "+1S")],
            Some(5 * S),
            DeadlineHeaders::GRPC,
        ),
        (
            all,
            &[(H::GrpcTimeout, "5S"), (H::ConnectTimeoutMs, "200")],
            Some(200 * MS),
            DeadlineHeaders::NONE,
        ),
        (all, &[(H::EnvoyExpectedMs, "0")], None, DeadlineHeaders::NONE),
        (
            all,
            &[(H::EnvoyUpstreamMs, "0"), (H::EnvoyUpstreamMs, "250")],
            Some(250 * MS),
            DeadlineHeaders::NONE,
        ),
        // In milliseconds wins, even where it is the longer, if it is valid.
        (
            all,
            &[(H::RequestTimeout, "1"), (H::RequestTimeoutMs, "1500")],
            Some(1_500 * MS),
            DeadlineHeaders::NONE,
        ),
        (
            all,
            &[(H::RequestTimeout, "1"), (H::RequestTimeoutMs, "")],
            Some(S),
            H::RequestTimeoutMs.into(),
        ),
        (
            all,
            &[(H::RequestTimeout, "s"), (H::RequestTimeoutMs, "5")],
            Some(5 * MS),
            H::RequestTimeout.into(),
        ),
        (
            all,
            &[(H::RequestTimeoutMs, "1500"), (H::LinkerdTimeout, "1s")],
            Some(S),
            DeadlineHeaders::NONE,
        ),
        // Who is not trusted is not heard, not even as a fault.
        (
            default,
            &[(H::EnvoyExpectedMs, "5"), (H::LinkerdTimeout, "soon")],
            None,
            DeadlineHeaders::NONE,
        ),
        (
            DeadlineHeaders::NONE,
            &[(H::GrpcTimeout, "1S")],
            None,
            DeadlineHeaders::NONE,
        ),
    ] {
        let reading = trusted.read(&map(lines));
        assert_eq!(reading, Reading { timeout, invalid }, "{lines:?}");
        assert_eq!(reading.strict().is_err(), !invalid.is_empty(), "{lines:?}");
    }
}

#[test]
fn every_name_is_known_and_no_other() {
    for header in H::ALL {
        assert_eq!(H::named(header.as_str()), Some(header));
        assert_eq!(header.name(), header.as_str());
        assert_eq!(DeadlineHeaders::only(header).iter().collect::<Vec<_>>(), [header]);
    }
    for other in ["", "retry-after", "content-type", "x-envoy-upstream-rq-timeout-us"] {
        assert_eq!(H::named(other), None, "{other}");
    }
    assert!(H::ALL.into_iter().all(|header| DeadlineHeaders::ALL.contains(header)));
    assert_eq!(
        format!("{:?}", DeadlineHeaders::PLAIN),
        r#"{"x-request-timeout-ms", "x-request-timeout"}"#
    );
}

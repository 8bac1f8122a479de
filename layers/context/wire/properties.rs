use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::{collection, prelude::*, sample::select};

use super::{DeadlineHeader as H, *};

const NS: Duration = Duration::from_nanos(1);
const US: Duration = Duration::from_micros(1);
const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn header() -> impl Strategy<Value = H> {
    select(&H::ALL[..])
}

/// Every magnitude, a nanosecond to the longest there is.
fn timeout() -> impl Strategy<Value = Duration> {
    let secs = (any::<u64>(), 0_u32..=64).prop_map(|(secs, by)| secs.checked_shr(by).unwrap_or(0));
    let nanos = (0_u32..1_000_000_000, 0_u32..30).prop_map(|(nanos, by)| nanos >> by);
    (secs, nanos).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

/// Values that are valid, values that nearly are, and any bytes that a header can hold.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (header(), timeout()).prop_map(|(header, timeout)| {
            header
                .encode(timeout)
                .map_or_else(|| b"0".to_vec(), |value| value.as_bytes().to_vec())
        }),
        "[+-]?[0-9]{0,20}[.,]?[0-9]{0,10}(H|M|S|ms?|u|n|s|h|d)?".prop_map(String::into_bytes),
        collection::vec(any::<u8>(), 0..24),
    ]
}

/// The lines of a request: deadlines, many of them twice, among others.
fn lines() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let name = prop_oneof![
        4 => header().prop_map(H::name),
        1 => "[a-z0-9-]{1,30}".prop_map(|name| name.parse().expect("a name")),
    ];
    let value = value().prop_filter_map("not for a header", |value| HeaderValue::try_from(value).ok());
    collection::vec((name, value), 0..12)
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_less_by_less_than_a_unit(header in header(), timeout in timeout()) {
        let Some(value) = header.encode(timeout) else {
            let most = match header {
                H::GrpcTimeout => Duration::from_secs(100_000_000 * 3_600),
                H::ConnectTimeoutMs | H::RequestTimeoutMs => 10_000_000 * S,
                H::RequestTimeout => Duration::from_secs(10_000_000_000),
                _ => Duration::from_secs(10_000_000_000_000_000),
            };
            let least = if header == H::GrpcTimeout { NS } else { MS };
            prop_assert!(timeout < least || timeout >= most, "{timeout:?} was not written");
            return Ok(());
        };
        let unit = match (header, value.as_bytes().last()) {
            (H::GrpcTimeout, Some(b'H')) => 3_600 * S,
            (H::GrpcTimeout, Some(b'M')) => 60 * S,
            (H::GrpcTimeout, Some(b'S')) => S,
            (H::GrpcTimeout, Some(b'u')) => US,
            (H::GrpcTimeout, Some(b'n')) => NS,
            _ => MS,
        };
        let read = header.decode(value.as_bytes())?.expect("never zero");
        prop_assert!(read <= timeout && timeout.abs_diff(read) < unit, "{timeout:?} became {value:?}");
    }

    #[test]
    fn no_bytes_panic(header in header(), value in value()) {
        let _ = header.decode(&value);
    }

    #[test]
    fn a_reading_is_the_shortest_valid_timeout(lines in lines(), trusted: u8) {
        let headers: HeaderMap = lines.into_iter().collect();
        let trusted = DeadlineHeaders(trusted);
        let reading = trusted.read(&headers);

        let decoded = |header: H| headers.get_all(header.name()).iter().map(move |value| header.decode(value.as_bytes()));
        let shortest = |header: H| decoded(header).filter_map(|timeout| timeout.ok().flatten()).min();
        let heard = |header: H| match header {
            H::RequestTimeout => !trusted.contains(H::RequestTimeoutMs) || shortest(H::RequestTimeoutMs).is_none(),
            _ => true,
        };
        let timeout = trusted.iter().filter(|header| heard(*header)).filter_map(shortest).min();
        let invalid: Vec<_> = trusted.iter().filter(|header| decoded(*header).any(|timeout| timeout.is_err())).collect();
        prop_assert_eq!(reading.timeout, timeout);
        prop_assert_eq!(reading.invalid.iter().collect::<Vec<_>>(), invalid);
    }

    #[test]
    fn the_order_of_headers_does_not_matter(
        (lines, shuffled) in lines().prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle())),
    ) {
        let read = |lines: Vec<_>| DeadlineHeaders::ALL.read(&lines.into_iter().collect());
        prop_assert_eq!(read(lines), read(shuffled));
    }
}

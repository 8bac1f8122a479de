//! The grammars themselves. `None` is "does not fit", in both directions.

use std::{fmt, io::Write, time::Duration};

use http::HeaderValue;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The most that `count` digits can say. `count` is 19 at most, which a `u64` holds.
const fn most(count: u32) -> u64 {
    10_u64.pow(count) - 1
}

/// 1 to `MOST` digits and nothing else. (`u64::from_str` takes a `+` as well.)
fn number<const MOST: usize>(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > MOST {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

fn seconds(count: u64, each: u64) -> Duration {
    count.checked_mul(each).map_or(Duration::MAX, Duration::from_secs)
}

fn write(value: fmt::Arguments<'_>) -> Option<HeaderValue> {
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    rest.write_fmt(value).ok()?;
    let unused = rest.len();
    HeaderValue::from_bytes(&buffer[..buffer.len() - unused]).ok()
}

// === grpc-timeout: TimeoutValue TimeoutUnit, "a positive integer as ASCII string of at most 8 digits" ===

pub(super) fn decode_grpc(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let count = number::<8>(digits)?;
    match unit {
        b'H' => Some(seconds(count, HOUR)),
        b'M' => Some(seconds(count, MINUTE)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

pub(super) fn encode_grpc(timeout: Duration) -> Option<HeaderValue> {
    if timeout.is_zero() {
        return None;
    }
    let secs = timeout.as_secs();
    let with = |per_second: u64, rest: u32| secs.saturating_mul(per_second).saturating_add(rest.into());
    // Finest first.
    let (count, unit) = [
        (with(1_000_000_000, timeout.subsec_nanos()), 'n'),
        (with(1_000_000, timeout.subsec_micros()), 'u'),
        (with(1_000, timeout.subsec_millis()), 'm'),
        (secs, 'S'),
        (secs / MINUTE, 'M'),
        (secs / HOUR, 'H'),
    ]
    .into_iter()
    .find(|(count, _)| *count <= most(8))?;
    write(format_args!("{count}{unit}"))
}

// === milliseconds: Connect, Envoy, x-request-timeout-ms, and what we write to Linkerd ===

pub(super) fn decode_ms<const MOST: usize>(value: &[u8]) -> Option<Duration> {
    number::<MOST>(value).map(Duration::from_millis)
}

pub(super) fn encode_ms<const MOST: u32>(timeout: Duration, unit: &str) -> Option<HeaderValue> {
    let count = timeout
        .as_secs()
        .checked_mul(1_000)?
        .checked_add(timeout.subsec_millis().into())?;
    if !(1..=most(MOST)).contains(&count) {
        return None;
    }
    write(format_args!("{count}{unit}"))
}

// === x-request-timeout: seconds, with decimals ===

pub(super) fn decode_seconds(value: &[u8]) -> Option<Duration> {
    let Some(point) = value.iter().position(|byte| *byte == b'.') else {
        return number::<10>(value).map(Duration::from_secs);
    };
    let decimals = &value[point + 1..];
    let (secs, mut nanos) = (number::<10>(&value[..point])?, number::<9>(decimals)?);
    for _ in decimals.len()..9 {
        nanos *= 10;
    }
    Some(Duration::from_secs(secs) + Duration::from_nanos(nanos))
}

pub(super) fn encode_seconds(timeout: Duration) -> Option<HeaderValue> {
    let (secs, mut decimals) = (timeout.as_secs(), timeout.subsec_millis());
    if secs > most(10) || (secs, decimals) == (0, 0) {
        return None;
    }
    if decimals == 0 {
        return write(format_args!("{secs}"));
    }
    let mut width = 3;
    while decimals % 10 == 0 {
        decimals /= 10;
        width -= 1;
    }
    write(format_args!("{secs}.{decimals:0width$}"))
}

// === l5d-request-timeout: linkerd2-proxy, `parse_duration` ===

pub(super) fn decode_linkerd(value: &[u8]) -> Option<Duration> {
    if value == b"0" {
        return Some(Duration::ZERO);
    }
    let unit = value.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, unit) = value.split_at(unit);
    let count = number::<19>(digits)?;
    match unit {
        b"ms" => Some(Duration::from_millis(count)),
        b"s" => Some(Duration::from_secs(count)),
        b"m" => Some(seconds(count, MINUTE)),
        b"h" => Some(seconds(count, HOUR)),
        b"d" => Some(seconds(count, DAY)),
        _ => None,
    }
}

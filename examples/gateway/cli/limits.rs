//! How many requests at a time, and how many in a time.

use std::{error, fmt, num::NonZero, str::FromStr};

/// How many requests may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Adaptive,
    Fixed(NonZero<usize>),
    Off,
}

/// A text names no limit.
#[derive(Debug)]
pub(crate) enum InvalidLimit {
    Unknown,
    Count,
}

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        match (text, text.strip_prefix("fixed:")) {
            ("adaptive", _) => Ok(Self::Adaptive),
            ("off", _) => Ok(Self::Off),
            (_, Some(count)) => digits(count).map(Self::Fixed).ok_or(InvalidLimit::Count),
            _ => Err(InvalidLimit::Unknown),
        }
    }
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "expected adaptive, fixed:N or off",
            Self::Count => "after fixed: comes a number of requests, 1 or more",
        })
    }
}

impl error::Error for InvalidLimit {}

/// How many requests one client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) count: NonZero<u32>,
    pub(crate) per: Per,
    pub(crate) burst: Option<NonZero<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    Second,
    Minute,
    Hour,
}

/// Why a text is no rate.
#[derive(Debug)]
pub(crate) enum InvalidRate {
    NoTime,
    Time,
    Count,
    Burst,
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(digits(burst).ok_or(InvalidRate::Burst)?)),
            None => (text, None),
        };
        let (count, per) = rate.split_once('/').ok_or(InvalidRate::NoTime)?;
        let per = match per {
            "s" => Per::Second,
            "m" => Per::Minute,
            "h" => Per::Hour,
            _ => return Err(InvalidRate::Time),
        };
        let count = digits(count).ok_or(InvalidRate::Count)?;
        Ok(Self { count, per, burst })
    }
}

impl fmt::Display for InvalidRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTime => "it does not say in what time: expected 100/s, 100/m or 100/h",
            Self::Time => "the time is s, m or h: expected 100/s, 100/m or 100/h",
            Self::Count => "a number of requests comes first, 1 or more: expected 100/s, 100/m or 100/h",
            Self::Burst => "a burst is a number of requests, 1 or more: expected 100/s:20",
        })
    }
}

impl error::Error for InvalidRate {}

/// A number as people write it: no sign, and not zero.
fn digits<N: FromStr>(text: &str) -> Option<N> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

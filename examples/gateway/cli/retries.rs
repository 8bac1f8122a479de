//! How often is tried again, and when there is another attempt beside the first.

use std::{error, fmt, str::FromStr, time::Duration};

/// A share of the requests, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio(pub(crate) f64);

/// A text is no share.
#[derive(Debug)]
pub(crate) struct InvalidRatio;

impl FromStr for Ratio {
    type Err = InvalidRatio;

    fn from_str(text: &str) -> Result<Self, InvalidRatio> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or(InvalidRatio)
    }
}

impl fmt::Display for InvalidRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a share of the requests, from 0 to 1")
    }
}

impl error::Error for InvalidRatio {}

/// When there is another attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum HedgeAfter {
    Delay(Duration),
    /// What this share of the requests takes at most.
    Quantile(f32),
}

/// A text is no delay.
#[derive(Debug)]
pub(crate) enum InvalidHedge {
    Percentile,
    Delay(humantime::DurationError),
}

impl FromStr for HedgeAfter {
    type Err = InvalidHedge;

    fn from_str(text: &str) -> Result<Self, InvalidHedge> {
        let Some(percentile) = text.strip_prefix('p') else {
            return humantime::parse_duration(text)
                .map(Self::Delay)
                .map_err(InvalidHedge::Delay);
        };
        match percentile.parse::<u8>() {
            Ok(percentile @ 50..=99) => Ok(Self::Quantile(f32::from(percentile) / 100.0)),
            _ => Err(InvalidHedge::Percentile),
        }
    }
}

impl fmt::Display for InvalidHedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile => f.write_str("expected p50 to p99"),
            Self::Delay(error) => write!(f, "{error}: write it like 50ms, or p95"),
        }
    }
}

impl error::Error for InvalidHedge {}

use std::{ops::RangeInclusive, time::Duration};

/// How much longer than its mean a delay is at most.
const MOST: u32 = 10;

/// How long a request is delayed: always the same, or as the dice fall.
///
/// A [`Duration`] is one, and so is a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay(Law);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Law {
    Fixed(Duration),
    Between(Duration, Duration),
    Exponential(Duration),
}

impl Delay {
    /// Always this one.
    pub const fn fixed(delay: Duration) -> Self {
        Self(Law::Fixed(delay))
    }

    /// Each between these two is as likely as another. Where they are the wrong way round, they are taken for the right one.
    pub fn between(one: Duration, other: Duration) -> Self {
        Self(Law::Between(one.min(other), one.max(other)))
    }

    /// Many short ones and a few that are long, around this mean, as times between events that know nothing of one another are. None
    /// is longer than ten times the mean: of 20,000, one would be.
    pub const fn exponential(mean: Duration) -> Self {
        Self(Law::Exponential(mean))
    }

    /// The one at this place of all that there are, `0.0..1.0`.
    pub(super) fn at(self, place: f64) -> Duration {
        match self.0 {
            Law::Fixed(delay) => delay,
            Law::Between(least, most) => {
                let beyond = scaled(most.saturating_sub(least), place.clamp(0.0, 1.0));
                least.saturating_add(beyond).min(most)
            }
            Law::Exponential(mean) => {
                let times = -(1.0 - place.clamp(0.0, 1.0)).ln();
                scaled(mean, times.min(f64::from(MOST)))
            }
        }
    }

    /// The longest that there is.
    #[cfg(test)]
    pub(super) fn most(self) -> Duration {
        match self.0 {
            Law::Fixed(delay) => delay,
            Law::Between(_, most) => most,
            Law::Exponential(mean) => scaled(mean, f64::from(MOST)),
        }
    }
}

/// What is too long for a duration is the longest.
fn scaled(duration: Duration, times: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * times).unwrap_or(Duration::MAX)
}

impl From<Duration> for Delay {
    fn from(delay: Duration) -> Self {
        Self::fixed(delay)
    }
}

impl From<RangeInclusive<Duration>> for Delay {
    fn from(range: RangeInclusive<Duration>) -> Self {
        Self::between(*range.start(), *range.end())
    }
}

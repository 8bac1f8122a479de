//! The law, pure: governor's GCRA on a state that the caller keeps, at a time that the caller says.
//!
//! A state is one number for each quota, its *theoretical arrival time*: when the bucket is full again, in nanoseconds since the
//! limit's epoch. 0, like any time that is past, is a bucket that is full.

use std::{cell::Cell, num::NonZeroU32};

use governor::{
    RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};

use super::{Quota, Quotas};

/// A state, or the next one: of as many quotas as stand together.
pub(super) type Tats = [u64; Quotas::MAX];

/// What was decided by, and what it makes of it: the states of so many quotas before one request is taken of each, and after.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) before: Tats,
    pub(super) after: Tats,
    pub(super) quotas: usize,
}

/// Not granted: when it could be, at the earliest. `None` is never.
pub(super) type NotBefore = Option<u64>;

/// Grants one request now, or else at the earliest, if that is not after `latest`: of all quotas or of none. Says when.
#[inline]
pub(super) fn grant(quotas: &[Quota], place: &mut Place, now: u64, latest: u64) -> Result<u64, NotBefore> {
    place.quotas = quotas.len();
    match all(quotas, place, now) {
        // Where the last of them has one again, each of them has.
        Err(Some(earliest)) if earliest <= latest => all(quotas, place, earliest),
        decided => decided,
    }
}

#[inline]
fn all(quotas: &[Quota], place: &mut Place, at: u64) -> Result<u64, NotBefore> {
    let mut earliest = 0;
    for (quota, (before, after)) in quotas.iter().zip(place.before.iter().zip(&mut place.after)) {
        match step(quota, *before, at) {
            Ok(next) => *after = next,
            Err(not_before) => earliest = earliest.max(not_before.ok_or(None)?),
        }
    }
    if earliest == 0 { Ok(at) } else { Err(Some(earliest)) }
}

impl Place {
    /// What each of its quotas was before, and after.
    pub(super) fn each(&self) -> impl Iterator<Item = (u64, u64)> {
        self.before.into_iter().zip(self.after).take(self.quotas)
    }
}

/// One request of one quota: the next state, or when there is one again.
///
/// governor decides. It is given a clock and a store that are a number each, and the compiler leaves the arithmetic.
#[inline]
pub(super) fn step(quota: &Quota, tat: u64, at: u64) -> Result<u64, NotBefore> {
    let limiter = RateLimiter::<_, _, _, NoOpMiddleware<Nanos>>::new(law(quota)?, Tat(tat.into()), At(0.into()));
    limiter.clock().0.set(at);
    match limiter.check() {
        Ok(()) => Ok(limiter.into_state_store().0.into_inner()),
        Err(not_until) => Err(Some(not_until.earliest_possible().into())),
    }
}

#[inline]
fn law(quota: &Quota) -> Result<governor::Quota, NotBefore> {
    let burst = NonZeroU32::new(quota.burst_size())
        .filter(|_| !quota.is_closed())
        .ok_or(None)?;
    let rate = governor::Quota::with_period(quota.interval()).ok_or(None)?;
    Ok(rate.allow_burst(burst))
}

/// The state of one quota.
struct Tat(Cell<u64>);

impl StateStore for Tat {
    type Key = NotKeyed;

    #[inline]
    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, next) = measure(Some(self.0.get().into()))?;
        self.0.set(next.into());
        Ok(outcome)
    }
}

/// A clock that stands where it is set. governor takes its epoch when a limiter is made: 0.
struct At(Cell<u64>);

impl Clock for At {
    type Instant = Nanos;

    #[inline]
    fn now(&self) -> Nanos {
        self.0.get().into()
    }
}

/// What is left of a quota at a time, and in how many nanoseconds there is more: `None` where it is full, or closed.
pub(super) fn left(quota: &Quota, tat: u64, now: u64) -> (u64, Option<u64>) {
    if quota.is_closed() {
        return (0, None);
    }
    let (interval, burst) = (quota.interval_nanos(), u64::from(quota.burst_size()));
    let owed = tat.saturating_sub(now);
    let taken = owed.div_ceil(interval);
    // Of what is taken, reservations included, the next comes back where one less is owed than now, and less than all.
    let more = owed.checked_sub(taken.min(burst).saturating_sub(1) * interval);
    (burst.saturating_sub(taken), more.filter(|more| *more > 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::time::Duration;

    use super::{super::quota::SPAN, *};

    const S: u64 = 1_000_000_000;

    /// The bucket of the textbook, in whole nanoseconds: what the law must agree with.
    struct Bucket {
        credit: u128,
        last: u64,
    }

    impl Bucket {
        fn take(&mut self, quota: &Quota, now: u64) -> bool {
            let (one, full) = (u128::from(quota.interval_nanos()), u128::from(quota.burst_size()));
            self.credit = (self.credit + u128::from(now - self.last)).min(one * full);
            self.last = now;
            let has = self.credit >= one;
            self.credit -= if has { one } else { 0 };
            has
        }
    }

    fn quotas() -> impl Strategy<Value = Quota> {
        (1..50u32, 1..100_000u64, 1..50u32)
            .prop_map(|(count, period, burst)| Quota::per(count, Duration::from_micros(period)).burst(burst))
    }

    proptest! {
        #[test]
        fn it_is_a_leaky_bucket(quota in quotas(), gaps in prop::collection::vec(0..10_000_000u64, 1..200)) {
            let (mut tat, mut now) = (0, 0);
            let mut bucket = Bucket { credit: u128::MAX / 2, last: 0 };
            for gap in gaps {
                now += gap;
                let decided = step(&quota, tat, now);
                prop_assert_eq!(decided.is_ok(), bucket.take(&quota, now));
                match decided {
                    Ok(next) => tat = next,
                    // What it says is exact: a nanosecond before, there is none.
                    Err(earliest) => {
                        let earliest = earliest.unwrap();
                        prop_assert!(step(&quota, tat, earliest).is_ok());
                        prop_assert!(step(&quota, tat, earliest - 1).is_err());
                    }
                }
                let (count, more) = left(&quota, tat, now);
                prop_assert_eq!(count > 0, step(&quota, tat, now).is_ok());
                if let Some(more) = more {
                    prop_assert_eq!(left(&quota, tat, now + more).0, count + 1);
                    prop_assert_eq!(left(&quota, tat, now + more - 1).0, count);
                } else {
                    prop_assert_eq!(count, u64::from(quota.burst_size()));
                }
            }
        }

        #[test]
        fn all_or_none(pair in (quotas(), quotas()), gaps in prop::collection::vec(0..10_000_000u64, 1..200)) {
            let quotas = [pair.0, pair.1];
            let (mut place, mut now) = (Place::default(), 0);
            for gap in gaps {
                now += gap;
                let alone = [step(&quotas[0], place.before[0], now), step(&quotas[1], place.before[1], now)];
                match grant(&quotas, &mut place, now, 0) {
                    Ok(at) => {
                        prop_assert_eq!(at, now);
                        prop_assert_eq!(place.after, [alone[0].unwrap(), alone[1].unwrap(), 0, 0]);
                        place.before = place.after;
                    }
                    Err(earliest) => prop_assert_eq!(earliest, alone.into_iter().filter_map(Result::err).max().unwrap()),
                }
            }
        }

        #[test]
        fn places_are_in_turn_and_conform(quota in quotas(), gaps in prop::collection::vec(0..5_000_000u64, 1..200)) {
            let (mut place, mut now, mut last) = (Place::default(), 0, 0);
            let mut bucket = Bucket { credit: u128::MAX / 2, last: 0 };
            for gap in gaps {
                now += gap;
                let at = grant(&[quota], &mut place, now, u64::MAX).unwrap();
                prop_assert!(at >= now.max(last));
                prop_assert!(bucket.take(&quota, at));
                (place.before, last) = (place.after, at);
            }
        }
    }

    #[test]
    fn a_closed_quota_grants_nothing_ever() {
        for closed in [Quota::per_second(0), Quota::per_second(1).burst(0)] {
            assert_eq!(
                grant(&[Quota::per_second(1), closed], &mut Place::default(), S, u64::MAX),
                Err(None)
            );
            assert_eq!(left(&closed, 0, S), (0, None));
        }
    }

    #[test]
    fn the_corners_do_not_overflow() {
        for quota in [
            Quota::every(Duration::MAX),
            Quota::per_second(u32::MAX),
            Quota::per_hour(1).burst(u32::MAX),
            Quota::every(Duration::ZERO).burst(u32::MAX),
        ] {
            let mut place = Place::default();
            for now in [0, S, SPAN] {
                for _ in 0..3 {
                    if grant(&[quota], &mut place, now, now + SPAN).is_ok() {
                        place.before = place.after;
                    }
                    left(&quota, place.before[0], now);
                }
            }
        }
    }
}

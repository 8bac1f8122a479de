//! Who is below: the four criticalities as bands of one scale, and the share of the requests that is below a mark on
//! it.

use std::fmt;

use crate::context::Criticality;

/// The places within a band, as bits.
const BITS: u32 = 24;
const BAND: u32 = 1 << BITS;
const TOP: u32 = 4 * BAND;

/// A mark on the scale of requests: who is below is rejected on arrival.
///
/// The scale has a band for each [`Criticality`], sheddable at the bottom; within its band a request has a place by the
/// hash of its [key](super::LoadShedLayer::key), or a random one. So a floor is a band, below which all are rejected,
/// and the share that is rejected of the band itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Floor(u32);

impl Floor {
    /// Nobody is rejected.
    pub const NONE: Self = Self(0);

    /// All that is less critical is rejected.
    pub const fn below(criticality: Criticality) -> Self {
        Self(criticality as u32 * BAND)
    }

    /// All that is less critical is rejected, and this share of the criticality itself: 0 to 1, to which others are
    /// capped.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1, times a band"
    )]
    pub fn within(criticality: Criticality, share: f64) -> Self {
        Self(Self::below(criticality).0 + (share.clamp(0.0, 1.0) * f64::from(BAND)) as u32)
    }

    /// The criticality in whose band it is: all that is less critical is rejected.
    pub fn criticality(self) -> Criticality {
        Criticality::ALL[(self.0 >> BITS).min(3) as usize]
    }

    /// The share that is rejected of that criticality itself, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0 - Self::below(self.criticality()).0) / f64::from(BAND)
    }

    /// Whether nobody is rejected.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(if bits > TOP { TOP } else { bits })
    }

    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    /// Whether a request of this criticality is below. Its place is asked for only where that matters.
    #[inline]
    pub(super) fn rejects(self, criticality: Criticality, place: impl FnOnce() -> u64) -> bool {
        let band = Self::below(criticality).0;
        let Some(within) = self.0.checked_sub(band) else {
            return false;
        };
        within >= BAND || (within > 0 && place() >> (u64::BITS - BITS) < u64::from(within))
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        write!(f, "{:.1}% of {}", self.share() * 100.0, self.criticality())
    }
}

impl fmt::Debug for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Floor({self})")
    }
}

/// How the requests of late are spread over the bands; older ones count half with each window.
///
/// Without it a share could not be turned into a floor: most services have all their traffic in one band, and a floor
/// that moved evenly over the scale would travel through empty ones first. DAGOR keeps a histogram for this, Cinnamon a
/// cumulative distribution of priorities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix([f64; 4]);

impl Default for Mix {
    /// Nothing is known: each is as likely as the others.
    fn default() -> Self {
        Self([1.0; 4])
    }
}

impl Mix {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    pub(super) fn absorb(&mut self, arrived: [u64; 4]) {
        if arrived == [0; 4] {
            return;
        }
        for (weight, arrived) in self.0.iter_mut().zip(arrived) {
            *weight = *weight / 2.0 + arrived as f64;
        }
    }

    /// The floor below which this share of the requests is. A band is touched only when those below it are all
    /// rejected.
    pub(super) fn floor(&self, share: f64) -> Floor {
        let mut left = share.clamp(0.0, 1.0) * self.0.iter().sum::<f64>();
        for (criticality, weight) in Criticality::ALL.into_iter().zip(self.0) {
            if left < weight {
                return Floor::within(criticality, left / weight);
            }
            left -= weight;
        }
        Floor(TOP)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACES: [u64; 5] = [0, u64::MAX / 4, u64::MAX / 2, u64::MAX / 4 * 3, u64::MAX];

    #[test]
    fn a_floor_is_a_band_and_a_share_of_it() {
        let table = [
            (Floor::NONE, "none", [false; 5], [false; 5]),
            (
                Floor::within(Criticality::SheddablePlus, 0.5),
                "50.0% of sheddable-plus",
                [true; 5],
                [false; 5],
            ),
            (
                Floor::below(Criticality::Critical),
                "0.0% of critical",
                [true; 5],
                [false; 5],
            ),
            (
                Floor::within(Criticality::Critical, 0.6),
                "60.0% of critical",
                [true; 5],
                [true, true, true, false, false],
            ),
            (
                Floor::within(Criticality::CriticalPlus, 9.0),
                "100.0% of critical-plus",
                [true; 5],
                [true; 5],
            ),
        ];
        for (floor, name, sheddable, critical) in table {
            assert_eq!(floor.to_string(), name);
            let rejects = |criticality| PLACES.map(|place| floor.rejects(criticality, || place));
            assert_eq!(rejects(Criticality::Sheddable), sheddable, "{name}");
            assert_eq!(rejects(Criticality::Critical), critical, "{name}");
        }
        assert_eq!(
            Floor::within(Criticality::Critical, f64::NAN),
            Floor::below(Criticality::Critical)
        );
    }

    #[test]
    fn bands_without_traffic_cost_no_time() {
        let mut mix = Mix::default();
        for _ in 0..20 {
            mix.absorb([0, 0, 100, 0]);
        }
        let floor = mix.floor(0.3);
        assert_eq!(floor.criticality(), Criticality::Critical);
        assert!((floor.share() - 0.3).abs() < 0.001, "{floor}");
        mix.absorb([0; 4]);
        assert_eq!(mix.floor(0.3), floor, "silence says nothing about the mix");
    }

    proptest! {
        /// The rejected share is what was asked for, none above is touched before all below are, and more means no
        /// lower floor.
        #[test]
        fn a_share_is_taken_from_below(
            arrived in prop::array::uniform4(0_u64..1000), one in 0.0..=1.0, other in 0.0..=1.0,
        ) {
            let mut mix = Mix::default();
            mix.absorb(arrived);
            let floor = mix.floor(one);
            let total: f64 = mix.0.iter().sum();
            let band = floor.criticality() as usize;
            let rejected = mix.0[..band].iter().sum::<f64>() + mix.0[band] * floor.share();
            prop_assert!((rejected / total - one).abs() < 1e-3);
            prop_assert!(mix.floor(f64::min(one, other)) <= mix.floor(f64::max(one, other)));
        }

        /// Who is rejected is so at each higher floor, and with it all who are less critical at the same place.
        #[test]
        fn a_higher_floor_rejects_all_that_a_lower_one_does(one in 0..=TOP, other in 0..=TOP, place: u64) {
            let (lower, higher) = (Floor(one.min(other)), Floor(one.max(other)));
            for criticality in Criticality::ALL {
                let rejected = lower.rejects(criticality, || place);
                prop_assert!(!rejected || higher.rejects(criticality, || place));
                for less in Criticality::ALL.into_iter().filter(|less| *less < criticality) {
                    prop_assert!(!rejected || lower.rejects(less, || !place));
                }
            }
        }
    }
}

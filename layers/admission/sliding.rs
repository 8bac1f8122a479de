//! What was counted of late, in constant time and space.
//!
//! A window that keeps each call is slow and large; one that is emptied now and then forgets all at once. Here counters only
//! ever grow, and what is kept is how they stood when each of the last ticks began: the window is what was added since the
//! oldest. It slides by a tick, costs the same after a gap of a year, and who counts takes no part in it.

/// How totals of some kind stood when each of the last `N` ticks began.
#[derive(Clone, Debug)]
pub(super) struct Sliding<T, const N: usize> {
    tick: u64,
    starts: [T; N],
}

impl<T: Copy, const N: usize> Sliding<T, N> {
    /// A window that begins at this tick, with nothing in it.
    pub(super) const fn new(tick: u64, totals: T) -> Self {
        Self {
            tick,
            starts: [totals; N],
        }
    }

    /// Moves on to this tick, unless it is there. `at` says how the totals stood when a tick began.
    pub(super) fn turn(&mut self, tick: u64, at: impl Fn(u64) -> T) {
        let oldest = (tick + 1).saturating_sub(N as u64);
        for begun in (self.tick + 1).max(oldest)..=tick {
            self.starts[Self::slot(begun)] = at(begun);
        }
        self.tick = self.tick.max(tick);
    }

    /// How the totals stood when the window began.
    pub(super) fn start(&self) -> T {
        self.starts[Self::slot(self.tick + 1)]
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, totals: T) {
        self.starts = [totals; N];
    }

    fn slot(tick: u64) -> usize {
        usize::try_from(tick % N as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_year_is_one_step() {
        let mut window = Sliding::<u64, 10>::new(0, 0);
        window.turn(1_u64 << 62, |_| 7);
        assert_eq!(window.start(), 7);
        assert_eq!(window.starts, [7; 10]);
    }

    #[test]
    fn it_never_goes_back() {
        let mut window = Sliding::<u64, 3>::new(5, 1);
        window.turn(6, |_| 2);
        window.turn(4, |_| 9);
        window.turn(7, |_| 3);
        window.turn(8, |_| 4);
        assert_eq!(window.start(), 2);
    }

    proptest! {
        /// Against all that was counted, with when.
        #[test]
        fn it_is_what_came_in_the_last_ticks(steps in prop::collection::vec((0..7_u64, 0..5_u64), 1..60)) {
            let (mut window, mut tick, mut total, mut all) = (Sliding::<u64, 4>::new(0, 0), 0, 0, Vec::new());
            for (gap, count) in steps {
                tick += gap;
                window.turn(tick, |_| total);
                total += count;
                all.push((tick, count));
                let expected: u64 = all.iter().filter(|(at, _)| at + 4 > tick).map(|(_, count)| count).sum();
                prop_assert_eq!(total - window.start(), expected);
            }
        }
    }
}

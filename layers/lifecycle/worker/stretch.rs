//! A lane's time: looked at when it has to be, and shared by the jobs in between.

use std::time::Duration;

use tokio::time::Instant;

/// What a lane did since it last looked at the clock.
///
/// Jobs that take a microsecond would take twice that if each were timed. So jobs that end without a wait share a look, as long as jobs
/// are [quick](Self::QUICK) and none has a limit of its own to be held to; each of them took its share of the time. Whenever a lane
/// waits, all is told.
#[derive(Debug)]
pub(super) struct Stretch {
    at: Instant,
    /// How many have ended since.
    ended: u32,
    /// The last of them is not in the books yet. It is by the lane's next wait.
    is_unbooked: bool,
    is_due: bool,
    is_quick: bool,
}

/// How long so many jobs took, each of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) each: Duration,
    pub(super) jobs: u32,
    pub(super) now: Instant,
}

impl Stretch {
    /// So many jobs share a look at most.
    const MOST: u32 = 32;

    /// Jobs that take longer than this have a look each, in the mean.
    pub(super) const QUICK: Duration = Duration::from_micros(10);

    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: now,
            ended: 0,
            is_unbooked: false,
            is_due: false,
            is_quick: false,
        }
    }

    /// When it last looked: not long ago, while a lane is at work.
    #[inline]
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// A job has ended well, and is to be entered with what comes next.
    #[inline]
    pub(super) fn done(&mut self) {
        self.ended += 1;
        self.is_unbooked = true;
    }

    /// Whether one is to be entered now.
    #[inline]
    pub(super) fn take_unbooked(&mut self) -> bool {
        std::mem::take(&mut self.is_unbooked)
    }

    /// A job has ended that is in the books.
    pub(super) fn ended(&mut self) {
        self.ended += 1;
    }

    /// The next look is not to be put off.
    #[inline]
    pub(super) fn is_over(&mut self) {
        self.is_due = true;
    }

    #[inline]
    pub(super) fn has_untold(&self) -> bool {
        self.ended > 0
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.is_due || self.ended > 0 && !self.is_quick || self.ended >= Self::MOST
    }

    /// Looks at the clock, which says this.
    pub(super) fn look(&mut self, now: Instant) -> Told {
        let told = Told {
            each: now.saturating_duration_since(self.at) / self.ended.max(1),
            jobs: self.ended,
            now,
        };
        (self.at, self.ended, self.is_due) = (now, 0, false);
        told
    }

    /// What the line knows of its jobs since then.
    pub(super) fn are_quick(&mut self, are_quick: bool) {
        self.is_quick = are_quick;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    #[test]
    fn quick_jobs_share_a_look_and_each_took_its_share() {
        let start = Instant::now();
        let mut stretch = Stretch::new(start);
        stretch.are_quick(true);
        for _ in 0..8 {
            assert!(!stretch.is_due());
            stretch.done();
        }
        let told = stretch.look(start + 40 * US);
        assert_eq!((told.each, told.jobs, told.now), (5 * US, 8, start + 40 * US));
        assert_eq!(stretch.at(), start + 40 * US);
        assert!(!stretch.has_untold());
    }

    #[test]
    fn so_many_share_it_at_most_and_none_where_they_are_not_quick_or_a_lane_has_waited() {
        let mut stretch = Stretch::new(Instant::now());
        stretch.done();
        assert!(stretch.is_due(), "nothing is known of them");
        stretch.look(stretch.at());
        stretch.are_quick(true);
        (0..Stretch::MOST).for_each(|_| stretch.done());
        assert!(stretch.is_due());
        stretch.look(stretch.at());
        assert!(!stretch.is_due());
        stretch.is_over();
        assert!(stretch.is_due());
    }
}

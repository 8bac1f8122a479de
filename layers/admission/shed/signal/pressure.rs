use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Signal,
    kernel::{Kept, Page, groups, stalled},
};

/// How long a reading is good for.
const EVERY: Duration = Duration::from_millis(500);

/// The part of the time in which some task was ready and got no processor, as Linux's pressure stall information tells
/// it.
///
/// That of the process's control group (`cpu.pressure`, v2); without one, the machine's (`/proc/pressure/cpu`), other
/// processes included. Where neither can be read it says nothing. It is measured over the 500 ms and more between two
/// readings, from the file's running total: its own averages, over 10 s and longer, would tell the controller of a load
/// that is gone.
///
/// It is not among the signals of [`LoadShedLayer::new`](super::super::LoadShedLayer::new): a busy machine makes it
/// high without harm to anybody. What a want of processors does to requests is seen by
/// [`RuntimeLag`](super::RuntimeLag).
#[derive(Debug)]
pub struct CpuPressure {
    file: Option<Kept>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    read: Option<(Instant, Duration)>,
    level: Option<f64>,
}

impl CpuPressure {
    /// Finds the file. The first reading is the base of the second.
    pub fn new() -> Self {
        Self::under(Path::new("/"))
    }

    fn under(root: &Path) -> Self {
        let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let own = groups(&root.join("sys/fs/cgroup"), &own, "").next();
        let file = own.and_then(|group| Kept::open(group.join("cpu.pressure")));
        Self {
            file: file.or_else(|| Kept::open(root.join("proc/pressure/cpu"))),
            last: Mutex::default(),
        }
    }

    fn total(&self) -> Option<Duration> {
        let mut page: Page = [0; size_of::<Page>()];
        stalled(self.file.as_ref()?.text(&mut page)?)
    }
}

impl Last {
    fn read(&mut self, now: Instant, total: Duration) {
        let Some((before, base)) = self.read.replace((now, total)) else {
            return;
        };
        let passed = now.saturating_duration_since(before).as_secs_f64();
        self.level = Some(total.saturating_sub(base).as_secs_f64() / passed).filter(|level| level.is_finite());
    }
}

impl Default for CpuPressure {
    fn default() -> Self {
        Self::new()
    }
}

impl Signal for CpuPressure {
    fn name(&self) -> &'static str {
        "cpu-pressure"
    }

    fn level(&self, now: Instant) -> Option<f64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |(read, _): (Instant, Duration)| now.saturating_duration_since(read) >= EVERY;
        if last.read.is_none_or(is_due) {
            match self.total() {
                Some(total) => last.read(now, total),
                None => *last = Last::default(),
            }
        }
        last.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_level_is_what_was_added_to_the_total() {
        let (mut last, start) = (Last::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let mut level = |millis, total| {
            last.read(at(millis), Duration::from_millis(total));
            last.level
        };
        assert_eq!(level(0, 7_000), None, "there is nothing to compare it with");
        assert_eq!(level(500, 7_250), Some(0.5));
        assert_eq!(level(1_500, 7_250), Some(0.0));
        assert_eq!(level(2_500, 100), Some(0.0), "a total does not fall, but if it does");
        assert_eq!(level(2_500, 100), None, "nor does time stand still");
    }

    #[test]
    fn where_there_is_no_pressure_file_it_says_nothing() {
        let pressure = CpuPressure::under(Path::new("/nonexistent"));
        assert_eq!(pressure.level(Instant::now()), None);
    }
}

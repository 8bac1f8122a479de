use super::{baseline::Worth, pool::Pool};

/// How latencies scatter until that is known, as the square of deviation over mean: 1 is an exponential distribution.
const SCATTER: f64 = 1.0;
/// How much of it is believed. Where the limit does not hold calls back, they queue by chance, one behind the other, and
/// scatter for that.
const LEAST_SCATTER: f64 = 0.25;
const MOST_SCATTER: f64 = 30.0;
const MOST_WHILE_FREE: f64 = 3.0;

/// What is measured all the time, whatever the limit does.
#[derive(Clone, Debug)]
pub(super) struct Gauge {
    /// The part of those who came that was turned away, in the last second or so.
    pub(super) pressure: f64,
    /// What a call takes these days, in seconds, less what it waits.
    pub(super) usual: f64,
    /// Since the beginning, in seconds.
    elapsed: f64,
    windows: u64,
    scatter: f64,
    /// The window before: its samples and signal.
    last: Option<(f64, f64)>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            pressure: 0.0,
            usual: 0.0,
            elapsed: 0.0,
            windows: 0,
            scatter: SCATTER,
            last: None,
        }
    }
}

impl Gauge {
    /// A window has ended. `alone`: its latencies are of its own limit alone.
    pub(super) fn watch(&mut self, window: &Pool, worth: Option<Worth>, alone: bool, loaded: bool) {
        let turned_away = window.rejected / (window.rejected + window.successes).max(1.0);
        self.pressure += (1.0 - (-window.seconds).exp()) * (turned_away - self.pressure);
        self.windows += 1;
        self.elapsed += window.seconds;
        let Some(worth) = worth else { return };
        self.usual = window.latency() / worth.signal.max(1.0);
        if let Some((samples, signal)) = self.last
            && alone
            && (loaded || !self.is_cold())
        {
            let off = (worth.signal / signal).ln();
            let scatter = off * off / (1.0 / window.successes + 1.0 / samples);
            // One surprise is not believed at once.
            self.scatter += 0.05 * (scatter.min(9.0 * self.scatter) - self.scatter);
            let most = if loaded { MOST_SCATTER } else { MOST_WHILE_FREE };
            self.scatter = self.scatter.clamp(LEAST_SCATTER, most);
        }
        self.last = Some((window.successes, worth.signal));
    }

    /// The relative deviation of a mean over so many calls.
    pub(super) fn noise(&self, samples: f64) -> f64 {
        (self.scatter / samples.max(1.0)).sqrt()
    }

    /// Whether all that is known so far are the calls that ended first: the short ones.
    pub(super) fn is_cold(&self) -> bool {
        self.windows <= 3 || self.elapsed < (10.0 * self.usual).min(1.0)
    }
}

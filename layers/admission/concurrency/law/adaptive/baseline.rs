use super::pool::{Pool, Timed};

/// How many routes have a baseline of their own. A window has no more, unless somebody makes one by hand.
const ROUTES: usize = 1_000;
/// What is known of a route weighs as much as so many samples, at most, against new ones.
const MEMORY: f64 = 1_000.0;
/// No call is quicker, in seconds.
const LEAST: f64 = 1e-9;

/// What a call of each route takes when nobody is in its way.
#[derive(Clone, Debug, Default)]
pub(super) struct Baselines(Vec<Baseline>);

#[derive(Clone, Copy, Debug, Default)]
struct Baseline {
    /// 0: not known yet.
    seconds: f64,
    /// How many samples it is made of.
    samples: f64,
}

/// What was measured, by the baselines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worth {
    /// Latency over baseline: 1 when nobody is in anybody's way.
    pub(super) signal: f64,
    /// How many workers the successes kept busy.
    pub(super) busy: f64,
}

impl Baselines {
    /// What this is worth. A route that is new gets a baseline: what it takes now, less what the others wait now.
    pub(super) fn weigh(&mut self, pool: &Pool) -> Option<Worth> {
        if pool.is_empty() {
            return None;
        }
        let known = pool.routes.iter().filter(|timed| self.of(timed.route) > 0.0);
        let (taken, work) = known.fold((0.0, 0.0), |(taken, work), timed| {
            (taken + timed.seconds, work + timed.samples * self.of(timed.route))
        });
        let wait = if work > 0.0 { (taken / work).max(1.0) } else { 1.0 };
        for timed in &pool.routes {
            if self.of(timed.route) <= 0.0 {
                self.at(timed).seconds = (timed.mean() / wait).max(LEAST);
            }
        }
        let samples: f64 = pool.routes.iter().map(|timed| timed.samples).sum();
        let taken: f64 = pool.routes.iter().map(|timed| timed.seconds).sum();
        let work: f64 = pool
            .routes
            .iter()
            .map(|timed| timed.samples * self.of(timed.route))
            .sum();
        Some(Worth {
            signal: (taken / work).max(LEAST),
            busy: work / samples * pool.rate(),
        })
    }

    /// These calls had nobody in their way: they become part of what is known.
    pub(super) fn learn(&mut self, pool: &Pool) {
        for timed in &pool.routes {
            let known = self.at(timed);
            known.samples = known.samples.min(MEMORY) + timed.samples;
            known.move_by(timed, timed.samples / known.samples);
        }
    }

    /// Moves each baseline this part of the way to what was measured of its route; less where there were few samples, half as far
    /// where there were `half`.
    pub(super) fn follow(&mut self, pool: &Pool, part: f64, half: f64) {
        for timed in &pool.routes {
            self.at(timed)
                .move_by(timed, part * timed.samples / (timed.samples + half));
        }
    }

    /// Whether there is one that calls were measured for that had nobody in their way.
    pub(super) fn are_known(&self) -> bool {
        self.0.iter().any(|known| known.samples > 0.0)
    }

    fn of(&self, route: usize) -> f64 {
        self.0.get(route.min(ROUTES - 1)).map_or(0.0, |known| known.seconds)
    }

    fn at(&mut self, timed: &Timed) -> &mut Baseline {
        let route = timed.route.min(ROUTES - 1);
        if self.0.len() <= route {
            self.0.resize(route + 1, Baseline::default());
        }
        &mut self.0[route]
    }
}

impl Baseline {
    fn move_by(&mut self, timed: &Timed, part: f64) {
        self.seconds = (self.seconds + (timed.mean() - self.seconds) * part).max(LEAST);
    }
}

//! The storms of retries, and what is to be seen of each.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    super::{
        figure::{Aim, Figure},
        random::Takes,
    },
    Contender, Seen,
    drive::{call, on_a_paused_clock, seconds},
    line::Line,
    seen::Attempts,
    wire::{Upstream, Wire},
};

/// A storm, and what is to be seen of it.
pub(crate) struct Storm {
    pub(crate) name: String,
    pub(crate) figures: Vec<Figure<Seen>>,
    weather: Weather,
}

#[derive(Clone, Copy, Debug)]
enum Weather {
    /// A service that stands still for a while.
    Outage { until: f64, looks: bool },
    /// A chain of tiers, of which each call may fail on its way to the next; and of the last, so many do.
    Tiers { faults: f64, dead: f64, until: f64 },
}

/// So long it is calm before the outage.
const CALM: f64 = 20.0;
const OUTAGE: f64 = 10.0;
const END: f64 = CALM + OUTAGE;

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(1);

/// 300 calls a second can be done, by so many.
const WORKERS: usize = 10;
const MEAN: f64 = 1.0 / 30.0;
const OFFERED: f64 = 280.0;

const TIERS: usize = 3;
const TIERS_OFFERED: f64 = 1_000.0;
/// As long as a call takes that does not fail.
const QUICKLY: Takes = Takes::Exactly(0.001);

/// What the default budget has, however few requests there are: at once, and each second.
const AT_ONCE: f64 = 10.0;
const EACH_SECOND: f64 = 1.0;

/// A service that can do 300 calls a second is asked for 280, stands still for 10 s, and then goes on; seen for so long after. It
/// does not begin what is late, where it is told.
pub(crate) fn metastable(after: f64) -> Storm {
    outage_of("metastable, 10 s outage", true, after)
}

/// The same, and the service looks at no deadline: it works at everything that it was ever asked for.
pub(crate) fn metastable_blind(after: f64) -> Storm {
    outage_of("metastable, blind to deadlines", false, after)
}

fn outage_of(name: &str, looks: bool, after: f64) -> Storm {
    let until = END + after;
    Storm::new(name, Weather::Outage { until, looks })
        .see("goodput before", Aim::Least(0.95), |seen| seen.goodput(5.0, CALM - 3.0))
        .see("attempts before", Aim::Most(1.1), |seen| seen.attempts(5.0, CALM - 1.0))
        .see("attempts during", Aim::Any, |seen| seen.attempts(CALM, END))
        .see("recovered after, s", Aim::Most(1.0), move |seen| {
            seen.recovered(0.95, END, until)
        })
        .see("goodput from 1 s after", Aim::Least(0.95), move |seen| {
            seen.goodput(END + 1.0, until)
        })
        .see("attempts after", Aim::Most(1.1), move |seen| seen.attempts(END, until))
}

/// Three tiers, of which each tries three times, above a service that fails this part of the calls.
pub(crate) fn three_tiers_dead(dead: f64, until: f64) -> Storm {
    let percent = 100.0 * dead;
    let weather = Weather::Tiers {
        faults: 0.0,
        dead,
        until,
    };
    Storm::new(&format!("three tiers, {percent:.0}% fail at the bottom"), weather)
        .see("attempts at the bottom", Aim::Any, move |seen| {
            seen.attempts(0.0, f64::MAX)
        })
        .see("the same, in the long run", Aim::Most(1.1), move |seen| {
            seen.attempts_beyond(0.0, f64::MAX, AT_ONCE + EACH_SECOND * until)
        })
}

/// Three tiers, of which each tries three times, and between which this part of the calls fails.
pub(crate) fn three_tiers_with_faults(faults: f64, until: f64) -> Storm {
    let percent = 100.0 * faults;
    let weather = Weather::Tiers {
        faults,
        dead: 0.0,
        until,
    };
    Storm::new(&format!("three tiers, {percent:.0}% fail at each"), weather)
        .see("answered, %", Aim::Least(99.99), |seen| {
            100.0 * seen.goodput(0.0, f64::MAX)
        })
        .see("attempts at the bottom", Aim::Any, |seen| seen.attempts(0.0, f64::MAX))
}

impl Storm {
    fn new(name: &str, weather: Weather) -> Self {
        Self {
            name: name.to_owned(),
            figures: Vec::new(),
            weather,
        }
    }

    fn see(mut self, what: &'static str, aim: Aim, of: impl Fn(&Seen) -> f64 + Send + Sync + 'static) -> Self {
        self.figures.push(Figure::new(what, aim, of));
        self
    }

    /// Another aim for this figure: where it is known to be missed, what is held to instead.
    pub(crate) fn instead(mut self, what: &str, aim: Aim) -> Self {
        let figure = self.figures.iter_mut().find(|figure| figure.what == what);
        figure.expect("a figure of this storm").aim = aim;
        self
    }

    /// The same seed and contender see the same.
    pub(crate) fn run(&self, contender: Contender, seed: u64) -> Seen {
        on_a_paused_clock(seed, async {
            match self.weather {
                Weather::Outage { until, looks } => outage(contender, looks, until, seed).await,
                Weather::Tiers { faults, dead, until } => tiers(contender, [faults, dead], until, seed).await,
            }
        })
    }
}

async fn outage(contender: Contender, looks: bool, until: f64, seed: u64) -> Seen {
    let (start, mut seeds, attempts) = (Instant::now(), Rng::with_seed(seed), Attempts::default());
    let still = start + seconds(CALM)..start + seconds(END);
    let line = Line::new(WORKERS, Takes::Exponential(MEAN), seeds.fork(), still).looks(looks);
    let client = contender.client(
        ATTEMPT,
        Wire {
            to: contender.server(line, seed),
            attempts: attempts.clone(),
            marks: contender.marks(),
            faults: 0.0,
            dice: Arc::new(Mutex::new(seeds.fork())),
        },
    );
    let called = call(&client, OFFERED, until, seeds.fork()).await;
    let attempts = attempts.since(start);
    Seen { called, attempts }
}

async fn tiers(contender: Contender, [faults, dead]: [f64; 2], until: f64, seed: u64) -> Seen {
    let (start, mut seeds, bottom) = (Instant::now(), Rng::with_seed(seed), Attempts::default());
    let line = Line::new(usize::from(u16::MAX), QUICKLY, seeds.fork(), start..start);
    let mut upstream = Upstream::new(line);
    let (mut faults_here, mut attempts) = (faults + dead, bottom.clone());
    for _ in 0..TIERS {
        upstream = contender.client(
            ATTEMPT,
            Wire {
                to: upstream,
                attempts: attempts.clone(),
                marks: contender.marks(),
                faults: faults_here,
                dice: Arc::new(Mutex::new(seeds.fork())),
            },
        );
        (faults_here, attempts) = (faults, Attempts::default());
    }
    let called = call(&upstream, TIERS_OFFERED, until, seeds.fork()).await;
    let attempts = bottom.since(start);
    Seen { called, attempts }
}

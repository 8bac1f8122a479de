//! The gateway beside Envoy, before an upstream that is asked for more than it can do.
//!
//! ```text
//! cargo bench --bench overload                                   all of it: half an hour
//! cargo bench --bench overload -- --rounds 1 --seconds 10        a first look
//! cargo bench --bench overload -- --only gateway --load 10
//! cargo bench --bench overload -- --outage                       another storm, `outage`: less than a minute
//! ```
//!
//! **The upstream** is a process with ten workers, each request 20 ms of work on average, exponentially distributed: 500 a
//! second. Its queue is first in, first out, and without bound; nobody tells it that a caller left, and what it was asked it
//! does. **The callers** come as they will: a Poisson process, over HTTP/1.1 with keep-alive, on as many connections as it takes,
//! whether the ones before were answered or not. Each waits for half a second from the moment it *should* have been sent, then
//! leaves. **Goodput** is what was answered 200 in that time.
//!
//! A run is a warm-up at half the capacity, then the load, measured from its first request on, with fresh processes and the
//! same arrivals and service times for each contender. It lasts a minute, so that one of Envoy's periodic measurements of the
//! unloaded latency, one a minute, falls into it. The contenders take turns, in each second round backwards. Envoy has the
//! example configuration of its adaptive concurrency filter's documentation, see `envoy.yaml`; without the filter, its default
//! circuit breakers. It is installed from `PyPI`, into the target directory.
//!
//! All share one machine: whether the callers or the upstream were the narrow place is in the columns of processor time, and
//! in the first line, of an upstream that answers at once.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the real clock and starts processes"
)]

mod contender;
mod load;
mod outage;
mod process;
mod report;
mod upstream;

use std::{error::Error, io, time::Duration};

use clap::Parser;
use tokio::{runtime::Builder, task::LocalSet};

use self::{
    contender::{Contender, Envoy},
    load::{Load, Phase},
    process::Running,
    report::{Cell, Row},
    upstream::Work,
};

/// What the upstream can do, in requests a second.
const CAPACITY: f64 = 500.0;

/// The loads, as multiples of the capacity.
const LOADS: [f64; 3] = [0.9, 3.0, 10.0];

/// The share of the capacity that is asked for before the load.
const WARM_UP: f64 = 0.5;

#[derive(Parser)]
struct Options {
    /// How long each load lasts.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long the warm-up lasts before it.
    #[arg(long, default_value_t = 10)]
    warm_up: u64,
    /// How often each contender is measured. Those that are there for reference alone are measured once.
    #[arg(long, default_value_t = 2)]
    rounds: u64,
    /// Only this load, as a multiple of the capacity.
    #[arg(long)]
    load: Option<f64>,
    /// Only contenders whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// An outage of the upstream, and callers who try again: that alone.
    #[arg(long)]
    outage: bool,
    /// Is the upstream, and nothing else.
    #[arg(long, hide = true)]
    upstream: Option<Work>,
    /// What `cargo bench` says, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    if let Some(work) = options.upstream {
        return Ok(local.block_on(&runtime, upstream::serve(work))?);
    }
    if !options.bench {
        println!("processes under load for half an hour: `cargo bench` measures them");
        return Ok(());
    }
    if options.outage {
        return local.block_on(&runtime, outage::measure());
    }
    local.block_on(&runtime, measure(&options))
}

async fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    contender::build_gateway()?;
    let envoy = Envoy::install()
        .inspect_err(|error| eprintln!("without Envoy: {error}"))
        .ok();
    let contenders: Vec<Contender> = Contender::all(envoy.as_ref())
        .into_iter()
        .filter(|contender| options.only.as_ref().is_none_or(|only| contender.name.contains(only)))
        .collect();

    let at_once = run(None, Work::AtOnce, [(5.0 * CAPACITY, 2), (10.0 * CAPACITY, 5)], 0).await?;
    report::heading(
        "10x, by an upstream that answers at once, and nothing between",
        CAPACITY,
    );
    Row::of("the callers alone", &[at_once]).print();

    for load in LOADS
        .into_iter()
        .filter(|load| options.load.is_none_or(|only| only.to_bits() == load.to_bits()))
    {
        let mut cells: Vec<Vec<Cell>> = contenders.iter().map(|_| Vec::new()).collect();
        for round in 0..options.rounds {
            for turn in 0..contenders.len() {
                let turn = if round % 2 == 0 {
                    turn
                } else {
                    contenders.len() - 1 - turn
                };
                let contender = &contenders[turn];
                if round > 0 && contender.reference {
                    continue;
                }
                let phases = [
                    (WARM_UP * CAPACITY, options.warm_up),
                    (load * CAPACITY, options.seconds),
                ];
                cells[turn].push(run(Some(contender), Work::Queued { seed: round }, phases, round).await?);
            }
        }
        report::heading(&format!("{load}x: {} requests a second", load * CAPACITY), CAPACITY);
        for (contender, cells) in contenders.iter().zip(&cells) {
            Row::of(&contender.name, cells).print();
        }
    }
    Ok(())
}

/// Starts an upstream and what stands before it, and puts both under these loads: a rate and its seconds. The last one counts.
async fn run(between: Option<&Contender>, work: Work, loads: [(f64, u64); 2], seed: u64) -> io::Result<Cell> {
    let upstream = Running::upstream(work).await?;
    let proxy = match between {
        Some(contender) => contender.start(&upstream).await?,
        None => None,
    };
    let load = Load::on(proxy.as_ref().unwrap_or(&upstream).address, seed);
    load.answered().await?;
    let [warm_up, counted] = loads.map(|(rate, seconds)| Phase {
        rate,
        duration: Duration::from_secs(seconds),
    });
    load.offer(warm_up).await;
    let cpu = || {
        [
            Running::cpu(proxy.as_ref()),
            Running::cpu(Some(&upstream)),
            process::own_cpu(),
        ]
    };
    let before = cpu();
    let samples = load.offer(counted).await;
    let after = cpu();
    let used = |of: usize| {
        Some(
            after[of]?
                .saturating_sub(before[of]?)
                .div_duration_f64(counted.duration),
        )
    };
    Ok(Cell {
        seconds: counted.duration,
        samples,
        cpu: [0, 1, 2].map(used),
    })
}

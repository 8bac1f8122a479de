//! The callers: they come when they like, and do not wait for one another.

#![allow(clippy::disallowed_methods, reason = "a test may spawn")]

use std::{future::Future, time::Duration};

use fastrand::Rng;
use http::Request;
use http_body_util::Empty;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::ServiceExt;

use super::{super::random::exponential, seen::Called, wire::Upstream};

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// On a clock that stands still while there is something to do. The same seed gives the same.
pub(super) fn on_a_paused_clock<T>(seed: u64, storm: impl Future<Output = T>) -> T {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(storm)
}

/// So many calls a second for so many seconds, and what became of each, in the order in which they came.
pub(crate) async fn call(upstream: &Upstream, rate: f64, until: f64, mut arrivals: Rng) -> Vec<Called> {
    let start = Instant::now();
    let (mut calls, mut called) = (JoinSet::new(), Vec::new());
    let mut at = exponential(&mut arrivals) / rate;
    while at < until {
        sleep_until(start + seconds(at)).await;
        let answer = upstream.clone().oneshot(request());
        calls.spawn(async move {
            let Ok(answer) = answer.await;
            Called {
                at,
                good: answer.status().is_success(),
            }
        });
        while let Some(done) = calls.try_join_next() {
            called.push(done.expect("a call does not panic"));
        }
        at += exponential(&mut arrivals) / rate;
    }
    called.extend(calls.join_all().await);
    called.sort_by(|one, other| one.at.total_cmp(&other.at));
    called
}

fn request() -> Request<Empty<bytes::Bytes>> {
    Request::get("http://service.example/")
        .body(Empty::new())
        .expect("an address")
}

//! One violation for every ban of `layers/guide/clippy.toml`, the list for users: see `.ci/bans.rs`.

use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

// === tasks ===

pub fn tasks() {
    tokio::spawn(async {}); //~ tokio::task::spawn
    tokio::task::spawn(async {}); //~ tokio::task::spawn
    tokio::task::spawn_blocking(|| {}); //~ tokio::task::spawn_blocking
    tokio::task::spawn_local(async {}); //~ tokio::task::spawn_local
}

pub fn on_a_runtime(handle: &Handle, runtime: &Runtime) {
    handle.spawn(async {}); //~ tokio::runtime::Handle::spawn
    handle.spawn_blocking(|| {}); //~ tokio::runtime::Handle::spawn_blocking
    runtime.spawn(async {}); //~ tokio::runtime::Runtime::spawn
    runtime.spawn_blocking(|| {}); //~ tokio::runtime::Runtime::spawn_blocking
}

pub fn in_sets(set: &mut JoinSet<()>, handle: &Handle, tracker: &TaskTracker) {
    set.spawn(async {}); //~ tokio::task::JoinSet::spawn
    set.spawn_on(async {}, handle); //~ tokio::task::JoinSet::spawn_on
    set.spawn_local(async {}); //~ tokio::task::JoinSet::spawn_local
    set.spawn_blocking(|| {}); //~ tokio::task::JoinSet::spawn_blocking
    tracker.spawn(async {}); //~ tokio_util::task::TaskTracker::spawn
}

pub fn threads() {
    let _ = std::thread::spawn(|| {}); //~ std::thread::spawn
    let _ = std::thread::Builder::new().spawn(|| {}); //~ std::thread::Builder::spawn
}

// === queues ===

pub fn queues() {
    let _ = tokio::sync::mpsc::unbounded_channel::<()>(); //~ tokio::sync::mpsc::unbounded_channel
    let _ = std::sync::mpsc::channel::<()>(); //~ std::sync::mpsc::channel
    let _ = futures_channel::mpsc::unbounded::<()>(); //~ futures_channel::mpsc::unbounded
    let _ = async_channel::unbounded::<()>(); //~ async_channel::unbounded
    let _ = crossbeam_channel::unbounded::<()>(); //~ crossbeam_channel::unbounded
    let _ = flume::unbounded::<()>(); //~ flume::unbounded
}

// === waits ===

pub async fn waits(at: tokio::time::Instant) {
    std::thread::sleep(Duration::ZERO); //~ std::thread::sleep
    tokio::time::sleep(Duration::ZERO).await; //~ tokio::time::sleep
    tokio::time::sleep_until(at).await; //~ tokio::time::sleep_until
    let _ = tokio::time::timeout(Duration::ZERO, async {}).await; //~ tokio::time::timeout
    let _ = tokio::time::timeout_at(at, async {}).await; //~ tokio::time::timeout_at
}

// === clocks ===

pub fn clocks() -> Duration {
    let now = std::time::Instant::now(); //~ std::time::Instant::now
    now.elapsed() //~ std::time::Instant::elapsed
}

// === the end ===

pub async fn end() {
    let _ = tokio::signal::ctrl_c().await; //~ tokio::signal::ctrl_c
    std::process::exit(0) //~ std::process::exit
}

// === what a service does instead ===

pub async fn instead(context: buttress::Context, life: buttress::Lifecycle) {
    let _ = context.spawn("part", async {}).await;
    let _ = context.spawn_blocking("sum", |_| {}).await;
    let group = context.child();
    let _ = group.spawn("one of them", async {}).await;
    let jobs = life
        .worker("mail")
        .queue(16)
        .run(|(): ()| async { Ok::<_, std::io::Error>(()) });
    let _ = jobs.map(|jobs| jobs.try_enqueue(()));
    let _ = tokio::sync::mpsc::channel::<()>(1);
    let _ = context.with_timeout(Duration::ZERO).scope(async {}).await;
    let _ = tokio::time::Instant::now().elapsed();
    let _ = context.cancelled().await;
    life.handle().draining().await;
    life.handle().shutdown();
}

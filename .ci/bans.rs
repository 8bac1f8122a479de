//! One violation for every ban of `.clippy.toml`: `.ci/bans.sh` lints this file in a crate of its own.
//!
//! `//~ path` says which ban must fire on its line; a line without it must be silent. A ban covers every path under which
//! its item is exported: an alias names the ban that catches it.

use std::time::Duration;
use std::time::Instant as Imported; //~ std::time::Instant
use std::time::SystemTime;

use tokio::runtime::{Handle, Runtime};
use tokio::task::{JoinSet, LocalSet};

pub type Named = std::time::Instant; //~ std::time::Instant

// === clocks ===

pub fn instant_now() {
    let _ = Imported::now(); //~ std::time::Instant std::time::Instant::now
}

pub fn instant_elapsed(at: tokio::time::Instant) -> Duration {
    at.into_std().elapsed() //~ std::time::Instant::elapsed
}

pub fn system_time_now() -> SystemTime {
    SystemTime::now() //~ std::time::SystemTime::now
}

pub fn system_time_elapsed(at: SystemTime) -> bool {
    at.elapsed().is_ok() //~ std::time::SystemTime::elapsed
}

// === tasks ===

pub fn task_spawn() {
    tokio::spawn(async {}); //~ tokio::task::spawn
    tokio::task::spawn(async {}); //~ tokio::task::spawn
}

pub fn task_spawn_passed_as_a_value() {
    let _ = [std::future::ready(())].map(tokio::spawn); //~ tokio::task::spawn
}

pub fn task_spawn_local() {
    tokio::task::spawn_local(async {}); //~ tokio::task::spawn_local
}

pub fn task_spawn_blocking() {
    tokio::task::spawn_blocking(|| {}); //~ tokio::task::spawn_blocking
}

pub fn handle_spawn(handle: &Handle) {
    handle.spawn(async {}); //~ tokio::runtime::Handle::spawn
}

pub fn handle_spawn_blocking(handle: &Handle) {
    handle.spawn_blocking(|| {}); //~ tokio::runtime::Handle::spawn_blocking
}

pub fn runtime_spawn(runtime: &Runtime) {
    runtime.spawn(async {}); //~ tokio::runtime::Runtime::spawn
}

pub fn runtime_spawn_blocking(runtime: &Runtime) {
    runtime.spawn_blocking(|| {}); //~ tokio::runtime::Runtime::spawn_blocking
}

pub fn join_set_spawn(set: &mut JoinSet<()>) {
    set.spawn(async {}); //~ tokio::task::JoinSet::spawn
}

pub fn join_set_spawn_on(set: &mut JoinSet<()>, handle: &Handle) {
    set.spawn_on(async {}, handle); //~ tokio::task::JoinSet::spawn_on
}

pub fn join_set_spawn_local(set: &mut JoinSet<()>) {
    set.spawn_local(async {}); //~ tokio::task::JoinSet::spawn_local
}

pub fn join_set_spawn_local_on(set: &mut JoinSet<()>, local: &LocalSet) {
    set.spawn_local_on(async {}, local); //~ tokio::task::JoinSet::spawn_local_on
}

pub fn join_set_spawn_blocking(set: &mut JoinSet<()>) {
    set.spawn_blocking(|| {}); //~ tokio::task::JoinSet::spawn_blocking
}

pub fn join_set_spawn_blocking_on(set: &mut JoinSet<()>, handle: &Handle) {
    set.spawn_blocking_on(|| {}, handle); //~ tokio::task::JoinSet::spawn_blocking_on
}

pub fn local_set_spawn_local(local: &LocalSet) {
    local.spawn_local(async {}); //~ tokio::task::LocalSet::spawn_local
}

pub fn thread_spawn() {
    let _ = std::thread::spawn(|| {}); //~ std::thread::spawn
}

pub fn thread_builder_spawn() {
    let _ = std::thread::Builder::new().spawn(|| {}); //~ std::thread::Builder::spawn
}

pub fn thread_scope() {
    std::thread::scope(|_| {}); //~ std::thread::scope
}

pub fn thread_sleep() {
    std::thread::sleep(Duration::ZERO); //~ std::thread::sleep
}

// === queues ===

pub fn tokio_unbounded() {
    let _ = tokio::sync::mpsc::unbounded_channel::<()>(); //~ tokio::sync::mpsc::unbounded_channel
}

pub fn std_unbounded() {
    let _ = std::sync::mpsc::channel::<()>(); //~ std::sync::mpsc::channel
}

pub fn futures_unbounded() {
    let _ = futures_channel::mpsc::unbounded::<()>(); //~ futures_channel::mpsc::unbounded
}

// === what the house uses instead ===

pub fn tokio_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

pub async fn tokio_sleep() {
    tokio::time::sleep(Duration::ZERO).await;
}

pub fn bounded() {
    let _ = tokio::sync::mpsc::channel::<()>(1);
}

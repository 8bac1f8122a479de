//! The example `worker` as a process: what it does with its jobs when it is told to end.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/gateway_process.rs"]
#[allow(dead_code, unused_imports, reason = "each test binary uses its part")]
mod process;

use std::{env::consts::EXE_SUFFIX, process::Stdio};

use http::Request;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use self::process::{http1, soon};

struct Example {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Example {
    async fn start(args: &[&str]) -> Self {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let example = profile.join("examples").join(format!("worker{EXE_SUFFIX}"));
        assert!(example.exists(), "first: cargo build --example worker");
        let mut command = Command::new(example);
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon(stdout.next_line()).await.unwrap().unwrap();
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        Self { child, stdout, url }
    }

    /// Orders this, and gives the status.
    async fn order(&self, order: usize) -> u16 {
        let request = Request::post(format!("{}/orders/{order}", self.url));
        http1(request).await.head.status.as_u16()
    }

    async fn ready(&self) -> u16 {
        http1(Request::get(format!("{}/ready", self.url)))
            .await
            .head
            .status
            .as_u16()
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(soon(kill).await.unwrap().success());
    }

    /// The lines that it still says, and its exit code.
    async fn end(mut self) -> (Vec<String>, Option<i32>) {
        let mut lines = Vec::new();
        while let Some(line) = soon(self.stdout.next_line()).await.unwrap() {
            lines.push(line);
        }
        (lines, soon(self.child.wait()).await.unwrap().code())
    }
}

/// The orders of the lines that begin so, sorted.
fn orders(lines: &[String], what: &str) -> Vec<usize> {
    let order = |line: &String| line.strip_prefix(what)?.split([' ', ':']).next()?.parse().ok();
    let mut orders: Vec<_> = lines.iter().filter_map(order).collect();
    orders.sort_unstable();
    orders
}

#[tokio::test(crate = "process::leakless")]
async fn told_to_end_it_does_what_it_took_in() {
    let example = Example::start(&["--mail-takes", "100ms"]).await;
    assert_eq!(example.ready().await, 200);
    for order in 0..10 {
        assert_eq!(example.order(order).await, 202);
    }
    example.signal("TERM").await;
    let (lines, code) = example.end().await;
    assert_eq!(orders(&lines, "sent "), (0..10).collect::<Vec<_>>());
    assert_eq!((lines.last().unwrap().as_str(), code), ("closed", Some(0)));
}

#[tokio::test(crate = "process::leakless")]
async fn what_it_has_no_time_for_is_handed_back_and_the_exit_code_says_so() {
    let example = Example::start(&["--mail-takes", "1h", "--budget", "400ms"]).await;
    for order in 0..68 {
        assert_eq!(example.order(order).await, 202);
    }
    // 4 run, 64 wait.
    assert_eq!(example.order(68).await, 503);
    example.signal("TERM").await;
    let (lines, code) = example.end().await;
    assert_eq!(orders(&lines, "left "), (4..68).collect::<Vec<_>>());
    assert_eq!(orders(&lines, "failed "), [0, 1, 2, 3]);
    assert_eq!(code, Some(1));
}

#[tokio::test(crate = "process::leakless")]
async fn a_second_signal_hands_back_at_once() {
    let mut example = Example::start(&["--mail-takes", "1h", "--budget", "1h"]).await;
    for order in 0..8 {
        assert_eq!(example.order(order).await, 202);
    }
    example.signal("TERM").await;
    // It has heard the first when it accepts no more.
    let address = example.url.strip_prefix("http://").unwrap();
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(example.child.try_wait().unwrap().is_none());
    example.signal("INT").await;
    let (lines, code) = example.end().await;
    assert_eq!(
        (orders(&lines, "left "), orders(&lines, "failed ")),
        (vec![4, 5, 6, 7], vec![0, 1, 2, 3])
    );
    assert_eq!(code, Some(1));
}

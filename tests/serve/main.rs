//! Serving, over real sockets: how connections drain with their process, end with it, and are named.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

mod abort;
mod drain;
mod foreign;
mod requests;
mod upgrades;
#[cfg(target_os = "linux")]
mod watch;

#[path = "../support/mod.rs"]
mod support;

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use buttress::{
    Lifecycle,
    lifecycle::{Handle, Report, serve::Server},
    registry::{Kind, Work},
};
use support::{leakless::named, listener, soon};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// For the end of what should not end by itself.
const HASTE: Duration = Duration::from_millis(100);

/// A process that serves.
struct Up {
    life: Lifecycle,
    address: SocketAddr,
}

impl Up {
    /// With time for a drain.
    async fn serve(app: Router) -> Self {
        Self::serve_within(Duration::from_secs(25), app, |server| server).await
    }

    /// With hardly any time: what has not ended is aborted.
    async fn in_haste(app: Router) -> Self {
        Self::serve_within(HASTE, app, |server| server).await
    }

    async fn serve_within(budget: Duration, app: Router, set: impl FnOnce(Server) -> Server) -> Self {
        let life = Lifecycle::builder().budget(budget).build().unwrap();
        let (listener, address) = listener().await;
        let serving = set(life.server()).serve(listener, app);
        assert_eq!(serving.local_addr().unwrap(), address);
        Self { life, address }
    }

    fn handle(&self) -> Handle {
        self.life.handle()
    }

    async fn end(self) -> Report {
        self.life.handle().shutdown();
        soon(self.life.run()).await
    }

    /// Ends it while the test goes on, from when it drains.
    async fn draining(self) -> tokio::task::JoinHandle<Report> {
        let draining = self.handle().draining();
        let ends = tokio::spawn(self.end());
        soon(draining).await;
        ends
    }
}

/// Until so many connections are taken.
async fn connected(handle: &Handle, many: usize) {
    let is_connection = |work: &Work| work.kind == Kind::Connection;
    soon(async {
        while handle.snapshot().into_iter().filter(is_connection).count() < many {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What the report says was aborted.
fn aborted(report: &Report) -> Vec<String> {
    assert!(report.stuck.is_empty(), "{report}");
    report.aborted.iter().map(|ended| named(&ended.work)).collect()
}

/// All that comes before the peer closes, with or without a reset.
async fn rest(mut socket: TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = soon(socket.read(&mut buffer)).await {
        bytes.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

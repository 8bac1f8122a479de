//! An example as a child process: what it says, the signals it is sent, and how it ends.

use std::{env::consts::EXE_SUFFIX, net::SocketAddr, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    task::JoinHandle,
};

use crate::support::{Heard, log, soon};

/// A child that runs, until this is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) lines: Heard<String>,
    said: JoinHandle<()>,
    complaint: JoinHandle<String>,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) code: Option<i32>,
    /// What it said that nobody had read.
    pub(crate) lines: Vec<String>,
    /// What it said on its standard error.
    pub(crate) complaint: String,
}

impl Process {
    /// Starts the example of this name.
    ///
    /// # Panics
    ///
    /// Where it is not built, as with `cargo test --test` alone.
    pub(crate) fn start(example: &str, args: &[&str]) -> Self {
        let test = std::env::current_exe().expect("this test");
        let profile = test.ancestors().nth(2).expect("it is in `deps`");
        let path = profile.join("examples").join(format!("{example}{EXE_SUFFIX}"));
        assert!(path.exists(), "first: cargo build --example {example}");
        let mut command = Command::new(path);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (tell, lines) = log();
        let stdout = child.stdout.take().expect("a pipe");
        let mut stderr = child.stderr.take().expect("a pipe");
        // Both are read all the time: a pipe that is full would hold the child up.
        let said = tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tell.tell(line);
            }
        });
        let complaint = tokio::spawn(async move {
            let mut complaint = String::new();
            let _ = stderr.read_to_string(&mut complaint).await;
            complaint
        });
        Self {
            child,
            lines,
            said,
            complaint,
        }
    }

    /// The rest of the next line, which begins so.
    pub(crate) async fn says(&mut self, what: &str) -> String {
        let line = self.lines.next().await;
        let rest = line.strip_prefix(what).unwrap_or_else(|| panic!("{what}, not {line}"));
        rest.trim_start().to_owned()
    }

    /// Sends it a signal: `TERM`, say.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = soon(Command::new("kill").args(["-s", name, &pid]).status()).await;
        assert!(sent.expect("there is kill").success());
    }

    /// Until it accepts no more.
    pub(crate) async fn drains(&self, address: SocketAddr) {
        soon(async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Hears none of its complaints any more.
    pub(crate) fn stop_listening(&self) {
        self.complaint.abort();
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Exit {
        let status = soon(self.child.wait()).await.expect("it ends");
        soon(self.said).await.expect("all is read");
        Exit {
            code: status.code(),
            lines: self.lines.so_far(),
            complaint: soon(self.complaint).await.unwrap_or_default(),
        }
    }
}

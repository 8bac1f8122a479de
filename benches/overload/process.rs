//! A process that was started, until it is dropped; and what it uses of the processor.

use std::{
    env, fs, io,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::task::spawn_blocking;

use crate::upstream::Work;

/// A process that listens.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts one whose address is known.
    pub(crate) fn at(address: SocketAddr, command: &mut Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { child, address })
    }

    /// Starts one that says `listening on http://ADDRESS` in its first line.
    pub(crate) async fn listening(command: &mut Command) -> io::Result<Self> {
        let mut running = Self::at(([127, 0, 0, 1], 0).into(), command.stdout(Stdio::piped()))?;
        let stdout = running.child.stdout.take();
        let line = spawn_blocking(move || {
            let mut line = String::new();
            if let Some(stdout) = stdout {
                io::BufRead::read_line(&mut io::BufReader::new(stdout), &mut line)?;
            }
            Ok::<_, io::Error>(line)
        });
        let line = line.await??;
        let address = line.trim_end().strip_prefix("listening on http://");
        running.address = address
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| io::Error::other(format!("it says {line:?} and not where it listens")))?;
        Ok(running)
    }

    /// Starts this very program, as the upstream.
    pub(crate) async fn upstream(work: Work) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        Self::listening(command.args(["--upstream", &work.to_string()])).await
    }

    /// What it has used of the processor. `None` where nobody tells.
    pub(crate) fn cpu(running: Option<&Self>) -> Option<Duration> {
        cpu(&running?.child.id().to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that is gone already needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What this process has used of the processor.
pub(crate) fn own_cpu() -> Option<Duration> {
    cpu("self")
}

/// The first number of each thread's `schedstat`, in ns: proc(5)'s `stat` counts by clock ticks, which miss what is as short as a
/// request.
fn cpu(process: &str) -> Option<Duration> {
    let mut used = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let times = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        used += times.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(used))
}

//! A runtime for tests, at whose end nothing may live: `#[tokio::test(crate = "support::leakless")]`.
//!
//! That is how tokio's macro is told where to find its runtime, and so the whole of what a test has to say. Its body runs under
//! [`leak::Check`]; on a paused clock, where it asks for one. The servers of [`support`](super) end with the body: it is what they did
//! that is to leave nothing.

#![allow(
    dead_code,
    unused_imports,
    clippy::disallowed_methods,
    clippy::unnecessary_wraps,
    reason = "each test binary uses its part, and may spawn; the rest is as tokio's macro wants it"
)]

use std::cell::RefCell;

use buttress::registry::Work;
pub(crate) use tokio::pin;
use tokio::task::AbortHandle;

thread_local! {
    /// What serves the test that runs on this thread.
    static SERVERS: RefCell<Vec<AbortHandle>> = const { RefCell::new(Vec::new()) };
}

/// Spawns what serves, for as long as the test lasts.
pub(crate) fn serves<F>(future: F)
where
    F: Future<Output: Send> + Send + 'static,
{
    let server = tokio::spawn(future).abort_handle();
    SERVERS.with_borrow_mut(|servers| servers.push(server));
}

/// What it is, and of what it is unless that is the check's own body.
pub(crate) fn named(work: &Work) -> String {
    let named = work.to_string();
    named
        .strip_suffix(" of task leak-check")
        .map_or(named.clone(), str::to_owned)
}

/// As tokio's macro looks for it.
pub(crate) mod runtime {
    use std::convert::Infallible;

    use buttress::testing::leak::Check;

    use super::SERVERS;

    pub(crate) struct Builder(Check);

    impl Builder {
        pub(crate) fn new_current_thread() -> Self {
            Self(Check::new())
        }

        pub(crate) fn new_multi_thread() -> Self {
            Self(Check::new()).worker_threads(2)
        }

        pub(crate) fn worker_threads(self, threads: usize) -> Self {
            Self(self.0.multi_thread(threads))
        }

        pub(crate) fn start_paused(self, paused: bool) -> Self {
            if paused { Self(self.0.paused()) } else { self }
        }

        pub(crate) fn enable_all(self) -> Self {
            self
        }

        pub(crate) fn build(self) -> Result<Self, Infallible> {
            Ok(self)
        }

        #[track_caller]
        pub(crate) fn block_on(self, test: impl Future<Output = ()>) {
            self.0.assert_none(|| async {
                test.await;
                for server in SERVERS.take() {
                    server.abort();
                }
            });
        }
    }
}

use std::{collections::HashSet, future::Future, time::Duration};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::{Instant, sleep},
};

use super::{Leaks, descriptors};
use crate::registry::{self, Entry, Kind, Root, Work};

/// A leak check with settings of one's own.
///
/// | setting | default | |
/// |---|---|---|
/// | [`settle`](Self::settle) | 1 s | how long things have to end when the work is done |
/// | [`allow`](Self::allow) | none | names of work that may live on |
/// | [`allow_foreign`](Self::allow_foreign) | 0 | tasks without a name that may |
/// | [`multi_thread`](Self::multi_thread) | one thread | |
/// | [`paused`](Self::paused) | a real clock | |
/// | [`file_descriptors`](Self::file_descriptors) | not looked at | |
#[derive(Clone, Debug)]
#[must_use = "a check does nothing until it is run"]
pub struct Check {
    settle: Duration,
    allowed: Vec<&'static str>,
    foreign: usize,
    threads: Option<usize>,
    paused: bool,
    descriptors: bool,
}

/// The body, as the owner of what it starts.
const NAME: &str = "leak-check";

const TICK: Duration = Duration::from_millis(1);

impl Check {
    /// A check as [`assert_none`](super::assert_none) makes it.
    pub const fn new() -> Self {
        Self {
            settle: Duration::from_secs(1),
            allowed: Vec::new(),
            foreign: 0,
            threads: None,
            paused: false,
            descriptors: false,
        }
    }

    /// How long things have to end when the work is done. It is over sooner where nothing lives.
    pub const fn settle(mut self, time: Duration) -> Self {
        self.settle = time;
        self
    }

    /// Work of this name may live on: what a process has for as long as it runs.
    pub fn allow(mut self, name: &'static str) -> Self {
        self.allowed.push(name);
        self
    }

    /// So many tasks may live on that are not ours, and so have no name.
    pub const fn allow_foreign(mut self, tasks: usize) -> Self {
        self.foreign = tasks;
        self
    }

    /// Runs the work on a runtime of so many threads. 0 is taken for 1.
    pub const fn multi_thread(mut self, threads: usize) -> Self {
        self.threads = Some(if threads == 0 { 1 } else { threads });
        self
    }

    /// Runs the work on a paused clock, as tokio's `start_paused` does: on one thread, and settling takes no time. Not for work that has a
    /// peer outside of the runtime, for the clock goes on as soon as all in it waits.
    pub const fn paused(mut self) -> Self {
        self.paused = true;
        self
    }

    /// Looks at the open file descriptors as well. They are the whole process's: for a test that runs alone in its process. On systems
    /// other than Linux it finds none.
    pub const fn file_descriptors(mut self) -> Self {
        self.descriptors = true;
        self
    }

    /// Runs `body`, and fails if anything of it lives when it is done and has had its time to settle.
    ///
    /// # Panics
    ///
    /// If something does: that is what it is for. Otherwise as [`run`](Self::run).
    #[track_caller]
    pub fn assert_none<F, Fut>(self, body: F)
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = ()>,
    {
        if let Err(leaks) = self.run(body) {
            panic!("{leaks}");
        }
    }

    /// Runs `body`, and says what of it lives when it is done and has had its time to settle.
    ///
    /// # Errors
    ///
    /// What lives.
    ///
    /// # Panics
    ///
    /// Within a runtime, where no other can be run; and if none can be made.
    #[track_caller]
    pub fn run<F, Fut>(self, body: F) -> Result<(), Leaks>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = ()>,
    {
        let open = self.descriptors.then(|| {
            // The first runtime of a process opens some for good.
            drop(self.runtime());
            descriptors::open()
        });
        let runtime = self.runtime();
        let ours = Ours::new();
        ours.enter(|| {
            runtime.block_on(async {
                body().await;
                self.settled(&ours).await;
            });
        });

        let tasks = runtime.metrics().num_alive_tasks();
        let alive = ours.alive();
        let start = Instant::now();
        runtime.shutdown_timeout(self.settle);
        // It waits for nothing but threads.
        let blocked = start.elapsed() >= self.settle && self.settle > Duration::ZERO;

        let works = ours.of(alive, tasks, blocked);
        let may_block = works
            .iter()
            .any(|work| work.kind == Kind::Blocking && self.allows(work));
        let leaks = Leaks {
            foreign: tasks.saturating_sub(works.len()).saturating_sub(self.foreign),
            works: works.into_iter().filter(|work| !self.allows(work)).collect(),
            blocked: blocked && !may_block,
            descriptors: open.map(|open| descriptors::opened_since(&open)).unwrap_or_default(),
        };
        if leaks.is_empty() { Ok(()) } else { Err(leaks) }
    }

    #[track_caller]
    fn runtime(&self) -> Runtime {
        let mut builder = match self.threads {
            Some(threads) if !self.paused => {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(threads);
                builder
            }
            _ => {
                let mut builder = Builder::new_current_thread();
                builder.start_paused(self.paused);
                builder
            }
        };
        match builder.enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("the leak check has no runtime: {error}"),
        }
    }

    fn allows(&self, work: &Work) -> bool {
        self.allowed.contains(&work.name)
    }

    /// Until nothing lives that may not, or the time is over.
    async fn settled(&self, ours: &Ours) {
        let metrics = Handle::current().metrics();
        let until = Instant::now() + self.settle;
        loop {
            let started = ours.started(&ours.alive());
            let allowed = started.iter().filter(|work| self.allows(work)).count();
            let lives = started.len() > allowed || metrics.num_alive_tasks() > allowed + self.foreign;
            if !lives || Instant::now() >= until {
                return;
            }
            sleep(TICK).await;
        }
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells the entries of this check from those of the tests beside it.
struct Ours {
    before: HashSet<u64>,
    entry: Option<Entry>,
    id: Option<u64>,
}

impl Ours {
    fn new() -> Self {
        let before = registry::snapshot().iter().map(|work| work.id).collect();
        let root = Root::new();
        let entry = registry::enter(Kind::Task, NAME, None, Some(root.clone()));
        Self {
            before,
            entry,
            id: registry::snapshot_of(&root).first().map(|work| work.id),
        }
    }

    /// What is started within, on this thread, is owned by the check.
    fn enter(&self, run: impl FnOnce()) {
        match &self.entry {
            Some(entry) => entry.enter(run),
            None => run(),
        }
    }

    /// All that was entered since and lives, the oldest first. Some of it may be of other tests.
    fn alive(&self) -> Vec<Work> {
        let mut alive = registry::snapshot();
        alive.retain(|work| Some(work.id) != self.id && !self.before.contains(&work.id));
        alive
    }

    /// Those of them that the check started, and what these did.
    fn started(&self, alive: &[Work]) -> Vec<Work> {
        let mut ids: HashSet<u64> = self.id.into_iter().collect();
        // An owner is older than what it owns, so it comes before.
        let is_ours = |work: &&Work| work.owner.is_some_and(|owner| ids.contains(&owner.id)) && ids.insert(work.id);
        alive.iter().filter(is_ours).cloned().collect()
    }

    /// Those of them that are the check's, now that its runtime is gone: besides what it started, where there are more tasks than
    /// that, what went with the runtime; and where a thread is blocked, the code that blocks.
    fn of(&self, alive: Vec<Work>, tasks: usize, blocked: bool) -> Vec<Work> {
        let started: HashSet<u64> = self.started(&alive).iter().map(|work| work.id).collect();
        let still: HashSet<u64> = registry::snapshot().iter().map(|work| work.id).collect();
        let is_ours = |work: &Work| {
            started.contains(&work.id)
                || tasks > started.len() && !still.contains(&work.id)
                || blocked && work.kind == Kind::Blocking && still.contains(&work.id)
        };
        alive.into_iter().filter(is_ours).collect()
    }
}

use std::{
    fmt,
    future::Future,
    panic,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    runtime::Handle as Runtime,
    sync::{Notify, watch},
};

use super::{
    Cause, InvalidLifecycle, LifecycleBuilder, Phase, Readiness,
    hooks::Hook,
    phase::{Schedule, Times},
    signals::Signals,
    staff::Staff,
    told::Told,
};
use crate::{
    body::BoxError,
    context::{Cancelled, Context, ContextGuard, Task, TaskError},
    registry::{self, Kind, Root, Work},
};

/// A process: what it runs, and how it ends. See the [module](super).
///
/// It does nothing by itself until it is [run](Self::run); dropped without that, or in the middle of it, it aborts at once what belongs to
/// it, whoever still has a [`Handle`].
#[derive(Debug)]
pub struct Lifecycle {
    pub(super) handle: Handle,
    pub(super) signals: Option<Signals>,
}

/// A hold on a [`Lifecycle`], for all who are part of it. Clones are of the same.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Process>);

pub(super) struct Process {
    pub(super) times: Times,
    /// What serves requests, and what they started.
    pub(super) public: Realm,
    /// What works behind: workers, critical tasks, hooks.
    pub(super) staff: Realm,
    /// Of the critical tasks, which end before the workers do.
    pub(super) duty: ContextGuard,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) readiness: Readiness,
    /// Set once, with the cause.
    pub(super) schedule: Arc<OnceLock<Schedule>>,
    pub(super) cause: OnceLock<Cause>,
    pub(super) caused: Notify,
    /// Asked to go straight to the abort.
    pub(super) hurried: Notify,
    /// In the order in which they were started.
    pub(super) workers: Mutex<Vec<Arc<dyn Staff>>>,
    pub(super) hooks: Mutex<Vec<Hook>>,
    pub(super) told: Told,
}

/// What ends together.
pub(super) struct Realm {
    pub(super) root: Arc<Root>,
    pub(super) context: ContextGuard,
}

impl Realm {
    fn new() -> Self {
        let root = Root::new();
        Self {
            context: Context::of_root(root.clone()),
            root,
        }
    }
}

impl Lifecycle {
    /// A lifecycle with settings of one's own.
    pub const fn builder() -> LifecycleBuilder {
        LifecycleBuilder::new()
    }

    pub(super) fn new(times: Times, signals: bool, told: Told) -> Result<Self, InvalidLifecycle> {
        let signals = match signals {
            true if Runtime::try_current().is_err() => return Err(InvalidLifecycle::Signals),
            // tokio panics where the runtime has no I/O driver, and cannot be asked.
            true => match panic::catch_unwind(Signals::listen) {
                Ok(Ok(signals)) => Some(signals),
                Ok(Err(_)) | Err(_) => return Err(InvalidLifecycle::Signals),
            },
            false => None,
        };
        let phase = watch::Sender::new(Phase::Running);
        let staff = Realm::new();
        let process = Process {
            times,
            public: Realm::new(),
            duty: staff.context.child(),
            staff,
            readiness: Readiness::new(phase.subscribe()),
            phase,
            schedule: Arc::default(),
            cause: OnceLock::new(),
            caused: Notify::new(),
            hurried: Notify::new(),
            workers: Mutex::default(),
            hooks: Mutex::default(),
            told,
        };
        Ok(Self {
            handle: Handle(Arc::new(process)),
            signals,
        })
    }

    /// A hold on it, for whoever is part of it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// See [`Handle::readiness`].
    pub fn readiness(&self) -> Readiness {
        self.handle.readiness()
    }

    /// Closes something at the end, when all work is done: a pool, telemetry. The last that was added is closed first.
    ///
    /// What it gives back is in the [report](super::Report); it has what is left of the budget, and is dropped when that is over.
    pub fn on_close<F>(&self, name: &'static str, close: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.handle.0.hooks().push(Hook::new(name, close));
    }

    /// Starts a task that must not end: whether it returns, fails or panics, the process shuts down and its exit code is not 0.
    ///
    /// When all requests have ended its context does, and so does it. Where there is no tokio runtime to start it on, it has ended.
    pub fn critical<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let process = Arc::downgrade(&self.handle.0);
        let ended = move |how: String| {
            if let Some(process) = process.upgrade() {
                process.ask(Cause::Critical { name, how });
            }
        };
        let task = self.handle.0.duty.spawn_as(Kind::Critical, name, async move {
            let mut guard = Unwinding(Some(ended));
            let how = match future.await {
                Ok(()) => "ended".to_owned(),
                Err(error) => format!("failed: {error}"),
            };
            if let Some(ended) = guard.0.take() {
                ended(how);
            }
        });
        if let Some(TaskError::NoRuntime { .. }) = task.not_started() {
            let how = "was not started: no tokio runtime here".to_owned();
            self.handle.0.ask(Cause::Critical { name, how });
        }
        drop(task);
    }
}

/// After a run there is nothing left that could be ended.
impl Drop for Lifecycle {
    fn drop(&mut self) {
        let process = &self.handle.0;
        process.end();
        let is_over = |phase: &mut Phase| std::mem::replace(phase, Phase::Ended) != Phase::Ended;
        process.phase.send_if_modified(is_over);
    }
}

/// Tells of a panic, and of nothing else that drops it.
struct Unwinding<F: FnOnce(String)>(Option<F>);

impl<F: FnOnce(String)> Drop for Unwinding<F> {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(ended) = self.0.take()
        {
            // Telling must not panic on top of it.
            let _ = panic::catch_unwind(panic::AssertUnwindSafe(|| ended("panicked".to_owned())));
        }
    }
}

impl Handle {
    /// Ends the process, as a signal would. Only the first cause counts.
    pub fn shutdown(&self) {
        self.0.ask(Cause::Asked);
    }

    /// Ends the process at once, as a second signal would: what has not ended by itself is aborted, without a drain.
    pub fn abort(&self) {
        self.0.ask(Cause::Asked);
        self.0.hurried.notify_one();
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        *self.0.phase.borrow()
    }

    /// Ready once the process drains: for `with_graceful_shutdown` of axum and tonic.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reaches(Phase::Draining)
    }

    /// Ready once the process is in this phase or a later one.
    pub fn reaches(&self, phase: Phase) -> impl Future<Output = ()> + Send + 'static {
        let mut phases = self.0.phase.subscribe();
        async move {
            // Where the process is dropped, it has ended.
            let _ = phases.wait_for(|now| *now >= phase).await;
        }
    }

    /// Whether it should be sent requests.
    pub fn readiness(&self) -> Readiness {
        self.0.readiness.clone()
    }

    /// The context of all that serves requests: what is below it ends with the process.
    pub fn context(&self) -> Context {
        (*self.0.public.context).clone()
    }

    /// All of it that is alive now, the oldest first.
    pub fn snapshot(&self) -> Vec<Work> {
        self.0.alive()
    }

    /// Sends a task on its way, that outlives the request which wants it, for `max` at most: see [`Context::detach`].
    pub fn detach<F>(&self, name: &'static str, max: Duration, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.public.context.detach(name, max, future)
    }
}

impl Process {
    pub(super) fn ask(&self, cause: Cause) {
        if self.cause.set(cause).is_ok() {
            self.caused.notify_one();
        }
    }

    /// Ends all of it that can be made to end, and lets nothing in any more.
    pub(super) fn end(&self) {
        let workers = self.workers().clone();
        for worker in workers.iter().rev() {
            worker.end();
        }
        for realm in self.realms() {
            realm.root.close();
            realm.context.end(Cancelled::ShuttingDown);
            registry::end_all(&realm.root);
        }
    }

    pub(super) fn realms(&self) -> [&Realm; 2] {
        [&self.public, &self.staff]
    }

    pub(super) fn alive(&self) -> Vec<Work> {
        let of_realm = |realm: &Realm| registry::snapshot_of(&realm.root);
        self.realms().map(of_realm).concat()
    }

    pub(super) fn hooks(&self) -> MutexGuard<'_, Vec<Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn workers(&self) -> MutexGuard<'_, Vec<Arc<dyn Staff>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("phase", &self.phase())
            .field("alive", &self.0.public.root.live())
            .finish_non_exhaustive()
    }
}

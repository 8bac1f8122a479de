//! The end of a process, phase by phase.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Cause, Ended, Lifecycle, Phase, Report, life::Process, phase::Schedule, signals::Signals, staff::Left};
use crate::{context::Cancelled, registry::Kind, telemetry::ProcessEvent};

impl Lifecycle {
    /// Runs until there is a cause to end, and then ends in order. See the [module](super).
    ///
    /// It gives its report within the budget and the grace, provided that the runtime still turns: what is aborted and does not yield, and
    /// code that blocks, is left behind and named.
    pub async fn run(mut self) -> Report {
        let process = self.handle.0.clone();
        let cause = first_cause(&process, self.signals.as_mut()).await;
        let start = Instant::now();
        let (has_workers, has_hooks) = (!process.workers().is_empty(), !process.hooks().is_empty());
        let schedule = process.times.from(start, has_workers, has_hooks);
        let schedule = *process.schedule.get_or_init(|| schedule);

        let mut end = End {
            process: &process,
            schedule,
            entered: None,
            report: Report::new(cause),
        };
        let none_yet = !matches!(end.report.cause, Cause::Signal(_));
        let hurried = async {
            let Some(signals) = &mut self.signals else {
                return std::future::pending().await;
            };
            // One that comes after another cause says the same again: an orchestrator sends it to a process that was asked to end.
            if none_yet {
                signals.next().await;
            }
            signals.next().await
        };
        tokio::select! {
            biased;
            _ = hurried => {}
            () = process.hurried.notified() => {}
            () = end.in_order() => {}
        }
        end.abort().await;
        end.report
    }
}

async fn first_cause(process: &Process, signals: Option<&mut Signals>) -> Cause {
    let signalled = async {
        match signals {
            Some(signals) => signals.next().await,
            None => std::future::pending().await,
        }
    };
    let asked = async {
        loop {
            let caused = process.caused.notified();
            if let Some(cause) = process.cause.get() {
                return cause.clone();
            }
            caused.await;
        }
    };
    tokio::select! {
        biased;
        cause = asked => cause,
        signal = signalled => {
            process.ask(Cause::Signal(signal));
            process.cause.get().cloned().unwrap_or(Cause::Signal(signal))
        }
    }
}

/// The end under way.
struct End<'a> {
    process: &'a Arc<Process>,
    schedule: Schedule,
    entered: Option<(Phase, Instant)>,
    report: Report,
}

impl End<'_> {
    fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        if let Some((before, since)) = self.entered.replace((phase, now)) {
            let took = now - since;
            self.report.phases.push((before, took));
            let phase = before.as_str();
            self.process.told.tell(&ProcessEvent::PhaseEnded { phase, took });
        }
        self.process.phase.send_replace(phase);
    }

    /// Up to the abort. Dropped in the middle, by a second signal, it leaves the rest to that.
    async fn in_order(&mut self) {
        let Schedule {
            not_ready,
            draining,
            workers,
            hooks,
        } = self.schedule;
        self.enter(Phase::NotReady);
        sleep_until(not_ready).await;

        self.enter(Phase::Draining);
        let _ = timeout_at(draining, self.process.public.root.idle()).await;

        self.enter(Phase::Workers);
        self.process.duty.end(Cancelled::ShuttingDown);
        self.workers(workers).await;
        let _ = timeout_at(workers, self.process.staff.root.idle()).await;

        self.enter(Phase::Hooks);
        self.hooks(hooks).await;
    }

    /// The last that was started is the first to stop: it may need the others.
    async fn workers(&mut self, until: Instant) {
        let workers = self.process.workers().clone();
        for worker in workers.iter().rev() {
            worker.stop(until).await;
        }
    }

    /// In tasks of their own: one that panics is one that failed.
    async fn hooks(&mut self, until: Instant) {
        loop {
            let Some(hook) = self.process.hooks().pop() else { return };
            let name = hook.name;
            let context = self.process.staff.context.with_deadline(until);
            let closing = context.spawn_as(Kind::Hook, name, hook.close);
            match timeout_at(until, closing).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => self.report.failed_hooks.push((name, error.to_string())),
                Ok(Err(error)) => self.report.failed_hooks.push((name, error.to_string())),
                Err(_) => self.report.failed_hooks.push((name, "not closed in time".to_owned())),
            }
        }
    }

    /// Those that a second signal left no time for. Where the end came in order there are none.
    fn skip_hooks(&mut self) {
        let skipped = std::mem::take(&mut *self.process.hooks());
        for hook in skipped.into_iter().rev() {
            self.report.failed_hooks.push((hook.name, "skipped".to_owned()));
        }
    }

    /// Ends what has not ended by itself, and gives it a grace to come to a yield.
    async fn abort(&mut self) {
        self.skip_hooks();
        let start = Instant::now();
        self.report.aborted = Ended::all(self.process.alive(), start);
        if !self.report.aborted.is_empty() {
            self.enter(Phase::Aborting);
        }
        for Ended { work, age } in &self.report.aborted {
            let (kind, name, age) = (work.kind.as_str(), work.name, *age);
            self.process.told.tell(&ProcessEvent::Aborted { kind, name, age });
        }
        self.process.end();
        let idle = async {
            for realm in self.process.realms() {
                realm.root.idle().await;
            }
        };
        let _ = timeout_at(start + self.process.times.grace, idle).await;
        let workers = self.process.workers().clone();
        for worker in workers.iter().rev() {
            let (name, Left { handed_back, lost }) = (worker.name(), worker.left());
            self.report
                .unprocessed
                .extend((handed_back > 0).then_some((name, handed_back)));
            self.report.lost.extend((lost > 0).then_some((name, lost)));
        }
        self.report.stuck = Ended::all(self.process.alive(), Instant::now());
        self.enter(Phase::Ended);
    }
}

use std::sync::{Arc, Mutex};

use buttress::observe::{At, Began, Ended, Event, Observer, ProcessEvent};

/// Writes down what it is told, in words.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Written>>);

#[derive(Default)]
struct Written {
    events: Vec<String>,
    ended: Vec<String>,
}

impl Book {
    /// The events, and the end: there must be one.
    pub(crate) fn read(&self) -> (Vec<String>, String) {
        let mut written = self.0.lock().unwrap();
        assert_eq!(written.ended.len(), 1, "{:?}", written.ended);
        (std::mem::take(&mut written.events), written.ended.remove(0))
    }

    /// What happened to the process.
    pub(crate) fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().events.clone()
    }

    fn write(&self, event: String) {
        self.0.lock().unwrap().events.push(event);
    }
}

impl Observer for Book {
    type Call = ();

    fn began(&self, _: &Began<'_>) {}

    fn event(&self, (): &mut (), event: &Event) {
        self.write(match *event {
            Event::Deadline { stage, remaining, .. } => format!("deadline {} {remaining:?}", stage.as_str()),
            Event::Queued {
                limit,
                band,
                wait,
                leave,
                ..
            } => format!("queued in {limit} as {band} for {wait:?}, {}", leave.as_str()),
            Event::Rejected {
                layer,
                reason,
                criticality,
                ..
            } => format!("rejected by {layer}: {}, {criticality}", reason.as_str()),
            Event::Retried { attempt, .. } => format!("retried {attempt}"),
            Event::GaveUp { attempts, reason, .. } => format!("gave up after {attempts}: {reason}"),
            Event::Hedged { attempt, .. } => format!("hedged {attempt}"),
            _ => format!("{event:?}"),
        });
    }

    fn ended(&self, (): (), ended: &Ended) {
        let error = ended.error.map(|error| format!(" {error}")).unwrap_or_default();
        let at = if ended.at == At::Head {
            "at the head"
        } else {
            "in the body"
        };
        let ended = format!("{}{error} {at}", ended.outcome.as_str());
        self.0.lock().unwrap().ended.push(ended);
    }

    fn process(&self, event: &ProcessEvent<'_>) {
        self.write(match *event {
            ProcessEvent::JobEnded {
                worker, outcome, took, ..
            } => format!("job of {worker} {outcome}, {took:?}"),
            ProcessEvent::WorkerRestarted { worker, .. } => format!("{worker} restarted"),
            ProcessEvent::PhaseEnded { phase, took, .. } => format!("{phase} took {took:?}"),
            ProcessEvent::Aborted { kind, name, age, .. } => format!("aborted {kind} {name} at {age:?}"),
            _ => format!("{event:?}"),
        });
    }
}

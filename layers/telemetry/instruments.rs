//! All instruments, in one place: names, units, and what they mean.

use super::{Instrument, InstrumentKind};

macro_rules! instruments {
    ($($ident:ident: $kind:ident $name:literal, $unit:literal, [$($attribute:literal),*], $description:literal;)*) => {
        $(pub(crate) static $ident: Instrument = Instrument {
            name: $name,
            kind: InstrumentKind::$kind,
            unit: $unit,
            description: $description,
            attributes: &[$($attribute),*],
        };)*

        /// All that this crate measures: for an adapter that describes them beforehand.
        pub static ALL: &[&Instrument] = &[$(&$ident),*];
    };
}

instruments! {
    // Calls, as an observer sees them.
    HTTP_SERVER_DURATION: Histogram "http.server.request.duration", "s",
        ["http.request.method", "http.route", "http.response.status_code", "error.type"],
        "How long requests took, to the end of the answer's body.";
    HTTP_CLIENT_DURATION: Histogram "http.client.request.duration", "s",
        ["http.request.method", "http.route", "http.response.status_code", "error.type"],
        "How long calls took, to the end of the answer's body.";
    HTTP_SERVER_ACTIVE: UpDownCounter "http.server.active_requests", "{request}", ["http.request.method"],
        "Requests in flight, their bodies included.";
    RPC_SERVER_DURATION: Histogram "rpc.server.call.duration", "s",
        ["rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type"],
        "How long RPCs took, to the end of the answer.";
    RPC_CLIENT_DURATION: Histogram "rpc.client.call.duration", "s",
        ["rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type"],
        "How long calls of RPCs took, to the end of the answer.";
    CANCELLED: Counter "buttress.request.cancelled", "{request}", ["reason", "at"],
        "Calls whose end nobody waited for, by why, and whether at the head or in the body.";

    // Events in them.
    DEADLINE_REMAINING: Histogram "buttress.deadline.remaining", "s", ["stage"],
        "How much of the deadline was left, when a request arrived and when a call was sent.";
    REJECTED: Counter "buttress.rejected", "{request}", ["layer", "reason", "criticality"],
        "Calls and attempts that a layer rejected.";
    QUEUE_WAIT: Histogram "buttress.queue.wait.duration", "s", ["name", "band", "leave"],
        "How long calls waited in the queue of a limit.";

    // How the layers stand.
    DEADLINE_INVALID: Counter "buttress.deadline.invalid", "{request}", ["name"],
        "Requests with a deadline that could not be read.";
    DEADLINE_EXPIRED: Counter "buttress.deadline.expired", "{request}", ["name"],
        "Requests whose deadline had passed when they arrived.";
    CALL_NOT_SENT: Counter "buttress.deadline.not_sent", "{call}", ["name"],
        "Calls that were not sent, for want of time.";
    CALL_WITHOUT_DEADLINE: Counter "buttress.deadline.missing", "{call}", ["name"],
        "Calls without a deadline, where one is required.";
    CRITICALITY_INVALID: Counter "buttress.criticality.invalid", "{request}", ["name"],
        "Requests with a criticality that could not be read.";
    CRITICALITY_CAPPED: Counter "buttress.criticality.capped", "{request}", ["name"],
        "Requests that asked to matter more than their caller may.";
    DRAIN_REJECTED: Counter "buttress.drain.rejected", "{request}", ["name"],
        "Requests that came after the drain had started.";
    LIMIT: Gauge "buttress.limit.concurrency", "{request}", ["name"], "How many may be in flight.";
    LIMIT_IN_FLIGHT: Gauge "buttress.limit.in_flight", "{request}", ["name"], "How many are in flight.";
    LIMIT_QUEUED: Gauge "buttress.limit.queued", "{request}", ["name", "band"], "How many wait.";
    LIMIT_REJECTED: Counter "buttress.limit.rejected", "{request}", ["name", "band", "reason"],
        "Requests that a limit turned away.";
    SHED_FLOOR: Gauge "buttress.shed.share", "1", ["name"],
        "The share of the requests that is rejected, 0 to 1.";
    SHED_REJECTED: Counter "buttress.shed.rejected", "{request}", ["name", "band"],
        "Requests that were shed.";
    SHED_LEVEL: Gauge "buttress.shed.level", "1", ["name", "signal"],
        "How loaded the process is by a signal, 0 to 1.";
    RATE_DECISIONS: Counter "buttress.rate.requests", "{request}", ["name", "decision"],
        "Requests, by whether they were within their rate.";
    RATE_KEYS: Gauge "buttress.rate.keys", "{key}", ["name"], "Keys that a rate limit remembers.";
    RATE_EVICTED: Counter "buttress.rate.evicted", "{key}", ["name"],
        "Keys that were forgotten too early, for want of room.";
    RETRY_REQUESTS: Counter "buttress.retry.requests", "{request}", ["target"],
        "Calls that could be tried again: the first attempts.";
    RETRY_ATTEMPTS: Counter "buttress.retry.attempts", "{attempt}", ["target", "outcome"],
        "Attempts after the first, by whether they saved the call.";
    RETRY_KEPT: Counter "buttress.retry.kept", "{request}", ["target", "reason"],
        "Failures that were passed up, by why there was no other attempt.";
    BUDGET_AVAILABLE: Gauge "buttress.retry.budget.available", "{attempt}", ["target"],
        "How many attempts more could be paid for now.";
    BUDGET_DECISIONS: Counter "buttress.retry.budget.decisions", "{attempt}", ["target", "decision"],
        "Attempts after the first, by what the budget said.";
    HEDGE_ATTEMPTS: Counter "buttress.hedge.attempts", "{attempt}", ["target", "outcome"],
        "Attempts beside the first, by whether they answered first.";
    HEDGE_UNPAID: Counter "buttress.hedge.unpaid", "{attempt}", ["target"],
        "Hedges that were not made, because the budget was spent.";
    BREAKER_STATE: Gauge "buttress.breaker.state", "{circuit}", ["target", "state"],
        "Circuits that stand so.";
    BREAKER_REJECTED: Counter "buttress.breaker.rejected", "{call}", ["target"],
        "Calls that were not made at a destination that keeps failing.";
    BREAKER_OPENED: Counter "buttress.breaker.opened", "{circuit}", ["target"], "How often circuits opened.";
    THROTTLE_PROBABILITY: Gauge "buttress.throttle.probability", "1", ["target", "band"],
        "How likely the next call is not made, 0 to 1.";
    THROTTLE_REJECTED: Counter "buttress.throttle.rejected", "{call}", ["target"],
        "Calls that were not made at a destination that rejects many.";
    FALLBACK_ANSWERS: Counter "buttress.fallback.answers", "{call}", ["name", "outcome"],
        "Calls that failed and were to be answered otherwise, by what became of that.";
    FAULT_ENABLED: Gauge "buttress.fault.enabled", "1", ["name"], "1 while faults are injected.";
    FAULT_INJECTED: Counter "buttress.fault.injected", "{fault}", ["name", "fault"], "Faults that were injected, by kind.";

    // The process.
    WORKER_QUEUE_DEPTH: Gauge "buttress.worker.queue.depth", "{job}", ["worker"], "Jobs that wait.";
    WORKER_QUEUE_CAPACITY: Gauge "buttress.worker.queue.capacity", "{job}", ["worker"], "How many jobs can wait.";
    WORKER_QUEUE_AGE: Gauge "buttress.worker.queue.oldest.age", "s", ["worker"],
        "How long the oldest job that waits has done so.";
    WORKER_JOBS: Counter "buttress.worker.jobs", "{job}", ["worker", "outcome"], "Jobs that ended, by how.";
    WORKER_RESTARTS: Counter "buttress.worker.restarts", "{worker}", ["worker"],
        "How often a worker died, and was started again.";
    JOB_DURATION: Histogram "buttress.job.duration", "s", ["worker", "outcome"],
        "How long jobs took, all of their attempts.";
    TASK_COUNT: UpDownCounter "buttress.task.count", "{task}", ["kind"], "What is alive, by kind.";
    READY: Gauge "buttress.ready", "1", [], "1 while the process is ready.";
    SHUTDOWN_DURATION: Histogram "buttress.shutdown.duration", "s", ["phase"], "How long each phase of the end took.";
    SHUTDOWN_ABORTED: Counter "buttress.shutdown.aborted", "{task}", ["kind"],
        "What had to be aborted at the end, by kind.";
    RUNTIME_TASKS: Gauge "tokio.task.count", "{task}", [], "Tasks of the runtime that are alive, whoever spawned them.";
    RUNTIME_QUEUE: Gauge "tokio.global_queue.depth", "{task}", [], "Tasks that wait in the runtime's global queue.";
    RUNTIME_BUSY: Counter "tokio.worker.busy", "s", ["worker"], "How long each of the runtime's threads was busy.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::ALL;

    #[test]
    fn names_are_unique_dotted_and_described() {
        let names: HashSet<_> = ALL.iter().map(|instrument| instrument.name).collect();
        assert_eq!(names.len(), ALL.len());
        for instrument in ALL {
            let name = instrument.name;
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte)),
                "{name}"
            );
            assert!(!name.ends_with("total") && !instrument.description.is_empty(), "{name}");
            assert!(instrument.description.ends_with('.'), "{name}");
        }
    }
}

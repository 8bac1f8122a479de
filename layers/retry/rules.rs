use http::StatusCode;

use super::{Attempt, Classify, Verdict};
use crate::{
    outcome::{Class, Delivery, Hint, Outcome},
    rejection::Reason,
};

/// What is retried unless the user says otherwise. See the [table](super).
#[derive(Clone, Debug, Default)]
pub struct Rules {
    by: By,
    statuses: Vec<StatusCode>,
    codes: Vec<i32>,
    hinted: bool,
    trusts_word: bool,
}

/// By which of the two tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum By {
    /// That of the request's protocol.
    #[default]
    Protocol,
    Http,
    Grpc,
}

pub(super) const OK: i32 = 0;
pub(super) const UNAVAILABLE: i32 = 14;
const RESOURCE_EXHAUSTED: i32 = 8;
const CANCELLED: i32 = 1;
const DEADLINE_EXCEEDED: i32 = 4;

impl Rules {
    pub(super) fn http() -> Self {
        Self {
            by: By::Http,
            ..Self::default()
        }
    }

    pub(super) fn grpc() -> Self {
        Self {
            by: By::Grpc,
            ..Self::default()
        }
    }

    pub(super) fn add_status(&mut self, status: StatusCode) {
        self.statuses.push(status);
    }

    pub(super) fn codes(&self) -> &[i32] {
        &self.codes
    }

    /// Never the caller's own end: 1 and 4.
    pub(super) fn add_code(&mut self, code: i32) {
        if ![CANCELLED, DEADLINE_EXCEEDED].contains(&code) {
            self.codes.push(code);
        }
    }

    pub(super) fn retry_hinted(&mut self) {
        self.hinted = true;
    }

    pub(super) fn trust_word(&mut self) {
        self.trusts_word = true;
    }

    fn is_grpc(&self, attempt: &Attempt<'_>) -> bool {
        match self.by {
            By::Protocol => attempt.is_grpc(),
            By::Http => false,
            By::Grpc => true,
        }
    }

    fn by_code(&self, attempt: &Attempt<'_>) -> bool {
        match attempt.code() {
            Some(UNAVAILABLE) => true,
            Some(RESOURCE_EXHAUSTED) if matches!(attempt.hint(), Some(Hint::After(_))) => true,
            Some(code) => self.codes.contains(&code),
            None => false,
        }
    }

    fn by_status(&self, attempt: &Attempt<'_>, status: StatusCode) -> Verdict {
        let idempotent = attempt.is_idempotent();
        let retry = match status.as_u16() {
            // The request came to who was not to have it, and did nothing with it.
            421 => return never_sent(attempt),
            429 if attempt.hint().is_some() => idempotent || self.hinted,
            503 => idempotent || self.hinted && attempt.hint().is_some(),
            408 | 502 | 504 => idempotent,
            _ => idempotent && self.statuses.contains(&status),
        };
        if retry { Verdict::Retry } else { Verdict::Pass }
    }
}

/// The first time at once: it was bad luck, or a connection that had gone stale, and no load.
fn never_sent(attempt: &Attempt<'_>) -> Verdict {
    if attempt.number == 1 {
        Verdict::RetryAtOnce
    } else {
        Verdict::Retry
    }
}

fn if_idempotent(attempt: &Attempt<'_>, verdict: Verdict) -> Verdict {
    if attempt.is_idempotent() {
        verdict
    } else {
        Verdict::Pass
    }
}

impl Classify for Rules {
    fn classify(&self, attempt: &Attempt<'_>) -> Verdict {
        match attempt.outcome {
            // Ours below said no, and none of it was sent: to ask again is to ask ourselves. But an attempt that died by its own
            // timeout is a failure of whoever did not answer.
            Outcome::Rejected(rejection)
                if rejection.reason() == Reason::DeadlineExceeded && rejection.was_executed() =>
            {
                return if_idempotent(attempt, Verdict::Retry);
            }
            Outcome::Rejected(rejection) if rejection.reason() == Reason::Unreachable => {
                return if rejection.was_executed() {
                    if_idempotent(attempt, Verdict::Retry)
                } else {
                    never_sent(attempt)
                };
            }
            Outcome::Rejected(_) | Outcome::Cancelled(_) => return Verdict::Pass,
            Outcome::Failure(failure) if failure.class == Class::Transport => {
                return match attempt.delivery {
                    Some(Delivery::NotSent) => never_sent(attempt),
                    Some(Delivery::Reused) => if_idempotent(attempt, Verdict::RetryAtOnce),
                    _ => if_idempotent(attempt, Verdict::Retry),
                };
            }
            Outcome::Success | Outcome::Failure(_) => {}
        }
        let (Some(status), Some(headers)) = (attempt.status, attempt.headers) else {
            return Verdict::Pass;
        };
        if status.is_success() && *attempt.outcome == Outcome::Success && self.codes.is_empty() {
            return Verdict::Pass;
        }
        match Hint::should_retry(headers) {
            Some(false) => return Verdict::Pass,
            Some(true) if self.trusts_word => return Verdict::Retry,
            _ => {}
        }
        if self.is_grpc(attempt) && headers.contains_key("grpc-status") {
            return if self.by_code(attempt) {
                Verdict::Retry
            } else {
                Verdict::Pass
            };
        }
        self.by_status(attempt, status)
    }
}

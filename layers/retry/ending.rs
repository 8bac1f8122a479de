use bytes::Bytes;
use http::Response;
use http_body::Body;

use super::{
    attempt::code_in,
    rules::{OK, UNAVAILABLE},
};
use crate::{
    body::{BoxError, End, Tracked, Watch},
    budget::{Ended, How, Paying, Why},
    context::{Cancelled, Scope, clock},
    outcome::{Outcome, SoFar},
    rejection::Protocol,
};

/// Rides in the body of the answer that is passed up: the attempt's context lives as long, and the budget is told how it ended.
#[derive(Debug)]
pub struct Ending {
    so_far: SoFar,
    scope: Option<Scope>,
    budget: Option<Paid>,
    /// The gRPC status, where the head has it.
    code: Option<i32>,
    /// gRPC statuses that are retried beside UNAVAILABLE.
    retried: Vec<i32>,
}

impl Ending {
    /// Follows the answer of this attempt, of which the head says so much, if there is anybody to be told of its end.
    #[inline]
    pub(crate) fn follow<B>(
        response: Response<B>,
        protocol: &Protocol,
        head: Option<Outcome>,
        scope: Option<Scope>,
        (paid, retried): (&mut Paid, &[i32]),
    ) -> Response<Tracked<B, Self>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let scope = scope.filter(Scope::is_asked);
        let budget = paid.hand_over();
        if scope.is_none() && budget.is_none() {
            return Tracked::ended(response, |body| body);
        }
        let ending = Self {
            so_far: SoFar::from(head),
            scope,
            budget,
            code: protocol
                .has_grpc_status()
                .then(|| code_in(response.headers()))
                .flatten(),
            retried: retried.to_vec(),
        };
        Tracked::follow(response, *protocol == Protocol::HttpHead, ending)
    }

    /// What a budget hears of it. By [gRFC A6] OK alone is a success, and a status that is retried is a failure, though it come behind
    /// the head and too late for that. One in the head has been judged.
    ///
    /// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs
    fn how(self, end: End<'_>) -> How {
        let late = match end {
            End::Trailers(trailers) if self.so_far.awaits_status() => code_in(trailers),
            _ => None,
        };
        let is_success = self.so_far.end(end).is_success();
        match late.or(self.code) {
            Some(code) if late.is_some() && (code == UNAVAILABLE || self.retried.contains(&code)) => How::Failure,
            None | Some(OK) if is_success => How::Success,
            _ => How::Other,
        }
    }
}

/// Who pays for an attempt, and what for. One that is dropped before its end is known was cancelled, or lost to another, and the budget
/// hears that.
#[derive(Debug)]
pub(crate) struct Paid {
    pub(crate) by: Paying,
    /// `None`: it is the first, which is free.
    why: Option<Why>,
    /// Whether the budget has heard how it ended, or another tells.
    told: bool,
}

impl Paid {
    /// A first attempt: the budget grows by it.
    #[inline]
    pub(crate) fn first(by: Paying) -> Self {
        let told = !by.first(clock::now);
        Self { by, why: None, told }
    }

    /// One more attempt, if there is enough for it.
    pub(crate) fn again(&mut self, why: Why) -> bool {
        let paid = self.by.again(why, clock::now());
        if paid {
            self.why = Some(why);
            self.told = false;
        }
        paid
    }

    /// It was never sent. Of one that was paid for no end is told.
    pub(crate) fn unsent(&mut self) {
        if let Some(why) = self.why.take() {
            self.told = true;
            self.by.unsent(why, clock::now());
        }
    }

    /// Tells the budget how it ended, if it wants to know and has not heard.
    pub(crate) fn ended(&mut self, how: How) {
        if self.is_followed() {
            self.told = true;
            self.by.ended(Ended { again: self.why, how }, clock::now());
        }
    }

    /// An attempt beside this one, if there is enough for it.
    pub(crate) fn beside(&self, why: Why) -> Option<Self> {
        let mut other = Self {
            by: self.by.clone(),
            why: None,
            told: false,
        };
        other.again(why).then_some(other)
    }

    /// Whether the budget is still to hear how it ended.
    #[inline]
    pub(crate) fn is_followed(&self) -> bool {
        !self.told && self.by.follows_ends()
    }

    /// Who is to tell the budget at the end of the answer, if anybody is. This does not any more.
    #[inline]
    fn hand_over(&mut self) -> Option<Self> {
        if !self.is_followed() {
            return None;
        }
        self.told = true;
        Some(Self {
            by: self.by.clone(),
            why: self.why,
            told: false,
        })
    }
}

impl Drop for Paid {
    #[inline]
    fn drop(&mut self) {
        self.ended(How::Other);
    }
}

impl Watch for Ending {
    fn enter<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        match &mut self.scope {
            Some(scope) => scope.enter(poll),
            None => poll(),
        }
    }

    fn awaits_trailers(&self) -> bool {
        self.budget.is_some() && self.so_far.awaits_status()
    }

    fn end(mut self, end: End<'_>) {
        if let Some(scope) = &mut self.scope {
            match end {
                // Its own drop tells a departure from a deadline.
                End::Dropped => {}
                End::Cut { .. } => scope.end(Cancelled::DeadlineExceeded),
                End::Complete | End::Trailers(_) | End::Error(_) => scope.end(Cancelled::Finished),
            }
        }
        if let Some(mut budget) = self.budget.take() {
            budget.ended(self.how(end));
        }
    }
}

//! Requests that fail once: what the second attempt costs, over a transport that is called twice by hand.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use buttress::{RetryLayer, budget::Budget, retry::Backoff};
use tower::{
    Layer, Service,
    retry::{RetryLayer as TowerRetryLayer, budget::TpsBudget},
};

use super::{
    AGAIN, RETRY, TOWER,
    peers::{Attempts, Incoming, Outgoing},
    support::{BARE, Drive, End, Requests, Suite, Wheel},
    transport::{Transport, TransportFuture},
};

pub(super) fn add(suite: &mut Suite) {
    let drive = Drive::new(Wheel::Busy);
    let transport = || Transport::immediate().fails_first();
    let run = drive.requests(Twice(transport()), Requests::plain(), End::Head);
    suite.case(AGAIN, BARE, BARE, run);

    // Each request pays for its own.
    let budget = TpsBudget::new(Duration::from_secs(10), 10, 1.0);
    let tower = TowerRetryLayer::new(Attempts::with(budget)).layer(transport());
    suite.case(AGAIN, TOWER, BARE, drive.requests(tower, Requests::plain(), End::Head));

    let budget = Budget::builder().ratio(1.0).build().expect("a budget");
    let ours = RetryLayer::http()
        .budget(budget)
        .backoff(Backoff::new(Duration::ZERO, Duration::ZERO))
        .layer(transport());
    suite.case(AGAIN, RETRY, BARE, drive.requests(ours, Requests::plain(), End::Head));
}

/// Calls twice, without a look at the first answer.
struct Twice(Transport);

impl Service<Outgoing> for Twice {
    type Response = Incoming;
    type Error = Infallible;
    type Future = TwiceFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Outgoing>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Outgoing) -> TwiceFuture {
        let first = self.0.call(request);
        let second = self.0.call(Outgoing::default());
        TwiceFuture { first, second }
    }
}

struct TwiceFuture {
    first: TransportFuture,
    second: TransportFuture,
}

impl Future for TwiceFuture {
    type Output = Result<Incoming, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        drop(black_box(Pin::new(&mut self.first).poll(cx)));
        Pin::new(&mut self.second).poll(cx)
    }
}

//! Requests that are answered at the first attempt.

use std::time::Duration;

use buttress::{
    BoxError, BreakerLayer, ConcurrencyLimitLayer, DeadlineLayer, HedgeLayer, PropagateDeadlineLayer, RetryLayer,
    ThrottleLayer,
};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder};

use super::{
    ADDRESSED, FOUR, HEDGE, IMMEDIATE, IMMEDIATE_SIX, PENDING, PENDING_SIX, QUANTILE, RESILIENCE_HEDGE, RETRY, STACK,
    TIMED, TOWER, peers,
    support::{BARE, Drive, End, Requests, Suite, Wheel},
    transport::{Addressed, Transport},
};

/// Longer than any batch.
const LIMIT: Duration = Duration::from_secs(10);

/// Longer than the first of a batch takes: no hedge is ever sent.
const DELAY: Duration = Duration::from_secs(1);

/// What the deadline of a request is counted over.
const BARE_TIMED: &str = "bare, within a deadline";

/// A handler and what is asked of it.
struct Scenario {
    group: &'static str,
    drive: Drive,
    requests: Requests,
    transport: Transport,
}

pub(super) fn add(suite: &mut Suite) {
    let drive = Drive::new(Wheel::Busy);
    let scenario = |group, requests, transport| Scenario {
        group,
        drive: drive.clone(),
        requests,
        transport,
    };
    let pending = || Transport::immediate().pending_once();
    for scenario in [
        scenario(IMMEDIATE, Requests::plain(), Transport::immediate()),
        scenario(IMMEDIATE_SIX, Requests::json(), Transport::immediate()),
        scenario(PENDING, Requests::plain(), pending()),
        scenario(PENDING_SIX, Requests::json(), pending()),
    ] {
        scenario.add(suite, BARE, scenario.transport.clone());
        scenario.retries(suite);
        scenario.hedges(suite);
        scenario.stacks(suite);
    }
    scenario(ADDRESSED, Requests::plain(), Transport::immediate()).addressed(suite);
    scenario(TIMED, Requests::plain(), Transport::immediate()).timed(suite);
}

impl Scenario {
    fn add<S, B>(&self, suite: &mut Suite, name: &'static str, service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + 'static,
        B: Body,
    {
        self.add_over(suite, name, BARE, service);
    }

    fn add_over<S, B>(&self, suite: &mut Suite, name: &'static str, over: &'static str, service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + 'static,
        B: Body,
    {
        let run = self.drive.requests(service, self.requests.clone(), End::Head);
        suite.case(self.group, name, over, run);
    }

    fn retries(&self, suite: &mut Suite) {
        let transport = || self.transport.clone();
        self.add(suite, TOWER, peers::tower().layer(transport()));
        self.add(
            suite,
            "tower-resilience Retry, token bucket",
            peers::resilience(transport()),
        );
        self.add(suite, "seatbelt Retry", peers::seatbelt(transport()));
        self.add(suite, RETRY, RetryLayer::http().layer(transport()));
    }

    /// A quantile of what takes no time is none: where the handler is pending, its timer is the nearest each time, and that costs a
    /// write to the eventfd which no other here pays.
    fn hedges(&self, suite: &mut Suite) {
        let transport = || self.transport.clone();
        self.add(suite, RESILIENCE_HEDGE, peers::resilience_hedge(transport(), DELAY));
        self.add(suite, "seatbelt Hedging", peers::seatbelt_hedge(transport(), DELAY));
        // As one says of a search by POST.
        let hedge = |layer: HedgeLayer| layer.when(|_| true);
        self.add(suite, HEDGE, hedge(HedgeLayer::after(DELAY)).layer(transport()));
        self.add(suite, QUANTILE, hedge(HedgeLayer::quantile(0.95)).layer(transport()));
    }

    fn stacks(&self, suite: &mut Suite) {
        self.add(suite, FOUR, peers::four(self.transport.clone(), LIMIT));
        self.add(suite, "retry + propagated deadline", {
            let layers = ServiceBuilder::new().layer(RetryLayer::http());
            layers
                .layer(PropagateDeadlineLayer::new())
                .service(self.transport.clone())
        });
        let transport = || self.transport.clone();
        self.add(suite, "breaker", BreakerLayer::new().layer(transport()));
        self.add(suite, "throttle", ThrottleLayer::new().layer(transport()));
        self.add(
            suite,
            "adaptive limit",
            ConcurrencyLimitLayer::adaptive().layer(transport()),
        );
        self.add(
            suite,
            "propagated deadline",
            PropagateDeadlineLayer::new().layer(transport()),
        );
        self.add(
            suite,
            STACK,
            stack(BreakerLayer::new(), ThrottleLayer::new(), transport()),
        );
    }

    /// As a client has them: with scheme and authority, by which destinations are told apart.
    fn addressed(&self, suite: &mut Suite) {
        let transport = || self.transport.clone();
        let uri = Uri::from_static("http://api.example.org/v1/things?page=2");
        self.add(suite, BARE, Addressed(transport(), uri.clone()));
        let to = uri.clone();
        self.add(suite, TOWER, Addressed(peers::tower().layer(transport()), to));
        let to = uri.clone();
        self.add(suite, RETRY, Addressed(RetryLayer::http().layer(transport()), to));
        let to = uri.clone();
        self.add(suite, HEDGE, Addressed(HedgeLayer::after(DELAY).layer(transport()), to));
        let to = uri.clone();
        self.add(
            suite,
            QUANTILE,
            Addressed(HedgeLayer::quantile(0.95).layer(transport()), to),
        );
        let to = uri.clone();
        self.add(suite, FOUR, Addressed(peers::four(transport(), LIMIT), to));
        let to = uri.clone();
        let one = stack(BreakerLayer::new(), ThrottleLayer::new(), transport());
        self.add(suite, STACK, Addressed(one, to));
        let (breaker, throttle) = (BreakerLayer::new(), ThrottleLayer::new());
        let each = stack(breaker.per_destination(), throttle.per_destination(), transport());
        self.add(suite, "client stack, for each destination", Addressed(each, uri));
    }

    /// In a server's handler, whose deadline every client below it inherits.
    fn timed(&self, suite: &mut Suite) {
        let deadline = DeadlineLayer::new(LIMIT);
        let stack = stack(BreakerLayer::new(), ThrottleLayer::new(), self.transport.clone());
        self.add(suite, BARE, self.transport.clone());
        self.add(suite, BARE_TIMED, deadline.layer(self.transport.clone()));
        self.add(suite, FOUR, peers::four(self.transport.clone(), LIMIT));
        self.add_over(suite, STACK, BARE_TIMED, deadline.layer(stack));
    }
}

/// All of a client's layers, in their order.
fn stack(
    breaker: BreakerLayer,
    throttle: ThrottleLayer,
    transport: Transport,
) -> impl Service<Request<Full<Bytes>>, Response = Response<impl Body<Data = Bytes, Error = BoxError> + use<>>> + Clone + use<>
{
    ServiceBuilder::new()
        .layer(RetryLayer::http())
        .layer(breaker)
        .layer(throttle)
        .layer(ConcurrencyLimitLayer::adaptive())
        .layer(PropagateDeadlineLayer::new())
        .service(transport)
}

//! Concurrency limits: at once, pending once, rejected.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
    time::Duration,
};

use buttress::{CancelLayer, ConcurrencyLimitLayer, DeadlineLayer, Rejection};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use little_loadshedder::LoadShedResponse;
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer,
    timeout::TimeoutLayer,
};
use tower_resilience_adaptive::AdaptiveLimiterLayer;
use tower_resilience_bulkhead::BulkheadLayer;

use super::{
    ADAPTIVE, ALL_OF_THEM, FIXED, GRADIENT2, IMMEDIATE, LOAD_SHED, PENDING, REJECTED, THREE, TYPED,
    support::{BARE, Drive, End, Handler, Requests, Suite, Wheel},
};

/// Longer than any batch, and than the deadlines in the headers.
const LIMIT: Duration = Duration::from_secs(10);

/// More than is ever in flight.
const ROOM: usize = 100;

/// A service and what is asked of it.
struct Scenario {
    group: &'static str,
    drive: Drive,
    requests: Requests,
    handler: Handler,
    end: End,
    /// How many each limit lets in. Where requests are to be rejected, as many are in there already.
    limit: usize,
}

pub(super) fn add(suite: &mut Suite) {
    let scenario = |group, handler: Handler| Scenario {
        group,
        drive: Drive::new(Wheel::Busy),
        requests: Requests::with_deadline(),
        handler,
        end: End::Head,
        limit: ROOM,
    };
    for (group, handler) in [
        (IMMEDIATE, Handler::immediate()),
        (PENDING, Handler::immediate().pending_once()),
    ] {
        let scenario = scenario(group, handler);
        scenario.add(suite, BARE, scenario.handler.clone());
        scenario.peers(suite);
        scenario.timed_peers(suite);
        scenario.ours(suite);
    }
    let rejected = Scenario {
        requests: Requests::plain(),
        end: End::Rejected,
        limit: 1,
        ..scenario(REJECTED, Handler::immediate().pending_once())
    };
    let fails = rejected.drive.requests(Fails, rejected.requests.clone(), End::Rejected);
    suite.case(REJECTED, BARE, BARE, fails);
    rejected.peers(suite);
    rejected.ours_full(suite);
}

impl Scenario {
    fn add<S, B>(&self, suite: &mut Suite, name: &'static str, service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + 'static,
        B: Body,
    {
        if self.end == End::Rejected {
            self.drive.hold(&service, &self.requests, self.limit);
        }
        let run = self.drive.requests(service, self.requests.clone(), self.end);
        suite.case(self.group, name, BARE, run);
    }

    /// Those that can reject.
    fn peers(&self, suite: &mut Suite) {
        let handler = || self.handler.clone();
        let shed = LoadShedLayer::new();
        let fixed = GlobalConcurrencyLimitLayer::new(self.limit);
        self.add(suite, LOAD_SHED, shed.layer(fixed.layer(handler())));
        let gradient2 = self.gradient2();
        self.add(
            suite,
            "tower LoadShed + tower-acc Gradient2",
            shed.layer(gradient2.layer(handler())),
        );
        let gradient2 = tower_resilience_adaptive::Gradient2::builder()
            .initial_limit(self.limit)
            .min_limit(1)
            .max_limit(self.limit)
            .build()
            .expect("a law");
        let adaptive = AdaptiveLimiterLayer::new(gradient2);
        self.add(
            suite,
            "tower LoadShed + tower-resilience Gradient2",
            shed.layer(adaptive.layer(handler())),
        );
    }

    /// Those that only wait, and those with a timeout outside. tower-resilience's bulkhead can reject, but only once a timer of no
    /// length at all has fired: that takes a turn of the runtime, of which there are none here, and a millisecond elsewhere.
    fn timed_peers(&self, suite: &mut Suite) {
        let handler = || self.handler.clone();
        let (timeout, shed) = (TimeoutLayer::new(LIMIT), LoadShedLayer::new());
        self.add(suite, GRADIENT2, self.gradient2().layer(handler()));
        let bulkhead = BulkheadLayer::builder()
            .max_concurrent_calls(self.limit)
            .reject_when_full();
        let bulkhead = bulkhead.build().expect("a bulkhead");
        self.add(suite, "tower-resilience bulkhead", bulkhead.layer(handler()));
        let little = little_loadshedder::LoadShedLayer::new(0.01, LIMIT).layer(handler());
        let little = little.map_response(|response| match response {
            LoadShedResponse::Inner(response) => response,
            LoadShedResponse::Overload => panic!("one at a time is no overload"),
        });
        self.add(suite, "little-loadshedder", little);
        let fixed = GlobalConcurrencyLimitLayer::new(self.limit);
        let fixed = timeout.layer(shed.layer(fixed.layer(handler())));
        self.add(suite, "Timeout + LoadShed + ConcurrencyLimit", fixed);
        let gradient2 = timeout.layer(shed.layer(self.gradient2().layer(handler())));
        self.add(suite, ALL_OF_THEM, gradient2);
    }

    fn gradient2(&self) -> tower_acc::ConcurrencyLimitLayer<tower_acc::Gradient2> {
        let law = tower_acc::Gradient2::builder()
            .initial_limit(self.limit)
            .min_limit(1)
            .max_limit(self.limit);
        tower_acc::ConcurrencyLimitLayer::new(law.build())
    }

    fn ours(&self, suite: &mut Suite) {
        let handler = || self.handler.clone();
        let three = |limit| {
            let outside = ServiceBuilder::new()
                .layer(DeadlineLayer::new(LIMIT))
                .layer(CancelLayer::new());
            outside.layer(limit).service(handler())
        };
        let fixed = || ConcurrencyLimitLayer::new(self.limit);
        self.add(suite, "fixed, no queue", fixed().queue(0).layer(handler()));
        self.add(suite, FIXED, fixed().layer(handler()));
        self.add(suite, ADAPTIVE, ConcurrencyLimitLayer::adaptive().layer(handler()));
        self.add(suite, "deadline + cancel + fixed", three(fixed()));
        self.add(suite, THREE, three(ConcurrencyLimitLayer::adaptive()));
    }

    /// Without a queue: with one, most of those that find no place wait.
    fn ours_full(&self, suite: &mut Suite) {
        let handler = || self.handler.clone();
        let fixed = || ConcurrencyLimitLayer::new(self.limit).queue(0);
        self.add(suite, "fixed, no queue", fixed().layer(handler()));
        let adaptive = ConcurrencyLimitLayer::adaptive().queue(0);
        adaptive.limit().set(Some(self.limit));
        self.add(suite, "adaptive, no queue", adaptive.layer(handler()));
        let handler = handler().map_err(|never: Infallible| -> Rejection { match never {} });
        self.add(suite, TYPED, fixed().typed().layer(handler));
    }
}

/// What a rejection is counted over.
#[derive(Clone)]
struct Fails;

impl Service<Request<Full<Bytes>>> for Fails {
    type Response = Response<Full<Bytes>>;
    type Error = Option<BoxError>;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        drop(black_box(request));
        ready(Err(None))
    }
}

//! Rate limits: one for all, and one for each of a million callers.

use std::{
    hint::black_box,
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use buttress::{
    RateLimitLayer,
    admission::{Admit, Arrival, rate::Quota},
};
use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, RateLimiter, middleware::NoOpMiddleware};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, util::MapResponse};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::{GlobalKeyExtractor, KeyExtractor},
};

use super::support::{BARE, Caller, Drive, End, Handler, Requests, Run, Suite, Wheel, lazily};

const DIRECT: &str = "rate, one for all";
const KEYED: &str = "rate, each of a million callers";

/// More than is ever asked for.
const ROOM: NonZeroU32 = NonZeroU32::new(1_000_000_000).expect("not zero");

pub(super) fn add(suite: &mut Suite) {
    let drive = Drive::new(Wheel::Busy);
    direct(suite, &drive);
    keyed(suite, &drive);
}

fn direct(suite: &mut Suite, drive: &Drive) {
    let quota = governor::Quota::per_second(ROOM);
    let mut add = |name, build: fn(&Drive, Requests, governor::Quota) -> Run| {
        let drive = drive.clone();
        let run = lazily(move || build(&drive, Requests::plain(), quota));
        suite.case(DIRECT, name, BARE, run);
    };
    add(BARE, |drive, requests, _| {
        drive.requests(handler(), requests, End::Head)
    });
    add("governor, by hand", |drive, requests, quota| {
        let limited = Direct(handler(), Arc::new(RateLimiter::direct(quota)));
        drive.requests(limited, requests, End::Head)
    });
    add("tower_governor", |drive, requests, _| {
        let config = config(GlobalKeyExtractor);
        drive.requests(GovernorLayer::new(config).layer(handler()), requests, End::Head)
    });
    add("ours", |drive, requests, _| {
        let layer = RateLimitLayer::new(Quota::per_second(ROOM.get()));
        drive.requests(layer.layer(handler()), requests, End::Head)
    });
}

/// Each has seen every caller once before it is measured.
fn keyed(suite: &mut Suite, drive: &Drive) {
    let quota = governor::Quota::per_second(ROOM);
    let mut add = |name, build: fn(&Drive, Requests, governor::Quota) -> Run| {
        let drive = drive.clone();
        let run = lazily(move || build(&drive, Requests::by_callers(), quota));
        suite.case(KEYED, name, BARE, run);
    };
    add(BARE, |drive, requests, _| {
        drive.requests(handler(), requests, End::Head)
    });
    add("governor, by hand", |drive, requests, quota| {
        let limiter = RateLimiter::keyed(quota);
        callers().for_each(|caller| _ = limiter.check_key(&caller));
        drive.requests(Keyed(handler(), Arc::new(limiter)), requests, End::Head)
    });
    add("tower_governor", |drive, requests, _| {
        let config = config(ByCaller);
        callers().for_each(|caller| _ = config.limiter().check_key(&caller));
        drive.requests(GovernorLayer::new(config).layer(handler()), requests, End::Head)
    });
    add("ours", |drive, requests, _| {
        // Twice as many keys, so that none is forgotten where their hashes fall unevenly.
        let layer = RateLimitLayer::new(Quota::per_second(ROOM.get()))
            .by(|arrival| arrival.head().and_then(|head| head.extensions.get::<Caller>().copied()))
            .keys(2 * Requests::CALLERS as usize);
        let (policy, mut request) = (layer.policy(), Request::new(()));
        for caller in callers() {
            request.extensions_mut().insert(caller);
            policy.admit(&Arrival::new(Some((&request).into())));
        }
        drive.requests(layer.layer(handler()), requests, End::Head)
    });
}

fn callers() -> impl Iterator<Item = Caller> {
    (0..Requests::CALLERS).map(Caller)
}

fn config<K: KeyExtractor>(key: K) -> Arc<GovernorConfig<K, NoOpMiddleware>> {
    let mut config = GovernorConfigBuilder::default().key_extractor(key);
    let config = config.per_nanosecond(1).burst_size(ROOM.get()).finish();
    Arc::new(config.expect("a quota that is not zero"))
}

type Answer = fn(Response<Full<Bytes>>) -> Response<Body>;

/// `tower_governor` answers in axum's body alone, so all of these have it.
fn handler() -> MapResponse<Handler, Answer> {
    MapResponse::new(Handler::immediate(), |response| response.map(|_| Body::empty()))
}

/// governor itself, one for all.
#[derive(Clone)]
struct Direct<S>(S, Arc<DefaultDirectRateLimiter>);

impl<S: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for Direct<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> S::Future {
        assert!(black_box(self.1.check()).is_ok(), "there is room");
        self.0.call(request)
    }
}

/// governor itself, one for each caller.
#[derive(Clone)]
struct Keyed<S>(S, Arc<DefaultKeyedRateLimiter<Caller>>);

impl<S: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for Keyed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> S::Future {
        let caller = request.extensions().get().expect("a caller");
        assert!(black_box(self.1.check_key(caller)).is_ok(), "there is room");
        self.0.call(request)
    }
}

#[derive(Clone)]
struct ByCaller;

impl KeyExtractor for ByCaller {
    type Key = Caller;

    fn extract<T>(&self, request: &Request<T>) -> Result<Caller, GovernorError> {
        let caller = request.extensions().get().copied();
        caller.ok_or(GovernorError::UnableToExtractKey)
    }
}

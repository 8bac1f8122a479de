//! What goes first while the process is in trouble, what stays, and when it is over. On a paused clock.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as Poller, Poll},
    time::Duration,
};

use buttress::{
    BoxError, Context, Criticality, CriticalityLayer, DeadlineLayer, LoadShedLayer, ObserveLayer,
    PropagateCriticalityLayer, Rejection,
    admission::{
        Admission, AdmissionLayer, Admit, Arrival, Decision,
        shed::{Floor, LoadShed, QueueDelay, RuntimeLag, SetPoint, ShedUnreadyLayer, Signal, hash},
    },
    observe::{Began, Ended, Observer},
    rejection::Reason,
    telemetry::Event,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const TICK: Duration = Duration::from_millis(100);

/// A level that a test turns, and how often it was asked for.
#[derive(Clone, Default)]
struct Dial {
    level: Arc<Mutex<f64>>,
    asked: Arc<AtomicUsize>,
}

impl Dial {
    fn at(level: f64) -> Self {
        let dial = Self::default();
        dial.turn(level);
        dial
    }

    fn turn(&self, level: f64) {
        *self.level.lock().unwrap() = level;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn signal(&self) -> (&'static str, impl Fn() -> f64 + Send + Sync + use<>) {
        let dial = self.clone();
        ("dial", move || {
            dial.asked.fetch_add(1, Ordering::SeqCst);
            *dial.level.lock().unwrap()
        })
    }

    fn layer(&self) -> LoadShedLayer {
        LoadShedLayer::without_signals().signal(self.signal())
    }
}

/// What the layer makes of a server.
type Server<L> = <L as Layer<Hello>>::Service;

#[derive(Clone, Copy)]
struct Hello;

impl<B> Service<Request<B>> for Hello {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Poller<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::from("hello"))))
    }
}

fn get() -> Request<()> {
    Request::new(())
}

/// Whether a request of this criticality is admitted.
async fn is_served(server: &Server<LoadShedLayer>, criticality: Criticality) -> bool {
    let context = Context::default().with_criticality(criticality);
    let response = context.scope(server.clone().oneshot(get())).await.unwrap();
    let rejection = response.extensions().get::<Rejection>();
    assert!(rejection.is_none_or(|rejection| rejection.reason() == Reason::Shed));
    response.status() == 200
}

/// Sends ten of each criticality in each tenth of a tick, for so many ticks: how many of each were let in.
async fn storm(server: &Server<LoadShedLayer>, ticks: u32) -> [u32; 4] {
    let mut admitted = [0; 4];
    for _ in 0..ticks * 10 {
        for criticality in Criticality::ALL {
            for _ in 0..10 {
                admitted[criticality as usize] += u32::from(is_served(server, criticality).await);
            }
        }
        sleep(TICK / 10).await;
    }
    admitted
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn nothing_is_shed_while_all_is_well() {
    for layer in [Dial::at(0.79).layer(), LoadShedLayer::without_signals()] {
        assert_eq!(storm(&layer.layer(Hello), 20).await, [2000; 4]);
        assert!(layer.policy().floor().is_none());
    }
}

/// A server that can do a fifth less than what comes: its queue's delay is the signal.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_sheddable_goes_first_and_the_critical_stays() {
    fastrand::seed(7);
    let delay = QueueDelay::new(TICK);
    let layer = LoadShedLayer::without_signals().signal(delay.clone());
    let server = layer.layer(Hello);
    let (mut queue, mut admitted) = (0.0_f64, [0; 4]);
    for _ in 0..200 {
        let now = storm(&server, 1).await;
        // 400 come in a tick; 320 are done in it.
        queue = (queue + f64::from(now.iter().sum::<u32>()) - 320.0).max(0.0);
        delay.record(TICK.mul_f64(queue / 320.0));
        for (admitted, now) in admitted.iter_mut().zip(now) {
            *admitted += now;
        }
    }
    let [sheddable, sheddable_plus, rest @ ..] = admitted;
    assert_eq!(rest, [20_000; 2], "none of the critical was touched");
    assert!(sheddable_plus > 19_800, "but for the first second: {sheddable_plus}");
    assert!(
        (2_000..6_000).contains(&sheddable),
        "a fifth of all is four fifths of these: {sheddable}"
    );
    assert!(queue < 320.0, "the queue is held: {queue}");
    let snapshot = layer.policy().snapshot();
    assert_eq!(snapshot.floor.criticality(), Criticality::Sheddable);
    assert_eq!(snapshot.rejected(Criticality::Sheddable), u64::from(20_000 - sheddable));
    assert!((snapshot.rejected_share - 0.2).abs() < 0.1, "{snapshot:?}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn in_lasting_trouble_the_bands_go_one_by_one_and_critical_plus_last() {
    fastrand::seed(7);
    let dial = Dial::at(1.0);
    let layer = dial.layer();
    let server = layer.layer(Hello);
    for _ in 0..100 {
        let admitted = storm(&server, 1).await;
        for band in 1..4 {
            assert!(admitted[band] >= admitted[band - 1], "{admitted:?}");
            assert!(admitted[band] == 100 || admitted[band - 1] < 100, "{admitted:?}");
        }
    }
    let [rest @ .., critical_plus] = storm(&server, 20).await;
    assert_eq!(rest, [0; 3]);
    assert!(
        (1..200).contains(&critical_plus),
        "one in a hundred of all: {critical_plus}"
    );
}

/// The share is one of the requests that come, not of the scale: most services have all their traffic in one band.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn where_all_requests_are_of_one_band_a_share_of_it_is_shed_at_once() {
    fastrand::seed(7);
    let server = Dial::at(1.0).layer().layer(Hello);
    let mut rejected = 0;
    for _ in 0..100 {
        rejected += u32::from(!is_served(&server, Criticality::Critical).await);
        sleep(TICK / 20).await;
    }
    assert!(rejected > 20, "within half a second: {rejected}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_floor_is_gone_when_the_trouble_is() {
    let dial = Dial::at(1.0);
    let layer = dial.layer();
    let server = layer.layer(Hello);
    assert!(storm(&server, 100).await[2] < 5_000);
    dial.turn(0.0);
    storm(&server, 60).await;
    assert_eq!(storm(&server, 1).await, [100; 4]);
    assert_eq!(layer.policy().snapshot().floor, Floor::NONE);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn after_a_silence_the_first_request_finds_things_as_they_are() {
    let dial = Dial::at(1.0);
    let layer = dial.layer();
    let server = layer.layer(Hello);
    storm(&server, 100).await;
    dial.turn(0.0);
    advance(Duration::from_secs(60)).await;
    assert!(is_served(&server, Criticality::Sheddable).await);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_worst_signal_counts_and_one_that_is_absent_does_not() {
    struct Absent;
    impl Signal for Absent {
        fn name(&self) -> &'static str {
            "absent"
        }

        fn level(&self, _: Instant) -> Option<f64> {
            None
        }
    }
    let (calm, dial) = (Dial::at(0.1), Dial::at(f64::NAN));
    let layer = LoadShedLayer::without_signals()
        .signal(Arc::new(Absent))
        .signal(calm.signal())
        .signal_at(SetPoint::new(0.5).unwrap(), dial.signal());
    let server = layer.layer(Hello);
    assert_eq!(storm(&server, 10).await, [1000; 4]);
    assert_eq!(layer.policy().snapshot().signals[2].level, None, "not a number");
    dial.turn(0.6);
    assert!(storm(&server, 30).await[0] < 2000);
    let signals = layer.policy().snapshot().signals;
    let seen: Vec<_> = signals
        .iter()
        .map(|signal| (signal.name, signal.level, signal.set_point.get()))
        .collect();
    assert_eq!(
        seen,
        [
            ("absent", None, 0.8),
            ("dial", Some(0.1), 0.8),
            ("dial", Some(0.6), 0.5)
        ]
    );
    assert!(SetPoint::new(1.0).is_err() && SetPoint::new(0.0).is_err() && SetPoint::new(f64::NAN).is_err());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_signals_are_asked_once_in_a_period_however_many_come() {
    let dial = Dial::default();
    let server = dial.layer().layer(Hello);
    storm(&server, 10).await;
    assert!((9..=11).contains(&dial.asked()), "{}", dial.asked());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_key_lives_or_dies_as_one() {
    fastrand::seed(7);
    let user = |head: buttress::context::Head<'_>| Some(hash(head.headers.get("x-user")?));
    let layer = LoadShedLayer::without_signals().key(user);
    layer.policy().hold(Floor::within(Criticality::Critical, 0.5));
    let server = layer.layer(Hello);
    let mut admitted = 0;
    for user in 0..200_u32 {
        let mut answers = Vec::new();
        for _ in 0..5 {
            let mut request = get();
            request.headers_mut().insert("x-user", HeaderValue::from(user));
            answers.push(server.clone().oneshot(request).await.unwrap().status());
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "user {user}");
        admitted += usize::from(answers[0] == 200);
    }
    assert!((60..140).contains(&admitted), "{admitted}");
    let mut nobody = Vec::new();
    for _ in 0..200 {
        nobody.push(is_served(&server, Criticality::Critical).await);
    }
    assert!(nobody.contains(&true) && nobody.contains(&false), "each for itself");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn an_operator_can_hold_the_floor_and_switch_it_off() {
    let dial = Dial::at(1.0);
    let layer = dial.layer();
    let (server, policy) = (layer.layer(Hello), layer.policy());
    policy.hold(Floor::NONE);
    assert_eq!(storm(&server, 20).await, [2000; 4]);
    policy.hold(Floor::below(Criticality::Critical));
    assert_eq!(storm(&server, 20).await, [0, 0, 2000, 2000]);
    assert!(policy.snapshot().held);
    dial.turn(0.0);
    policy.release();
    assert_eq!(storm(&server, 20).await, [2000; 4]);
    assert!(!policy.snapshot().held);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_rejection_speaks_the_protocol_and_says_when_to_come_back() {
    let layer = LoadShedLayer::without_signals().retry_after(Duration::from_secs(8));
    layer.policy().hold(Floor::within(Criticality::CriticalPlus, 1.0));
    let server = layer.layer(Hello);
    let response = server.clone().oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 503);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((8..=10).contains(&wait), "{wait}");
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.layer(), rejection.reason(), rejection.was_executed()),
        ("shed", Reason::Shed, false)
    );
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "shedding load"
    );
    let grpc = Request::post("/p.S/M")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    assert_eq!(server.oneshot(grpc).await.unwrap().headers()["grpc-status"], "14");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn any_service_can_be_guarded() {
    let layer = Dial::default().layer().typed();
    let service = layer.layer(service_fn(|number: u32| async move { Ok::<_, BoxError>(number + 1) }));
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 2);
    layer.policy().hold(Floor::within(Criticality::CriticalPlus, 1.0));
    let error = service.oneshot(1).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Rejection>().unwrap().reason(), Reason::Shed);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn services_of_one_layer_share_one_floor_and_a_setting_makes_another_layer() {
    let layer = LoadShedLayer::without_signals();
    let changed = layer.clone().retry_after(TICK);
    layer.policy().hold(Floor::below(Criticality::CriticalPlus));
    for layer in [&layer, &layer.clone()] {
        assert!(!is_served(&layer.layer(Hello), Criticality::Critical).await);
    }
    assert!(is_served(&changed.layer(Hello), Criticality::Critical).await);
    let elsewhere: Admission<Hello, LoadShed> = AdmissionLayer::shared(layer.policy()).layer(Hello);
    assert!(!is_served(&elsewhere, Criticality::Critical).await);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_forged_header_saves_nobody() {
    let layer = LoadShedLayer::without_signals();
    layer.policy().hold(Floor::below(Criticality::CriticalPlus));
    let trust = CriticalityLayer::new().trust(|head| head.extensions.get::<u8>().is_some());
    let server = ServiceBuilder::new()
        .layer(trust)
        .layer(DeadlineLayer::new(Duration::from_secs(7)))
        .layer(layer)
        .service(Hello);
    let mut request = get();
    request
        .headers_mut()
        .insert("x-criticality", HeaderValue::from_static("critical-plus"));
    assert_eq!(server.clone().oneshot(request.clone()).await.unwrap().status(), 503);
    request.extensions_mut().insert(0_u8);
    assert_eq!(server.oneshot(request).await.unwrap().status(), 200);
}

/// What the edge says reaches the tier that is in trouble, and decides there.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_lowest_tier_sheds_by_the_word_of_the_edge() {
    let shed = LoadShedLayer::without_signals();
    shed.policy().hold(Floor::below(Criticality::Critical));
    let lowest = CriticalityLayer::new().trust(|_| true).layer(shed.layer(Hello));
    // Another task, as at the other end of a wire: nothing is in scope.
    let wire = service_fn(move |request: Request<()>| {
        let call = tokio::spawn(lowest.clone().oneshot(request));
        async { call.await.unwrap() }
    });
    let edge = ServiceBuilder::new()
        .layer(CriticalityLayer::new().by(|head| (head.uri.path() == "/export").then_some(Criticality::Sheddable)))
        .layer(PropagateCriticalityLayer::new())
        .service(wire);
    for (path, status) in [("/export", 503), ("/checkout", 200)] {
        let request = Request::get(path).body(()).unwrap();
        assert_eq!(edge.clone().oneshot(request).await.unwrap().status(), status, "{path}");
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_signal_that_panics_does_so_once_in_a_period() {
    let layer = LoadShedLayer::without_signals().signal(("broken", || panic!("as planned")));
    let server = layer.layer(Hello);
    let call = std::panic::AssertUnwindSafe(is_served(&server, Criticality::Critical));
    assert!(futures_util::FutureExt::catch_unwind(call).await.is_err());
    assert!(is_served(&server, Criticality::Critical).await);
    assert!(format!("{layer:?}").contains("floor"));
}

// === the runtime's lag, and the monitor ===

/// Blocks the runtime for as long as a clock that jumps.
async fn blocked(server: &Server<LoadShedLayer>, times: usize) {
    for _ in 0..times {
        advance(TICK * 3).await;
        is_served(server, Criticality::Sheddable).await;
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_runtime_that_is_blocked_again_and_again_sheds_with_no_monitor() {
    let layer = LoadShedLayer::without_signals().signal(RuntimeLag::new());
    let (server, policy) = (layer.layer(Hello), layer.policy());
    storm(&server, 5).await;
    blocked(&server, 1).await;
    assert!(policy.floor().is_none(), "one hiccup is no trouble");
    blocked(&server, 6).await;
    assert!(!policy.floor().is_none(), "{policy:?}");
    assert!(policy.snapshot().lacks_monitor, "it would know better, and says so");
    storm(&server, 30).await;
    assert!(policy.floor().is_none(), "{policy:?}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_monitor_moves_the_floor_while_nobody_comes() {
    let dial = Dial::at(1.0);
    let layer = dial.layer();
    let policy = layer.policy();
    let monitor = tokio::spawn(policy.monitor());
    sleep(TICK * 20).await;
    assert!(policy.snapshot().monitored);
    assert!(!policy.floor().is_none());
    dial.turn(0.0);
    sleep(TICK * 60).await;
    assert!(policy.floor().is_none());
    let asked = dial.asked();
    storm(&layer.layer(Hello), 10).await;
    assert!(
        (9..=11).contains(&(dial.asked() - asked)),
        "the monitor asks, and no arrival does"
    );
    monitor.abort();
    sleep(TICK).await;
    assert!(!policy.snapshot().monitored);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_monitor_tells_how_late_it_is_woken() {
    let layer = LoadShedLayer::without_signals().signal(RuntimeLag::new());
    let (server, policy) = (layer.layer(Hello), layer.policy());
    let _monitor = tokio::spawn(policy.monitor());
    tokio::task::yield_now().await;
    for _ in 0..8 {
        advance(TICK * 3).await;
        tokio::task::yield_now().await;
    }
    assert!(!policy.floor().is_none(), "{policy:?}");
    assert!(!policy.snapshot().lacks_monitor);
    storm(&server, 30).await;
    assert!(policy.floor().is_none(), "{policy:?}");
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn arrivals_take_over_from_a_monitor_that_is_not_polled() {
    let dial = Dial::at(1.0);
    let layer = dial.layer();
    let server = layer.layer(Hello);
    let mut stuck = Box::pin(layer.policy().monitor());
    assert!(futures_util::poll!(stuck.as_mut()).is_pending());
    storm(&server, 20).await;
    assert!((9..=11).contains(&dial.asked()), "{}", dial.asked());
    assert!(!layer.policy().floor().is_none());
    is_served(&server, Criticality::Critical).await;
    drop(stuck);
    let asked = dial.asked();
    is_served(&server, Criticality::Critical).await;
    assert_eq!(dial.asked() - asked, 1, "at once when it is gone");
    let asked = dial.asked();
    storm(&server, 20).await;
    assert!((19..=21).contains(&(dial.asked() - asked)));
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_monitor_ends_with_its_layer() {
    let layer = LoadShedLayer::without_signals();
    let monitor = tokio::spawn(layer.policy().monitor());
    tokio::task::yield_now().await;
    let server = layer.layer(Hello);
    drop(layer);
    sleep(TICK * 5).await;
    assert!(!monitor.is_finished(), "while there is a service");
    drop(server);
    monitor.await.unwrap();
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_default_signals_cost_no_allocation_on_the_path_of_a_request() {
    let layer = LoadShedLayer::new();
    let policy = layer.policy();
    assert_eq!(policy.snapshot().signals.len(), 2);
    for _ in 0..5 {
        sleep(TICK).await;
        let allocated = allocation_counter::measure(|| {
            for _ in 0..3 {
                assert!(matches!(policy.admit(&Arrival::new(None)), Decision::Now(())));
            }
        });
        assert_eq!(allocated.count_total, 0, "a sample included");
    }
}

// === the inner service is not ready ===

/// Ready when it is told to be, where it was asked; not in a clone.
#[derive(Default)]
struct Moody {
    open: Arc<AtomicUsize>,
    ready: bool,
}

impl Clone for Moody {
    fn clone(&self) -> Self {
        Self {
            open: self.open.clone(),
            ready: false,
        }
    }
}

impl<R> Service<R> for Moody {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Poller<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = false;
        match self.open.load(Ordering::SeqCst) {
            0 => Poll::Pending,
            1 => {
                self.ready = true;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err("broken".into())),
        }
    }

    fn call(&mut self, _: R) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test(crate = "leakless")]
async fn only_a_service_that_was_ready_is_called() {
    let moody = Moody::default();
    let open = moody.open.clone();
    let mut service = ShedUnreadyLayer::new().layer(moody);
    for (state, status) in [(0, 503), (1, 200), (0, 503), (1, 200)] {
        open.store(state, Ordering::SeqCst);
        let ready = poll_fn(|cx| Service::<Request<()>>::poll_ready(&mut service, cx));
        ready.await.unwrap();
        let mut clone = service.clone();
        assert_eq!(clone.call(get()).await.unwrap().status(), 503, "a clone was not asked");
        assert_eq!(service.call(get()).await.unwrap().status(), status);
        assert_eq!(
            service.call(get()).await.unwrap().status(),
            503,
            "nor was it asked again"
        );
    }
    open.store(2, Ordering::SeqCst);
    let ready = poll_fn(|cx| Service::<Request<()>>::poll_ready(&mut service, cx));
    assert_eq!(ready.await.unwrap_err().to_string(), "broken");
    let response = service.call(get()).await.unwrap();
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().reason(),
        Reason::Overloaded
    );
}

#[tokio::test(crate = "leakless")]
async fn tower_s_limit_rejects_instead_of_queueing() {
    let never = service_fn(|(): ()| std::future::pending::<Result<(), BoxError>>());
    let service = ServiceBuilder::new()
        .layer(ShedUnreadyLayer::new().typed())
        .concurrency_limit(1)
        .service(never);
    let mut first = Box::pin(service.clone().oneshot(()));
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    let error = service.clone().oneshot(()).await.unwrap_err();
    assert!(error.downcast_ref::<Rejection>().is_some());
    drop(first);
    assert!(
        futures_util::poll!(Box::pin(service.oneshot(()))).is_pending(),
        "its place is free"
    );
}

/// Hears of rejections.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Reason>>>);

impl Observer for Heard {
    type Call = ();

    fn began(&self, _: &Began<'_>) {}

    fn event(&self, (): &mut (), event: &Event) {
        if let Event::Rejected { reason, .. } = event {
            self.0.lock().unwrap().push(*reason);
        }
    }

    fn ended(&self, (): (), _: &Ended) {}
}

#[tokio::test(crate = "leakless")]
async fn what_finds_the_service_not_ready_is_told_with_http_and_without() {
    let heard = Heard::default();
    let full = ServiceBuilder::new()
        .layer(ObserveLayer::client(heard.clone()))
        .layer(ShedUnreadyLayer::new())
        .service(Moody::default());
    full.oneshot(get()).await.unwrap();
    let full = ServiceBuilder::new()
        .layer(ObserveLayer::client(heard.clone()).typed())
        .layer(ShedUnreadyLayer::new().typed())
        .service(Moody::default());
    full.oneshot("not HTTP").await.unwrap_err();
    assert_eq!(*heard.0.lock().unwrap(), [Reason::Overloaded; 2]);
}

/// What the layers are for: they fit around a router without a word about errors.
#[tokio::test(crate = "leakless")]
async fn axum_takes_the_layers_as_they_are() {
    let layer = LoadShedLayer::new();
    let policy = layer.policy();
    let app: axum::Router = axum::Router::new()
        .route("/", axum::routing::get(|| async { "hello" }))
        .layer(layer)
        .layer(ShedUnreadyLayer::new())
        .layer(CriticalityLayer::new());
    let call = || {
        let app = app.clone();
        async {
            app.oneshot(Request::new(axum::body::Body::empty()))
                .await
                .unwrap()
                .status()
        }
    };
    policy.hold(Floor::NONE);
    assert_eq!(call().await, 200);
    policy.hold(Floor::below(Criticality::CriticalPlus));
    assert_eq!(call().await, 503);
}

fn _is_a_good_citizen() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    fn future<T: Future + Send + 'static>() {}
    check::<LoadShedLayer>();
    check::<Server<LoadShedLayer>>();
    check::<ShedUnreadyLayer>();
    future::<buttress::admission::shed::Monitor>();
}

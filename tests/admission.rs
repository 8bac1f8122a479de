//! What the admission engine guarantees to every policy, held against policies of a few lines.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    convert::Infallible,
    future::{Future, IntoFuture, pending},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as Poller, Poll},
    time::Duration,
};

use buttress::{
    BoxError, Cancelled, Context, DeadlineLayer, Rejection,
    admission::{AdmissionLayer, Admit, Arrival, Decision, Never, Queued, drain::Drain},
    outcome::{Answer, Class, Outcome, Settle},
    rejection::{Protocol, Reason},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// What became of the permits of a policy.
#[derive(Clone, Default)]
struct Ledger {
    issued: Arc<AtomicUsize>,
    settled: Arc<Mutex<Vec<Outcome>>>,
}

impl Ledger {
    fn issue<P>(&self, place: P) -> Permit<P> {
        self.issued.fetch_add(1, Ordering::SeqCst);
        Permit {
            ledger: self.clone(),
            _place: place,
        }
    }

    fn settled(&self) -> Vec<Outcome> {
        self.settled.lock().unwrap().clone()
    }

    fn balances(&self) -> bool {
        self.issued.load(Ordering::SeqCst) == self.settled().len()
    }
}

struct Permit<P> {
    ledger: Ledger,
    _place: P,
}

impl<P> Settle for Permit<P> {
    fn settle(self, outcome: Outcome) {
        self.ledger.settled.lock().unwrap().push(outcome);
    }
}

/// So many at a time; the rest is turned away.
struct AtMost {
    places: Arc<Semaphore>,
    ledger: Ledger,
}

impl Admit for AtMost {
    type Permit = Permit<OwnedSemaphorePermit>;
    type Wait = Never<Self::Permit>;

    fn admit(&self, _: &Arrival<'_>) -> Decision<Self::Permit, Self::Wait> {
        match self.places.clone().try_acquire_owned() {
            Ok(place) => Decision::Now(self.ledger.issue(place)),
            Err(_) => Decision::No(Rejection::new(Reason::Overloaded, "at-most")),
        }
    }
}

/// So many at a time; the rest waits.
struct InTurn {
    places: Arc<Semaphore>,
    ledger: Ledger,
}

type Turn = Pin<Box<dyn Future<Output = Result<Permit<OwnedSemaphorePermit>, Rejection>> + Send>>;

impl Admit for InTurn {
    type Permit = Permit<OwnedSemaphorePermit>;
    type Wait = Queued<Turn>;

    fn admit(&self, _: &Arrival<'_>) -> Decision<Self::Permit, Self::Wait> {
        let (places, ledger) = (self.places.clone(), self.ledger.clone());
        Decision::Wait(Queued::new(Box::pin(async move {
            tokio::task::yield_now().await;
            match places.acquire_owned().await {
                Ok(place) => Ok(ledger.issue(place)),
                Err(_) => Err(Rejection::new(Reason::Draining, "in-turn")),
            }
        })))
    }
}

fn most(places: usize) -> (AtMost, Ledger) {
    let ledger = Ledger::default();
    let places = Arc::new(Semaphore::new(places));
    (
        AtMost {
            places,
            ledger: ledger.clone(),
        },
        ledger,
    )
}

fn turns(places: usize) -> (InTurn, Ledger, Arc<Semaphore>) {
    let ledger = Ledger::default();
    let places = Arc::new(Semaphore::new(places));
    let policy = InTurn {
        places: places.clone(),
        ledger: ledger.clone(),
    };
    (policy, ledger, places)
}

fn at_most(places: usize) -> (AdmissionLayer<AtMost>, Ledger) {
    let (policy, ledger) = most(places);
    (AdmissionLayer::new(policy), ledger)
}

fn in_turn(places: usize) -> (AdmissionLayer<InTurn>, Ledger, Arc<Semaphore>) {
    let (policy, ledger, places) = turns(places);
    (AdmissionLayer::new(policy), ledger, places)
}

async fn hello(_: Request<()>) -> Result<Response<Full<Bytes>>, BoxError> {
    Ok(Response::new(Full::from("hello")))
}

fn get() -> Request<()> {
    Request::new(())
}

#[tokio::test(crate = "leakless")]
async fn a_permit_is_held_to_the_end_of_the_body() {
    let (layer, ledger) = at_most(1);
    let service = layer.layer(service_fn(hello));
    let first = service.clone().oneshot(get()).await.unwrap();
    assert_eq!(
        service.clone().oneshot(get()).await.unwrap().status(),
        503,
        "while the first is unread"
    );
    assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(ledger.settled()[0], Outcome::Success);
}

#[tokio::test(crate = "leakless")]
async fn a_permit_learns_how_the_call_ended() {
    let (layer, ledger) = at_most(1);
    let service = layer.layer(service_fn(|request: Request<()>| async move {
        match request.uri().path() {
            "/error" => Err(BoxError::from("broken")),
            "/wait" => pending().await,
            "/rejected" => Ok(Rejection::new(Reason::Quota, "below")
                .into_answer(&Protocol::default())
                .map(Full::new)),
            status => Ok(Response::builder().status(&status[1..]).body(Full::from("body"))?),
        }
    }));
    let call = |path| service.clone().oneshot(Request::get(path).body(()).unwrap());
    call("/200").await.unwrap().into_body().collect().await.unwrap();
    drop(call("/200").await.unwrap());
    call("/502").await.unwrap().into_body().collect().await.unwrap();
    call("/error").await.unwrap_err();
    assert!(futures_util::poll!(Box::pin(call("/wait"))).is_pending());
    call("/rejected").await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(
        ledger.settled(),
        [
            Outcome::Success,
            Outcome::Cancelled(Cancelled::Disconnected),
            Outcome::failure(Class::Http(StatusCode::BAD_GATEWAY)),
            Outcome::failure(Class::Transport),
            Outcome::Cancelled(Cancelled::Disconnected),
            Outcome::Rejected(Rejection::new(Reason::Quota, "below")),
        ]
    );
    assert!(ledger.balances());
}

#[tokio::test(crate = "leakless")]
async fn what_is_rejected_never_reaches_the_service() {
    let (layer, ledger) = at_most(0);
    let service = layer.layer(service_fn(|_: Request<()>| async {
        panic!("called") as Result<Response<Full<Bytes>>, Infallible>
    }));
    let response = service.oneshot(get()).await.unwrap();
    assert_eq!(response.extensions().get::<Rejection>().unwrap().layer(), "at-most");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "overloaded");
    assert!(ledger.settled().is_empty());
}

#[tokio::test(crate = "leakless")]
async fn services_of_one_layer_share_its_state() {
    let (layer, _) = at_most(1);
    let (one, other) = (layer.layer(service_fn(hello)), layer.clone().layer(service_fn(hello)));
    let _held = one.oneshot(get()).await.unwrap();
    assert_eq!(other.oneshot(get()).await.unwrap().status(), 503);
}

/// A service that is ready only where it was asked, and that must be called only where it is ready.
struct Probe {
    ready: bool,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl<R> Service<R> for Probe {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Poller<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test(crate = "leakless")]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let (layer, ledger, _) = in_turn(1);
    let mut service = layer.layer(Probe { ready: false });
    for _ in 0..3 {
        ServiceExt::<Request<()>>::ready(&mut service)
            .await
            .unwrap()
            .call(get())
            .await
            .unwrap();
    }
    assert_eq!(ledger.settled(), [Outcome::Success, Outcome::Success, Outcome::Success]);
}

#[tokio::test(crate = "leakless")]
async fn a_policy_that_never_waits_needs_no_clone() {
    struct NotClone(Probe);
    impl Service<Request<()>> for NotClone {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, cx: &mut Poller<'_>) -> Poll<Result<(), Infallible>> {
            <Probe as Service<Request<()>>>::poll_ready(&mut self.0, cx)
        }

        fn call(&mut self, request: Request<()>) -> Self::Future {
            self.0.call(request)
        }
    }
    let (layer, _) = at_most(1);
    assert_eq!(
        layer
            .layer(NotClone(Probe { ready: false }))
            .oneshot(get())
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test(crate = "leakless")]
async fn a_service_that_is_ready_but_never_called_holds_nothing() {
    let (layer, _) = at_most(1);
    let mut idle = layer.layer(service_fn(hello));
    ServiceExt::<Request<()>>::ready(&mut idle).await.unwrap();
    assert_eq!(
        layer.layer(service_fn(hello)).oneshot(get()).await.unwrap().status(),
        200
    );
}

/// Gives a call up after each number of polls that it takes, and finds nothing lost.
#[tokio::test(crate = "leakless")]
async fn a_call_dropped_at_any_await_point_loses_nothing() {
    let (layer, ledger, places) = in_turn(1);
    let service = layer.layer(service_fn(|_: Request<()>| async {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    }));
    let mut completed = false;
    for polls in 0..20 {
        let mut call = Box::pin(async {
            service
                .clone()
                .oneshot(get())
                .await
                .unwrap()
                .into_body()
                .collect()
                .await
        });
        for _ in 0..polls {
            if futures_util::poll!(call.as_mut()).is_ready() {
                completed = true;
                break;
            }
        }
        drop(call);
        assert_eq!(places.available_permits(), 1, "after {polls} polls");
        assert!(ledger.balances(), "after {polls} polls");
        if completed {
            return;
        }
    }
    panic!("it never completed");
}

#[tokio::test(crate = "leakless")]
async fn a_service_that_panics_gives_its_permit_back() {
    let (layer, ledger) = at_most(1);
    let service = layer.layer(service_fn(|request: Request<()>| {
        assert_ne!(request.uri(), "/", "as planned");
        pending::<Result<Response<Full<Bytes>>, Infallible>>()
    }));
    let call = std::panic::AssertUnwindSafe(service.oneshot(get()));
    assert!(futures_util::FutureExt::catch_unwind(call).await.is_err());
    assert!(ledger.balances());
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_wait_ends_at_the_deadline() {
    let (layer, ledger, places) = in_turn(0);
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .layer(layer)
        .service(service_fn(hello));
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 504);
    places.add_permits(1);
    tokio::task::yield_now().await;
    assert!(ledger.settled().is_empty(), "who left the queue is given nothing");
    assert_eq!(places.available_permits(), 1);
}

#[tokio::test(crate = "leakless")]
async fn a_wait_can_end_in_a_rejection() {
    let (layer, _, places) = in_turn(0);
    places.close();
    let response = layer.layer(service_fn(hello)).oneshot(get()).await.unwrap();
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().reason(),
        Reason::Draining
    );
}

#[tokio::test(crate = "leakless")]
async fn a_policy_that_is_none_admits_all() {
    let service = AdmissionLayer::new(None::<InTurn>).layer(service_fn(hello));
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
    let ledger = Ledger::default();
    let some = AtMost {
        places: Arc::new(Semaphore::new(0)),
        ledger,
    };
    assert_eq!(
        AdmissionLayer::new(Some(some))
            .layer(service_fn(hello))
            .oneshot(get())
            .await
            .unwrap()
            .status(),
        503
    );
}

#[tokio::test(crate = "leakless")]
async fn any_service_can_be_guarded() {
    let (layer, ledger) = at_most(1);
    let service = layer.typed().layer(service_fn(|number: u32| async move {
        if number == 0 {
            Err(BoxError::from("zero"))
        } else {
            Ok(number)
        }
    }));
    assert_eq!(service.clone().oneshot(7).await.unwrap(), 7);
    service.clone().oneshot(0).await.unwrap_err();
    assert_eq!(ledger.settled(), [Outcome::Success, Outcome::failure(Class::Transport)]);

    let (full, _) = at_most(0);
    let error = full
        .typed()
        .layer(service_fn(|(): ()| async { Ok::<_, BoxError>(()) }))
        .oneshot(())
        .await
        .unwrap_err();
    assert_eq!(error.downcast_ref::<Rejection>().unwrap().reason(), Reason::Overloaded);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_policy_sees_the_request_and_its_context() {
    struct Look(Arc<Mutex<Vec<String>>>);
    impl Admit for Look {
        type Permit = ();
        type Wait = Never<()>;

        fn admit(&self, arrival: &Arrival<'_>) -> Decision<(), Never<()>> {
            let path = arrival.head().map(|head| head.uri.path().to_owned());
            let left = arrival.deadline().map(|deadline| deadline - arrival.now());
            self.0.lock().unwrap().push(format!(
                "{path:?} {left:?} {} {}",
                arrival.criticality(),
                arrival.attempt()
            ));
            Decision::Now(())
        }
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = AdmissionLayer::new(Look(seen.clone())).layer(service_fn(hello));
    let context = Context::default().with_timeout(SECOND).with_attempt(2);
    context
        .scope(service.oneshot(Request::get("/path").body(()).unwrap()))
        .await
        .unwrap();
    assert_eq!(*seen.lock().unwrap(), [r#"Some("/path") Some(1s) critical 2"#]);
}

#[tokio::test(crate = "leakless")]
async fn draining_lets_nothing_in_and_what_is_in_go_on() {
    let drain = Drain::new();
    let service = drain.layer().layer(service_fn(hello));
    let inside = service.clone().oneshot(get()).await.unwrap();
    drain.clone().start();
    let turned_away = service.clone().oneshot(get()).await.unwrap();
    assert_eq!(
        (turned_away.status().as_u16(), &turned_away.headers()["connection"]),
        (503, &"close".parse().unwrap())
    );
    assert!(
        turned_away.headers().contains_key("retry-after"),
        "another instance can serve it"
    );
    assert_eq!(inside.into_body().collect().await.unwrap().to_bytes(), "hello");

    let http2 = Request::post("/p.S/M")
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc");
    let turned_away = service.oneshot(http2.body(()).unwrap()).await.unwrap();
    assert_eq!(turned_away.headers()["grpc-status"], "14");
    assert!(!turned_away.headers().contains_key("connection"), "HTTP/2 forbids it");
}

/// tower's limit, put around a router, is one limit per route and connection: 10 of 10 requests pass a limit of 1.
#[tokio::test(crate = "leakless")]
async fn under_axum_a_limit_of_one_admits_one_over_all_connections_and_routes() {
    let (layer, ledger) = at_most(1);
    let (entered, mut inside) = tokio::sync::mpsc::channel(10);
    let gate = Arc::new(Semaphore::new(0));
    let handler = {
        let gate = gate.clone();
        move || {
            let (entered, gate) = (entered.clone(), gate.clone());
            async move {
                entered.send(()).await.unwrap();
                let _open = gate.acquire().await;
                "hello"
            }
        }
    };
    let router = (0..5).fold(axum::Router::new(), |router, route| {
        router.route(&format!("/{route}"), axum::routing::get(handler.clone()))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, router.layer(layer)).into_future());

    // Each client of its own has a connection of its own.
    let call = |route: usize| {
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
        let request = client
            .build_http::<String>()
            .get(format!("http://{address}/{route}").parse().unwrap());
        async { request.await.unwrap().status().as_u16() }
    };
    let first = tokio::spawn(call(0));
    inside.recv().await.unwrap();
    for connection in 1..10 {
        assert_eq!(call(connection % 5).await, 503);
    }
    gate.add_permits(1);
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(ledger.issued.load(Ordering::SeqCst), 1);
    server.abort();
}

// === two policies as one ===

#[tokio::test(crate = "leakless")]
async fn of_two_policies_both_hold_to_the_end_and_hear_of_it() {
    let ((outer, first), (inner, second)) = (most(1), most(1));
    let service = AdmissionLayer::new((outer, Some(inner))).layer(service_fn(hello));
    let answer = service.clone().oneshot(get()).await.unwrap();
    assert_eq!(service.clone().oneshot(get()).await.unwrap().status(), 503);
    answer.into_body().collect().await.unwrap();
    drop(service.oneshot(get()).await.unwrap());
    let ends = [Outcome::Success, Outcome::Cancelled(Cancelled::Disconnected)];
    assert_eq!((first.settled(), second.settled()), (ends.to_vec(), ends.to_vec()));
}

#[tokio::test(crate = "leakless")]
async fn of_two_policies_the_first_hears_what_the_second_says() {
    let ((outer, first), (inner, second)) = (most(1), most(0));
    let service = AdmissionLayer::new((outer, inner)).layer(service_fn(hello));
    for _ in 0..2 {
        assert_eq!(service.clone().oneshot(get()).await.unwrap().status(), 503);
    }
    let rejected = Outcome::Rejected(Rejection::new(Reason::Overloaded, "at-most"));
    assert_eq!(first.settled(), [rejected.clone(), rejected]);
    assert!(second.settled().is_empty());
}

#[tokio::test(crate = "leakless")]
async fn of_two_policies_the_second_is_not_asked_where_the_first_says_no() {
    let ((outer, _), (inner, second, places)) = (most(0), turns(1));
    let service = AdmissionLayer::new((outer, inner)).layer(service_fn(hello));
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 503);
    assert_eq!((second.settled().len(), places.available_permits()), (0, 1));
}

#[tokio::test(crate = "leakless")]
async fn of_two_policies_the_first_waits_with_the_second() {
    let ((outer, first), (inner, second, places)) = (most(9), turns(1));
    let service = AdmissionLayer::new((outer, inner)).layer(service_fn(hello));
    let held = service.clone().oneshot(get()).await.unwrap();
    let mut waiting = Box::pin(service.clone().oneshot(get()));
    for _ in 0..3 {
        assert!(futures_util::poll!(&mut waiting).is_pending());
    }
    assert!(first.settled().is_empty());
    drop(waiting);
    let left = Outcome::Cancelled(Cancelled::Disconnected);
    assert_eq!((first.settled(), second.settled()), (vec![left], vec![]));
    held.into_body().collect().await.unwrap();
    service
        .clone()
        .oneshot(get())
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    places.close();
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 503);
    let rejected = Outcome::Rejected(Rejection::new(Reason::Draining, "in-turn"));
    assert_eq!(first.settled()[1..], [Outcome::Success, Outcome::Success, rejected]);
    assert_eq!(second.settled(), [Outcome::Success, Outcome::Success]);
    assert!(first.balances() && second.balances());
}

#[tokio::test(crate = "leakless")]
async fn of_two_policies_the_first_hears_of_answers_where_there_are_some() {
    #[derive(Clone, Default)]
    struct Listens(Arc<AtomicUsize>);
    impl Admit for Listens {
        type Permit = Self;
        type Wait = Never<Self>;

        fn admit(&self, _: &Arrival<'_>) -> Decision<Self, Never<Self>> {
            Decision::Now(self.clone())
        }
    }
    impl Settle for Listens {
        fn answered(&mut self, _: &mut Answer<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn settle(self, _: Outcome) {}
    }
    let (listens, (full, _)) = (Listens::default(), most(0));
    let layer = AdmissionLayer::new((listens.clone(), full));
    layer.layer(service_fn(hello)).oneshot(get()).await.unwrap();
    assert_eq!(listens.0.load(Ordering::SeqCst), 1);
    let errs = layer.typed().layer(service_fn(|()| async { Ok::<_, BoxError>(()) }));
    errs.oneshot(()).await.unwrap_err();
    assert_eq!(listens.0.load(Ordering::SeqCst), 1, "without HTTP there is none");
}

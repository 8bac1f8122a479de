//! Who says how much a request matters, who is believed, and who hears of it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context as Poller, Poll},
};

use buttress::{
    CancelLayer, Cancelled, Context, Criticality, CriticalityLayer, DeadlineLayer, PropagateCriticalityLayer,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const HEADER: &str = "x-criticality";

/// What the server knows of its peer, and no caller can write.
#[derive(Clone)]
struct Mesh;

fn trusting() -> CriticalityLayer {
    CriticalityLayer::new().trust(|head| head.extensions.get::<Mesh>().is_some())
}

fn here() -> Criticality {
    Context::current().criticality()
}

fn request(values: &[&str]) -> Request<()> {
    let mut request = Request::new(());
    for value in values {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(HEADER, value);
    }
    request
}

fn from_mesh(mut request: Request<()>) -> Request<()> {
    request.extensions_mut().insert(Mesh);
    request
}

/// What a handler within `layer` sees.
async fn seen(layer: &CriticalityLayer, request: Request<()>) -> Criticality {
    let service = layer.layer(service_fn(|_: Request<()>| {
        let in_call = here();
        async move {
            tokio::task::yield_now().await;
            assert_eq!(in_call, here(), "in each poll as in the call");
            Ok::<_, Infallible>(in_call)
        }
    }));
    service.oneshot(request).await.unwrap()
}

#[tokio::test(crate = "leakless")]
async fn a_trusted_caller_is_believed_and_a_stranger_can_only_lower_itself() {
    use Criticality::{Critical, CriticalPlus, Sheddable, SheddablePlus};
    let layer = trusting();
    for (values, trusted, stranger) in [
        (&[][..], Critical, Critical),
        (&["critical-plus"], CriticalPlus, Critical),
        (&["CRITICAL-PLUS"], CriticalPlus, Critical),
        (&["critical"], Critical, Critical),
        (&["sheddable-plus"], SheddablePlus, SheddablePlus),
        (&["sheddable"], Sheddable, Sheddable),
        (&["critical-plus", "sheddable"], Sheddable, Sheddable),
    ] {
        assert_eq!(seen(&layer, from_mesh(request(values))).await, trusted, "{values:?}");
        assert_eq!(seen(&layer, request(values)).await, stranger, "{values:?}");
    }
    let snapshot = layer.snapshot();
    assert_eq!((snapshot.capped, snapshot.invalid), (2, 0));
}

#[tokio::test(crate = "leakless")]
async fn what_cannot_be_read_is_ignored_and_counted() {
    let layer = trusting().by(|_| Some(Criticality::SheddablePlus));
    let unreadable = [
        "",
        " ",
        "critical ",
        "3",
        "critical,sheddable",
        "kritisch",
        "\u{fc}",
        &"x".repeat(9_000),
    ];
    for value in unreadable {
        assert_eq!(
            seen(&layer, from_mesh(request(&[value]))).await,
            Criticality::SheddablePlus,
            "{value:?}"
        );
    }
    let one_of_two = from_mesh(request(&["critical-plus", "nonsense"]));
    assert_eq!(seen(&layer, one_of_two).await, Criticality::SheddablePlus);
    assert_eq!(layer.snapshot().invalid, unreadable.len() as u64 + 1);
}

#[tokio::test(crate = "leakless")]
async fn nobody_is_trusted_by_default() {
    let layer = CriticalityLayer::default();
    assert_eq!(
        seen(&layer, from_mesh(request(&["critical-plus"]))).await,
        Criticality::Critical
    );
    assert_eq!(layer.clone().snapshot().capped, 1, "clones share their counts");
}

#[tokio::test(crate = "leakless")]
async fn the_server_has_a_word_of_its_own() {
    let layer = trusting().by(|head| (head.uri.path() == "/export").then_some(Criticality::SheddablePlus));
    let at = |path, values| {
        let mut request = request(values);
        *request.uri_mut() = http::Uri::from_static(path);
        request
    };
    assert_eq!(seen(&layer, at("/export", &[])).await, Criticality::SheddablePlus);
    assert_eq!(
        seen(&layer, at("/export", &["critical"])).await,
        Criticality::SheddablePlus
    );
    assert_eq!(
        seen(&layer, at("/export", &["sheddable"])).await,
        Criticality::Sheddable
    );
    assert_eq!(
        seen(&layer, from_mesh(at("/export", &["critical"]))).await,
        Criticality::Critical
    );
    assert_eq!(seen(&layer, at("/", &[])).await, Criticality::Critical);
    let outside = Context::default().with_criticality(Criticality::Sheddable);
    assert_eq!(
        outside.scope(seen(&layer, at("/", &["critical"]))).await,
        Criticality::Sheddable
    );
}

#[tokio::test(crate = "leakless")]
async fn the_header_has_the_name_that_it_is_given() {
    const NAME: HeaderName = HeaderName::from_static("x-acme-criticality");
    let layer = CriticalityLayer::new().header(NAME);
    let mut request = request(&["sheddable"]);
    assert_eq!(seen(&layer, request.clone()).await, Criticality::Critical);
    request
        .headers_mut()
        .insert(NAME, HeaderValue::from_static("sheddable-plus"));
    assert_eq!(seen(&layer, request).await, Criticality::SheddablePlus);
}

#[tokio::test(crate = "leakless")]
async fn it_is_in_scope_within_and_nowhere_else() {
    let layer = CriticalityLayer::new().by(|_| Some(Criticality::Sheddable));
    let service = layer.layer(service_fn(|_: Request<()>| async {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(())
    }));
    let mut call = Box::pin(service.oneshot(request(&[])));
    assert!(futures_util::poll!(call.as_mut()).is_pending());
    assert_eq!(here(), Criticality::Critical);
    call.await.unwrap();
    assert_eq!(here(), Criticality::Critical);

    let panics = layer.layer(service_fn(
        |_: Request<()>| -> std::future::Ready<Result<(), Infallible>> { panic!() },
    ));
    let panics = std::panic::AssertUnwindSafe(panics.oneshot(request(&[])));
    assert!(futures_util::FutureExt::catch_unwind(panics).await.is_err());
    assert_eq!(here(), Criticality::Critical);
}

/// What is made of the context within, its cancellation, is the one outside.
#[tokio::test(crate = "leakless")]
async fn the_rest_of_the_context_is_as_it_is_around() {
    let kept = Arc::new(Mutex::new(None));
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(std::time::Duration::from_secs(7)))
        .layer(CancelLayer::new())
        .layer(CriticalityLayer::new().by(|_| Some(Criticality::Sheddable)))
        .service_fn(|_: Request<()>| {
            let kept = kept.clone();
            async move {
                *kept.lock().unwrap() = Some(Context::current());
                std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
            }
        });
    let mut call = Box::pin(service.oneshot(request(&[])));
    for _ in 0..3 {
        assert!(futures_util::poll!(call.as_mut()).is_pending());
    }
    let context: Context = kept.lock().unwrap().take().unwrap();
    assert_eq!(context.criticality(), Criticality::Sheddable);
    assert!(context.remaining().is_some());
    assert_eq!(context.check(), Ok(()));
    drop(call);
    assert_eq!(context.check(), Err(Cancelled::Disconnected));
}

/// A body that tells in its only frame at which criticality it was polled.
struct Tell(bool);

impl Body for Tell {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Poller<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let told = std::mem::replace(&mut self.0, true);
        Poll::Ready((!told).then(|| Ok(Frame::data(Bytes::from_static(here().as_str().as_bytes())))))
    }
}

#[tokio::test(crate = "leakless")]
async fn a_body_keeps_it_where_a_layer_within_carries_the_context() {
    let sheddable = || CriticalityLayer::new().by(|_| Some(Criticality::Sheddable));
    let tell = || service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Tell(false))) });
    let cancel = ServiceBuilder::new()
        .layer(sheddable())
        .layer(CancelLayer::new())
        .service(tell());
    let body = cancel.oneshot(request(&[])).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "sheddable");
    let deadline = DeadlineLayer::new(std::time::Duration::from_secs(7));
    let deadline = ServiceBuilder::new().layer(sheddable()).layer(deadline).service(tell());
    let body = deadline.oneshot(request(&[])).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "sheddable");
    let body = sheddable()
        .layer(tell())
        .oneshot(request(&[]))
        .await
        .unwrap()
        .into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "critical");
}

/// A tier: it notes what it sees, and calls on with the headers that it got, as a proxy does.
#[derive(Clone)]
struct Tier<N> {
    saw: Arc<Mutex<Vec<Criticality>>>,
    next: Option<N>,
}

impl<N> Service<Request<()>> for Tier<N>
where
    N: Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone + Send + 'static,
    N::Future: Send,
{
    type Response = N::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<N::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Poller<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let Self { saw, next } = self.clone();
        Box::pin(async move {
            saw.lock().unwrap().push(here());
            let Some(next) = next else {
                return Ok(Response::default());
            };
            let mut onwards = Request::new(());
            *onwards.headers_mut() = request.headers().clone();
            next.oneshot(onwards).await
        })
    }
}

type End = tower::util::BoxCloneService<Request<()>, Response<Full<Bytes>>, Infallible>;

/// A server at the other end of a wire: in a task of its own, where nothing is in scope. A server knows who calls it.
fn server<S>(service: S) -> End
where
    S: Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    End::new(service_fn(move |request: Request<()>| {
        let mut received = Request::new(());
        *received.headers_mut() = request.headers().clone();
        let service = service.clone();
        async move { tokio::spawn(service.oneshot(from_mesh(received))).await.unwrap() }
    }))
}

/// What the tiers see of a request that comes to the first.
async fn three_tiers(first: CriticalityLayer, request: Request<()>) -> Vec<Criticality> {
    let saw = Arc::new(Mutex::new(Vec::new()));
    let tier = |next: Option<End>| Tier {
        saw: saw.clone(),
        next: next.map(|next| PropagateCriticalityLayer::new().layer(next)),
    };
    let c = server(trusting().layer(tier(None)));
    let b = server(trusting().layer(tier(Some(c))));
    let a = first.layer(tier(Some(b)));
    a.oneshot(request).await.unwrap();
    saw.lock().unwrap().clone()
}

#[tokio::test(crate = "leakless")]
async fn three_tiers_pass_it_on() {
    for criticality in Criticality::ALL {
        let edge = CriticalityLayer::new().by(move |_| Some(criticality));
        assert_eq!(three_tiers(edge, request(&[])).await, [criticality; 3]);
    }
}

#[tokio::test(crate = "leakless")]
async fn what_a_stranger_forges_is_not_passed_on_by_a_tier_that_copies_headers() {
    let forged = request(&["critical-plus", "critical-plus"]);
    assert_eq!(three_tiers(trusting(), forged).await, [Criticality::Critical; 3]);
    let lowered = request(&["sheddable"]);
    assert_eq!(three_tiers(trusting(), lowered).await, [Criticality::Sheddable; 3]);
}

#[tokio::test(crate = "leakless")]
async fn the_default_is_not_written() {
    let echo = service_fn(|request: Request<()>| async move { Ok::<_, Infallible>(request.headers().clone()) });
    let client = PropagateCriticalityLayer::default()
        .header(HeaderName::from_static("x-acme"))
        .layer(echo);
    assert!(client.clone().oneshot(Request::new(())).await.unwrap().is_empty());
    let context = Context::default().with_criticality(Criticality::CriticalPlus);
    assert_eq!(
        context.scope(client.oneshot(Request::new(()))).await.unwrap()["x-acme"],
        "critical-plus"
    );
}

/// Ready only where it was asked, and not in a clone.
struct Probe(bool);

impl<R> Service<R> for Probe {
    type Response = ();
    type Error = Infallible;
    type Future = std::future::Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Poller<'_>) -> Poll<Result<(), Infallible>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called without being ready");
        std::future::ready(Ok(()))
    }
}

#[tokio::test(crate = "leakless")]
async fn readiness_is_the_inner_service_s_and_nothing_is_allocated() {
    let mut service = ServiceBuilder::new()
        .layer(trusting())
        .layer(PropagateCriticalityLayer::new())
        .service(Probe(false));
    for values in [&[][..], &["sheddable"], &["critical-plus"], &["nonsense"]] {
        poll_fn(|cx| Service::<Request<()>>::poll_ready(&mut service, cx))
            .await
            .unwrap();
        let mut request = request(values);
        request
            .headers_mut()
            .append("user-agent", HeaderValue::from_static("test"));
        request.headers_mut().reserve(8);
        let allocated = allocation_counter::measure(|| {
            let mut call = std::pin::pin!(service.call(request));
            assert!(
                call.as_mut()
                    .poll(&mut Poller::from_waker(std::task::Waker::noop()))
                    .is_ready()
            );
        });
        assert_eq!(allocated.count_total, 0, "{values:?}");
    }
}

//! Every layer of this crate, held against the contract of tower's services.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "support/leakless.rs"]
mod leakless;

use std::{fs, path::Path, time::Duration};

use buttress::{
    AdmissionLayer, BreakerLayer, CancelLayer, ConcurrencyLimitLayer, CriticalityLayer, DeadlineLayer, FallbackLayer,
    FaultLayer, HedgeLayer, Lifecycle, LoadShedLayer, ObserveLayer, PropagateCriticalityLayer, PropagateDeadlineLayer,
    RateLimitLayer, RetryLayer, ShieldLayer, ThrottleLayer, TimeoutLayer,
    admission::{drain::Drain, rate::Quota, shed::ShedUnreadyLayer},
    context::ScopeLayer,
    fallback::Failed,
    fault::Rule,
    lifecycle::serve::ProcessLayer,
    observe::Ended,
    optional,
    rejection::{Render, RenderLayer},
    stack::OptionalLayer,
    testing::contract::{self, Contract},
};
use tower::ServiceBuilder;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(10);

/// A test for each layer, so that one that breaks the contract does not hide another.
macro_rules! keep {
    ($how:ident: $($name:ident: $layer:expr,)+) => {
        $(
            #[tokio::test(start_paused = true, crate = "leakless")]
            async fn $name() {
                $how($layer).await;
            }
        )+
    };
}

use contract::http;

keep! { http:
    render: RenderLayer::new(Render::Problem),
    observe: ObserveLayer::server(|_: &Ended| {}),
    drain: Drain::new().layer(),
    criticality: CriticalityLayer::new(),
    propagate_criticality: PropagateCriticalityLayer::new(),
    deadline: DeadlineLayer::new(LONG),
    propagate_deadline: PropagateDeadlineLayer::new(),
    timeout: TimeoutLayer::new(LONG),
    cancel: CancelLayer::new(),
    scope: ScopeLayer::new(),
    rate: RateLimitLayer::new(Quota::per_second(1_000_000)),
    shed: LoadShedLayer::new(),
    shed_unready: ShedUnreadyLayer::new(),
    concurrency: ConcurrencyLimitLayer::new(2),
    concurrency_with_a_queue: ConcurrencyLimitLayer::new(1),
    adaptive: ConcurrencyLimitLayer::adaptive(),
    breaker: BreakerLayer::new(),
    throttle: ThrottleLayer::new(),
    admission: AdmissionLayer::new(Some(Drain::new())),
    retry: RetryLayer::new(),
    retry_in_earnest: RetryLayer::new().attempts(4),
    hedge: HedgeLayer::after(SHORT),
    hedge_at_once: HedgeLayer::after(Duration::ZERO),
    fault: FaultLayer::new().rule(Rule::delay(SHORT)),
    fault_that_delays: FaultLayer::new().seed(1).enabled(true).rule(Rule::delay(SHORT).share(0.5)),
    fault_that_ends_some: FaultLayer::new().seed(1).enabled(true).rule(Rule::abort(::http::StatusCode::BAD_GATEWAY).share(0.5)),
    fault_that_slows: FaultLayer::new().seed(1).enabled(true).rule(Rule::slow_body(16)).rule(Rule::delay(SHORT)),
    fallback: FallbackLayer::value(::http::Response::default()).when(|_: &Failed<'_>| false),
    fallback_without_an_answer: FallbackLayer::with(|_: &Failed<'_>| std::future::ready(None::<::http::Response<_>>)),
    fallback_to_a_service_that_fails: FallbackLayer::service(tower::service_fn(no_answer)),
    there: optional(Some(CancelLayer::new())) as OptionalLayer<CancelLayer>,
    absent: optional(None::<CancelLayer>),
    a_server: ServiceBuilder::new()
        .layer(ObserveLayer::server(|_: &Ended| {}))
        .layer(RenderLayer::new(Render::Text))
        .layer(CriticalityLayer::new())
        .layer(DeadlineLayer::new(LONG))
        .layer(CancelLayer::new())
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(8)),
    a_client: ServiceBuilder::new()
        .layer(RetryLayer::new())
        .layer(HedgeLayer::after(SHORT))
        .layer(BreakerLayer::new())
        .layer(ThrottleLayer::new())
        .layer(ConcurrencyLimitLayer::new(8))
        .layer(TimeoutLayer::new(LONG))
        .layer(PropagateDeadlineLayer::new())
        .layer(PropagateCriticalityLayer::new()),
    both: AdmissionLayer::new((Drain::new(), (Some(Drain::new()), Drain::new()))),
    server: buttress::server(LONG),
    server_with_a_queue: buttress::server(LONG).limit(ConcurrencyLimitLayer::new(1)),
    bare_server: buttress::server(LONG).criticality(None).deadline(None).cancel(None).shed(None).limit(None),
    client: buttress::client(LONG),
    client_with_all: buttress::client(LONG).hedge(HedgeLayer::after(SHORT)).limit(ConcurrencyLimitLayer::new(2)),
    bare_client: buttress::client(LONG).timeout(None).retry(None).breaker(None).throttle(None),
}

/// What takes the place of a failure swallows it, by its nature; so here it fails, too.
async fn no_answer<B>(_: ::http::Request<B>) -> Result<::http::Response<String>, &'static str> {
    Err("no answer")
}

async fn any<L, E>(layer: L)
where
    L: tower::Layer<contract::Probe<contract::Plain>>,
    L::Service: tower::Service<&'static str, Error = E> + Clone,
    E: Into<buttress::BoxError>,
{
    contract::service(layer, || "request").await;
}

keep! { any:
    typed_timeout: TimeoutLayer::new(LONG).typed(),
    typed_cancel: CancelLayer::new().typed(),
    typed_admission: AdmissionLayer::new(Drain::new()).typed(),
    typed_concurrency: ConcurrencyLimitLayer::new(1).typed(),
    typed_rate: RateLimitLayer::new(Quota::per_second(1_000_000)).typed(),
    typed_shed: LoadShedLayer::new().typed(),
    typed_shed_unready: ShedUnreadyLayer::new().typed(),
    typed_breaker: BreakerLayer::new().typed(),
    typed_throttle: ThrottleLayer::new().typed(),
    typed_fault: FaultLayer::new().seed(1).enabled(true).rule(Rule::delay(SHORT)).typed(),
    typed_fault_that_ends_all: FaultLayer::new().seed(1).enabled(true).rule(Rule::reset()).typed(),
    typed_fallback: FallbackLayer::on_error(|_: &buttress::BoxError| std::future::ready(None::<contract::Answer>)),
    typed_fallback_to_a_service_that_fails: FallbackLayer::service(tower::service_fn(|_: &'static str| async {
        Err::<contract::Answer, _>("no answer")
    }))
    .typed(),
}

/// What a fallback is for, and nothing else of the contract.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn a_fallback_swallows_failures_and_breaks_nothing_else() {
    let broken = Contract::new()
        .http(FallbackLayer::value(::http::Response::default()))
        .await
        .unwrap_err();
    let others = broken
        .violations
        .iter()
        .filter(|(_, violation)| *violation != contract::Violation::Swallowed);
    assert_eq!(others.count(), 0, "{broken}");
}

/// They outlive their callers on purpose, and no longer than the call.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn shields() {
    let contract = Contract::new().outlives_its_caller();
    contract.http(ShieldLayer::new("shield", LONG)).await.unwrap();
    let typed = contract
        .service(ShieldLayer::new("shield", LONG).typed(), || "request")
        .await;
    typed.unwrap();
}

/// The way in which a shield is no layer like the others: what it holds here lives for as long as it may.
#[tokio::test(start_paused = true)]
async fn a_shield_holds_the_call_when_it_is_dropped() {
    let held = Contract::new().http(ShieldLayer::new("shield", LONG)).await;
    assert!(held.unwrap_err().to_string().contains("it still holds 1 calls"));
}

/// Of a process that lives, and while it ends.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn process() {
    for ends in [false, true] {
        let life = Lifecycle::builder().build().unwrap();
        let layer: ProcessLayer = life.layer().track_requests();
        if ends {
            life.handle().shutdown();
        }
        let run = tokio::spawn(life.run());
        tokio::task::yield_now().await;
        http(layer).await;
        run.abort();
    }
}

#[cfg(feature = "hyper")]
#[tokio::test(start_paused = true, crate = "leakless")]
async fn reuse() {
    use buttress::hyper::ReuseLayer;
    contract::service(ReuseLayer::new(), || ::http::Uri::from_static("http://probe")).await;
}

#[cfg(feature = "tonic")]
#[tokio::test(start_paused = true, crate = "leakless")]
async fn tonic_transport_and_client() {
    http(buttress::tonic::ClientLayer::new()).await;
    http(buttress::tonic::TransportLayer::new()).await;
    http(buttress::tonic::TransportLayer::new().in_extensions()).await;
}

/// One translates what the other does, so that there is HTTP on both sides.
#[cfg(feature = "reqwest")]
#[tokio::test(start_paused = true, crate = "leakless")]
async fn reqwest_transport_and_client() {
    let there = buttress::reqwest::TransportLayer::new();
    let and_back = buttress::reqwest::ClientLayer::new();
    http(ServiceBuilder::new().layer(there).layer(and_back)).await;
}

// === none is left out ===

/// The layers that are declared in this folder of the library, each with the folder's name.
fn declared(folder: &Path, within: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap();
            declared(&path, if within.is_empty() { name } else { within }, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.strip_prefix("pub struct "));
            let name = |rest: &str| {
                rest.split(['<', '(', ' ', ';', '{'])
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            };
            let layers = names.map(name).filter(|name| name.ends_with("Layer"));
            found.extend(layers.map(|name| (within.to_owned(), name)));
        }
    }
}

#[test]
fn every_layer_of_this_crate_is_held_against_it() {
    let mut layers = Vec::new();
    declared(&Path::new(env!("CARGO_MANIFEST_DIR")).join("layers"), "", &mut layers);
    assert!(layers.len() > 20, "{layers:?}");
    let tests = include_str!("contract.rs");
    let is_alone = |name: &str| layers.iter().filter(|(_, other)| other == name).count() == 1;
    // Where two have one name, with its folder's.
    let is_missing = |(folder, name): &&(String, String)| {
        let is_there = tests.contains(&format!("{folder}::{name}")) || is_alone(name) && tests.contains(name.as_str());
        !is_there
    };
    let missing: Vec<_> = layers.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "held against nothing: {missing:?}");
}

// === and no test of ours leaks ===

/// What they show is a leak.
const LEAKS: [&str; 3] = [
    "a_context_does_not_cross_a_buffer_by_itself",
    "a_port_that_stays_open_is_found",
    "a_shield_holds_the_call_when_it_is_dropped",
];

/// The tests in this folder that run on a runtime of tokio's own.
fn unchecked(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            unchecked(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                if line.starts_with("#[tokio::test") && !line.contains("leakless\"") {
                    let name = lines.find_map(|line| line.strip_prefix("async fn "));
                    found.extend(name.and_then(|rest| rest.split('(').next()).map(str::to_owned));
                }
            }
        }
    }
}

#[test]
fn every_integration_test_runs_under_the_leak_check() {
    let mut found = Vec::new();
    unchecked(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut found);
    found.sort_unstable();
    assert_eq!(found, LEAKS, "crate = \"support::leakless\"");
}

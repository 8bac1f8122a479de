//! Every layer of this crate, held against the contract of tower's services.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use buttress::{
    AdmissionLayer, BreakerLayer, CancelLayer, ConcurrencyLimitLayer, CriticalityLayer, DeadlineLayer, HedgeLayer,
    LoadShedLayer, ObserveLayer, PropagateCriticalityLayer, PropagateDeadlineLayer, RateLimitLayer, RetryLayer,
    ShieldLayer, ThrottleLayer, TimeoutLayer,
    admission::{drain::Drain, rate::Quota, shed::ShedUnreadyLayer},
    context::ScopeLayer,
    observe::Ended,
    optional,
    rejection::{Render, RenderLayer},
    testing::contract::{self, Contract},
};
use tower::ServiceBuilder;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(10);

/// A test for each layer, so that one that breaks the contract does not hide another.
macro_rules! keep {
    ($how:ident: $($name:ident: $layer:expr,)+) => {
        $(
            #[tokio::test(start_paused = true)]
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
    there: optional(Some(CancelLayer::new())),
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
}

/// They outlive their callers on purpose, and no longer than the call.
#[tokio::test(start_paused = true)]
async fn shields() {
    let contract = Contract::new().outlives_its_caller();
    contract.http(ShieldLayer::new("shield", LONG)).await.unwrap();
    let typed = contract
        .service(ShieldLayer::new("shield", LONG).typed(), || "request")
        .await;
    typed.unwrap();
}

/// The way in which a shield is no layer like the others.
#[tokio::test(start_paused = true)]
async fn a_shield_holds_the_call_when_it_is_dropped() {
    let held = Contract::new().http(ShieldLayer::new("shield", LONG)).await;
    assert!(held.unwrap_err().to_string().contains("it still holds 1 calls"));
}

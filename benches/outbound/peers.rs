//! What others offer, each with the settings nearest to ours.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use seatbelt::{RecoveryInfo, ResilienceContext, hedging::Hedging};
use tick::Clock;
use tokio::runtime::Builder;
use tower::{
    BoxError, Layer, Service, ServiceBuilder,
    limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer,
    retry::{
        Policy, RetryLayer,
        budget::{Budget, TpsBudget},
    },
    timeout::TimeoutLayer,
};

use super::transport::Transport;

pub(super) type Outgoing = Request<Full<Bytes>>;
pub(super) type Incoming = Response<Full<Bytes>>;

/// More than is ever in flight.
const ROOM: usize = 100;

/// tower's, with the policy that its documentation shows: it is up to the user to write one.
pub(super) fn tower() -> RetryLayer<Attempts> {
    RetryLayer::new(Attempts::with(TpsBudget::new(Duration::from_secs(10), 10, 0.1)))
}

pub(super) fn four(
    transport: Transport,
    limit: Duration,
) -> impl Service<Outgoing, Response = Incoming, Error = BoxError> + Clone {
    ServiceBuilder::new()
        .layer(tower())
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(ROOM))
        .layer(TimeoutLayer::new(limit))
        .service(transport)
}

/// tower's policy: a budget and two retries, without a backoff.
#[derive(Clone, Debug)]
pub(super) struct Attempts {
    budget: Arc<TpsBudget>,
    left: u32,
}

impl Attempts {
    pub(super) fn with(budget: TpsBudget) -> Self {
        Self {
            budget: Arc::new(budget),
            left: 2,
        }
    }
}

impl<B: Clone, R, E> Policy<Request<B>, Response<R>, E> for Attempts {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<B>, result: &mut Result<Response<R>, E>) -> Option<Ready<()>> {
        if !result.as_ref().is_ok_and(is_unavailable) {
            self.budget.deposit();
            return None;
        }
        if self.left == 0 || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

fn is_unavailable<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::SERVICE_UNAVAILABLE
}

pub(super) fn resilience(transport: Transport) -> impl Service<Outgoing, Response = Incoming> {
    let budget = tower_resilience_retry::RetryBudgetBuilder::new().token_bucket();
    tower_resilience_retry::RetryLayer::<Outgoing, Incoming, Infallible>::builder()
        .max_attempts(3)
        .retry_on_response(is_unavailable)
        .budget(budget.build().expect("a budget"))
        .build()
        .layer(transport)
}

pub(super) fn resilience_hedge(transport: Transport, delay: Duration) -> impl Service<Outgoing, Response = Incoming> {
    tower_resilience_hedge::HedgeLayer::builder()
        .delay(delay)
        .max_hedged_attempts(2)
        .build()
        .layer(transport)
}

pub(super) fn seatbelt(transport: Transport) -> impl Service<Outgoing, Response = Incoming> {
    let layer = seatbelt::retry::Retry::layer("retry", &context())
        .clone_input()
        .recovery_with(|output, _| recovery(output))
        .max_retry_attempts(2);
    layer.layer(transport)
}

pub(super) fn seatbelt_hedge(transport: Transport, delay: Duration) -> impl Service<Outgoing, Response = Incoming> {
    let layer = Hedging::layer("hedging", &context())
        .clone_input()
        .recovery_with(|output, _| recovery(output))
        .hedging_delay(delay);
    layer.layer(transport)
}

fn recovery(output: &Result<Incoming, Infallible>) -> RecoveryInfo {
    match output {
        Ok(response) if is_unavailable(response) => RecoveryInfo::retry(),
        _ => RecoveryInfo::never(),
    }
}

/// Its clock spawns a task that fires its timers. None of them fires here, so the runtime of that task may end.
fn context() -> ResilienceContext<Outgoing, Result<Incoming, Infallible>> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    ResilienceContext::new(Clock::new_tokio())
}

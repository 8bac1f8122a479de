use std::time::Duration;

use tower::{ServiceBuilder, layer::util::Stack};

use super::{ClientStack, OptionalLayer, ServerStack, client, optional, server};
#[cfg(feature = "rate")]
use crate::admission::rate::{Quotas, RateLimitLayer};
use crate::{
    admission::{
        AdmissionLayer, Admit, breaker::BreakerLayer, concurrency::ConcurrencyLimitLayer, drain::Drain,
        shed::LoadShedLayer, throttle::ThrottleLayer,
    },
    budget::Budgets,
    cancel::{CancelLayer, ShieldLayer},
    criticality::{CriticalityLayer, PropagateCriticalityLayer},
    deadline::{DeadlineLayer, PropagateDeadlineLayer, TimeoutLayer},
    hedge::HedgeLayer,
    observe::{ObserveLayer, Observer},
    rejection::{Render, RenderLayer},
    retry::RetryLayer,
};

/// The layers of this crate on tower's [`ServiceBuilder`], each with its defaults, outermost first.
///
/// None has the name of one of tower's own methods, which would go before it: where the builder has a `timeout` it is tower's. A layer with
/// settings goes in with [`ServiceBuilder::layer`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use buttress::stack::ServiceBuilderExt;
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt};
/// # use http::{Request, Response}; use std::convert::Infallible;
/// # async fn handler(_: Request<String>) -> Result<Response<String>, Infallible> { Ok(Response::new("hello".into())) }
///
/// let service = ServiceBuilder::new()
///     .deadline(Duration::from_secs(10))
///     .cancel_with_caller()
///     .adaptive_limit()
///     .service_fn(handler);
///
/// let response = service.oneshot(Request::new(String::new())).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(()) }
/// ```
pub trait ServiceBuilderExt<L>: Sized {
    /// This layer, inside of those that are there. The others are made of it.
    fn inside<T>(self, layer: T) -> ServiceBuilder<Stack<T, L>>;

    /// A whole [server's stack](server).
    fn server(self, deadline: Duration) -> ServiceBuilder<Stack<ServerStack, L>> {
        self.inside(server(deadline))
    }

    /// A whole [client's stack](client).
    fn client(self, timeout: Duration) -> ServiceBuilder<Stack<ClientStack, L>> {
        self.inside(client(timeout))
    }

    /// A layer that is there [or not](optional).
    fn optional<T>(self, layer: Option<T>) -> ServiceBuilder<Stack<OptionalLayer<T>, L>> {
        self.inside(optional(layer))
    }

    /// Tells of each request that is answered: [`ObserveLayer::server`].
    fn observe_server<O: Observer>(self, observer: O) -> ServiceBuilder<Stack<ObserveLayer<O>, L>> {
        self.inside(ObserveLayer::server(observer))
    }

    /// Tells of each call that is made: [`ObserveLayer::client`].
    fn observe_client<O: Observer>(self, observer: O) -> ServiceBuilder<Stack<ObserveLayer<O>, L>> {
        self.inside(ObserveLayer::client(observer))
    }

    /// How rejections look: [`RenderLayer`].
    fn render(self, render: Render) -> ServiceBuilder<Stack<RenderLayer, L>> {
        self.inside(RenderLayer::new(render))
    }

    /// A gate at shutdown: [`Drain`].
    fn drain(self, gate: &Drain) -> ServiceBuilder<Stack<AdmissionLayer<Drain>, L>> {
        self.inside(gate.layer())
    }

    /// How much each request matters: [`CriticalityLayer`].
    fn criticality(self) -> ServiceBuilder<Stack<CriticalityLayer, L>> {
        self.inside(CriticalityLayer::new())
    }

    /// How long each request has, unless its caller says so: [`DeadlineLayer`].
    fn deadline(self, default: Duration) -> ServiceBuilder<Stack<DeadlineLayer, L>> {
        self.inside(DeadlineLayer::new(default))
    }

    /// A context that ends with its request: [`CancelLayer`].
    fn cancel_with_caller(self) -> ServiceBuilder<Stack<CancelLayer, L>> {
        self.inside(CancelLayer::new())
    }

    /// How often: [`RateLimitLayer`].
    #[cfg(feature = "rate")]
    fn quota(self, quotas: impl Into<Quotas>) -> ServiceBuilder<Stack<RateLimitLayer, L>> {
        self.inside(RateLimitLayer::new(quotas))
    }

    /// The least critical go first, where the process is in trouble: [`LoadShedLayer`].
    fn shed(self) -> ServiceBuilder<Stack<LoadShedLayer, L>> {
        self.inside(LoadShedLayer::new())
    }

    /// As many at a time as the service does best with: [`ConcurrencyLimitLayer::adaptive`].
    fn adaptive_limit(self) -> ServiceBuilder<Stack<ConcurrencyLimitLayer, L>> {
        self.inside(ConcurrencyLimitLayer::adaptive())
    }

    /// So many at a time: [`ConcurrencyLimitLayer::new`].
    fn fixed_limit(self, limit: usize) -> ServiceBuilder<Stack<ConcurrencyLimitLayer, L>> {
        self.inside(ConcurrencyLimitLayer::new(limit))
    }

    /// A policy of your own: [`AdmissionLayer`].
    fn admit<A: Admit>(self, policy: A) -> ServiceBuilder<Stack<AdmissionLayer<A>, L>> {
        self.inside(AdmissionLayer::new(policy))
    }

    /// Goes on although the caller leaves: [`ShieldLayer`].
    fn shield(self, name: &'static str, max: Duration) -> ServiceBuilder<Stack<ShieldLayer, L>> {
        self.inside(ShieldLayer::new(name, max))
    }

    /// How long each call, or attempt, may take: [`TimeoutLayer`].
    fn bound(self, timeout: Duration) -> ServiceBuilder<Stack<TimeoutLayer, L>> {
        self.inside(TimeoutLayer::new(timeout))
    }

    /// Tries again what is safe, paid for by this budget: [`RetryLayer`].
    fn retry_within(self, budget: impl Into<Budgets>) -> ServiceBuilder<Stack<RetryLayer, L>> {
        self.inside(RetryLayer::new().budget(budget))
    }

    /// A second attempt where the first is slow, paid for by this budget: [`HedgeLayer`].
    fn hedge_within(self, budget: impl Into<Budgets>, delay: Duration) -> ServiceBuilder<Stack<HedgeLayer, L>> {
        self.inside(HedgeLayer::after(delay).budget(budget))
    }

    /// Leaves a destination alone that keeps failing: [`BreakerLayer`].
    fn circuit_breaker(self) -> ServiceBuilder<Stack<BreakerLayer, L>> {
        self.inside(BreakerLayer::new().per_destination())
    }

    /// Sends about as much to a destination as it accepts: [`ThrottleLayer`].
    fn throttle(self) -> ServiceBuilder<Stack<ThrottleLayer, L>> {
        self.inside(ThrottleLayer::new().per_destination())
    }

    /// Writes what remains of the deadline: [`PropagateDeadlineLayer`].
    fn propagate_deadline(self) -> ServiceBuilder<Stack<PropagateDeadlineLayer, L>> {
        self.inside(PropagateDeadlineLayer::new())
    }

    /// Writes how much it matters: [`PropagateCriticalityLayer`].
    fn propagate_criticality(self) -> ServiceBuilder<Stack<PropagateCriticalityLayer, L>> {
        self.inside(PropagateCriticalityLayer::new())
    }
}

impl<L> ServiceBuilderExt<L> for ServiceBuilder<L> {
    fn inside<T>(self, layer: T) -> ServiceBuilder<Stack<T, L>> {
        self.layer(layer)
    }
}

use std::{fmt, marker::PhantomData, sync::Arc};

use http::HeaderName;
use tower_layer::Layer;

use super::{
    ByError, Fault, FaultSnapshot, FaultSwitch, InBody, Rule,
    header::Asking,
    plan::{Dice, Plan},
    switch::State,
};
use crate::{
    context::Head,
    rejection::{Http, Typed},
    telemetry::{Measured, Report},
};

/// Injects faults, where it is switched on. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`enabled`](Self::enabled) | off | nothing below happens before it is on |
/// | [`rule`](Self::rule) | none | what happens, and to which requests |
/// | [`header`](Self::header) | none | a header by which a request asks for faults itself |
/// | [`trust`](Self::trust) | everybody | whose header is read |
/// | [`seed`](Self::seed) | at random | the dice |
/// | [`error`](Self::error) | none | what a call fails with that is reset |
///
/// The switch, the dice and the counts are the layer's: all services made from it, and from its clones, share them. The rules are those
/// that it had when the service was made.
pub struct FaultLayer<X = InBody, M = Http> {
    config: Config,
    error: Arc<X>,
    state: Arc<State>,
    mode: PhantomData<M>,
}

#[derive(Clone)]
struct Config {
    rules: Vec<Rule>,
    asking: Option<Asking>,
    dice: Dice,
}

/// What a service and its calls hold.
pub(super) struct Shared<X> {
    config: Config,
    pub(super) error: Arc<X>,
    pub(super) state: Arc<State>,
}

impl FaultLayer {
    /// No faults yet, and switched off.
    pub fn new() -> Self {
        Self {
            config: Config {
                rules: Vec::new(),
                asking: None,
                dice: Dice {
                    seed: fastrand::u64(..),
                },
            },
            error: Arc::default(),
            state: Arc::default(),
            mode: PhantomData,
        }
    }
}

impl<X> FaultLayer<X> {
    /// Around a service that is not HTTP: aborts and resets are errors, `S::Error: From<Rejection>`, and nothing has a head or a body.
    pub fn typed(self) -> FaultLayer<X, Typed> {
        FaultLayer {
            config: self.config,
            error: self.error,
            state: self.state,
            mode: PhantomData,
        }
    }
}

impl<X, M> FaultLayer<X, M> {
    /// Whether it is on from the beginning. It is [switched](Self::switch) at any time.
    #[must_use]
    pub fn enabled(self, enabled: bool) -> Self {
        self.switch().set(enabled);
        self
    }

    /// One more rule. All that are for a request befall it, but of each kind the first alone: a delay; an abort, a rejection or a reset;
    /// a body that breaks; a body that is slow.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.config.rules.push(rule);
        self
    }

    /// Lets requests ask for faults themselves, in a header of this name: a test of one call through many tiers asks for its own faults
    /// alone. It is a [dictionary](https://www.rfc-editor.org/rfc/rfc9651#section-3.2), `x-fault: delay=250, abort=503`.
    ///
    /// | key | value |
    /// |---|---|
    /// | `delay` | milliseconds, 30 s at most |
    /// | `abort` | an HTTP status, 200 to 599 |
    /// | `grpc` | a gRPC code, 1 to 16 |
    /// | `reset` | none |
    /// | `reset-body` | after how many bytes |
    /// | `slow-body` | bytes per second |
    /// | `pause-body` | milliseconds between frames, 30 s at most |
    ///
    /// What it asks for goes before the rules. One that cannot be read, or has a key that is none of these, asks for nothing, and is counted.
    /// The header is passed on as it came.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        let trust = self.config.asking.take().and_then(|asking| asking.trust);
        self.config.asking = Some(Asking {
            name: Some(name),
            trust,
        });
        self
    }

    /// Reads the [header](Self::header) of those requests alone for which `trust` says yes. It is called for requests that have one.
    #[must_use]
    pub fn trust(mut self, trust: impl for<'a> Fn(Head<'a>) -> bool + Send + Sync + 'static) -> Self {
        let name = self.config.asking.take().and_then(|asking| asking.name);
        self.config.asking = Some(Asking {
            name,
            trust: Some(Arc::new(trust)),
        });
        self
    }

    /// The dice: with the same seed and the same rules, the same faults. What that means where requests come at the same time is said
    /// [there](super#the-same-faults-again).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.dice = Dice { seed };
        self
    }

    /// What a call fails with that is [reset](Rule::reset): the error that the service within has for a connection that broke. It comes
    /// before the retries and breakers of a client as the transport's own would.
    ///
    /// ```
    /// use buttress::{BoxError, FaultLayer, fault::Rule};
    /// use std::io::{Error, ErrorKind};
    ///
    /// let layer = FaultLayer::new()
    ///     .rule(Rule::reset().share(0.01))
    ///     .error(|| BoxError::from(Error::from(ErrorKind::ConnectionReset)));
    /// ```
    ///
    /// [Typed](Self::typed), aborts fail with it, too.
    #[must_use]
    pub fn error<E, F: Fn() -> E>(self, make: F) -> FaultLayer<ByError<F>, M> {
        FaultLayer {
            config: self.config,
            error: Arc::new(ByError(make)),
            state: self.state,
            mode: PhantomData,
        }
    }

    /// What switches it on and off while it runs.
    pub fn switch(&self) -> FaultSwitch {
        FaultSwitch(self.state.clone())
    }

    /// What it has done so far.
    pub fn snapshot(&self) -> FaultSnapshot {
        self.state.snapshot()
    }
}

impl<X> Shared<X> {
    /// What befalls this request. `None`: nothing.
    pub(super) fn plan(&self, head: Option<Head<'_>>) -> Option<Plan> {
        let Config { rules, asking, dice } = &self.config;
        let asked = match (asking, head) {
            (Some(asking), Some(head)) => asking.read(head),
            _ => Ok(Vec::new()),
        };
        let asked = asked.unwrap_or_else(|_| {
            self.state.unreadable();
            Vec::new()
        });
        let plan = Plan::make(&asked, rules, *dice, self.state.number(), head);
        (!plan.is_none()).then_some(plan)
    }
}

impl<S, X, M> Layer<S> for FaultLayer<X, M> {
    type Service = Fault<S, X, M>;

    fn layer(&self, inner: S) -> Fault<S, X, M> {
        Fault {
            inner,
            shared: Arc::new(Shared {
                config: self.config.clone(),
                error: self.error.clone(),
                state: self.state.clone(),
            }),
            mode: PhantomData,
        }
    }
}

impl Default for FaultLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<X, M> Clone for FaultLayer<X, M> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            error: self.error.clone(),
            state: self.state.clone(),
            mode: PhantomData,
        }
    }
}

impl<X, M> fmt::Debug for FaultLayer<X, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.config.asking.as_ref().and_then(|asking| asking.name.as_ref());
        f.debug_struct("FaultLayer")
            .field("enabled", &self.state.is_on())
            .field("rules", &self.config.rules)
            .field("header", &header)
            .field("seed", &self.config.dice.seed)
            .finish_non_exhaustive()
    }
}

impl<X, M> Measured for FaultLayer<X, M> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        self.switch().measure(name, report);
    }
}

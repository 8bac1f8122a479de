use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{
    Hedge,
    counts::{Counts, HedgeSnapshot},
    delay::Delay,
};
use crate::{
    budget::Budgets,
    context::{Head, home::Homes},
    retry::{Rules, Settings},
    telemetry::{Measured, Report},
};

/// Sends another attempt where the first is slow, and takes whichever answers first. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`attempts`](Self::attempts) | 2 | in all |
/// | [`when`](Self::when) | by method, or an `idempotency-key` | which requests may be sent twice |
/// | [`budget`](Self::budget) | 10% of the requests, 1 a second, 10 at once | shared by clone |
/// | [`body_limit`](Self::body_limit) | 64 KiB | what is kept of a body to be sent again |
///
/// The budget, the counts and what is known of latencies are the layer's: all services made from it, and from its clones, share them.
#[derive(Clone)]
pub struct HedgeLayer {
    is_off: bool,
    delay: Delay,
    settings: Settings,
    rules: Arc<Rules>,
    counts: Arc<Counts>,
}

/// What a service and its calls hold.
pub(super) struct Shared {
    pub(super) is_off: bool,
    pub(super) delay: Delay,
    pub(super) settings: Settings,
    pub(super) rules: Arc<Rules>,
    pub(super) counts: Arc<Counts>,
}

impl HedgeLayer {
    /// Another attempt where the first has not answered after this long. Where that is what nearly all calls take, it is nearly no load.
    pub fn after(delay: Duration) -> Self {
        Self::of(Delay::Fixed(delay))
    }

    /// Another attempt where the first takes longer than this share of the recent calls of its destination: `0.95` is usual. Below
    /// 0.5 is taken for 0.5, above 0.999 for 0.999.
    ///
    /// A destination is the authority of the request's URI, and up to 1,000 are known. There is no hedge until 20 calls have been
    /// answered.
    pub fn quantile(share: f32) -> Self {
        Self::of(Delay::quantile(share))
    }

    /// One that does nothing but hand down a body of the same type.
    pub(crate) fn off() -> Self {
        let mut off = Self::after(Duration::MAX);
        off.is_off = true;
        off
    }

    fn of(delay: Delay) -> Self {
        let mut settings = Settings::interactive();
        settings.bounds.attempts = 2;
        Self {
            is_off: false,
            delay,
            settings,
            rules: Arc::default(),
            counts: Arc::default(),
        }
    }

    /// So many attempts in all, each after a further delay. 1 never hedges; 0 is taken for 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.settings.bounds.attempts = attempts.max(1);
        self
    }

    /// These requests may be sent twice too, whatever their method: the reads of a gRPC service, say.
    ///
    /// ```
    /// use buttress::HedgeLayer;
    ///
    /// let hedge = HedgeLayer::quantile(0.95).when(|head| head.uri.path() == "/shop.Catalogue/Get");
    /// ```
    #[must_use]
    pub fn when(mut self, is: impl for<'a> Fn(Head<'a>) -> bool + Send + Sync + 'static) -> Self {
        self.settings.idempotent = Some(Arc::new(is));
        self
    }

    /// Who pays: a clone of the budget that the retries have.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<Budgets>) -> Self {
        self.settings.budgets = budget.into();
        self
    }

    /// So many bytes of a request's body are kept, to be sent again. A larger body is sent once.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.settings.body_limit = bytes;
        self
    }

    /// What it has done so far.
    pub fn snapshot(&self) -> HedgeSnapshot {
        self.counts.snapshot()
    }

    /// The budgets that pay.
    pub fn budgets(&self) -> &Budgets {
        &self.settings.budgets
    }
}

impl<S> Layer<S> for HedgeLayer {
    type Service = Hedge<S>;

    fn layer(&self, inner: S) -> Hedge<S> {
        Hedge {
            inner,
            homes: Homes::new(Shared {
                is_off: self.is_off,
                delay: self.delay.clone(),
                settings: self.settings.clone(),
                rules: self.rules.clone(),
                counts: self.counts.clone(),
            }),
        }
    }
}

impl fmt::Debug for HedgeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeLayer")
            .field("delay", &self.delay)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Measured for HedgeLayer {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        self.snapshot().measure(name, report);
    }
}

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use tower_layer::Layer;

use super::{Attempt, Backoff, Classify, Retry, RetrySnapshot, Rules, Verdict, counts::Counts, settings::Settings};
use crate::{
    budget::Budgets,
    context::{Head, home::Homes},
    outcome::Hint,
    telemetry::{Measured, Report},
};

/// Tries again what failed, where that is safe, in time, and affordable. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`attempts`](Self::attempts) | 3 | in all |
/// | [`backoff`](Self::backoff) | 50 ms, doubling to 5 s, full jitter | where the upstream does not say |
/// | [`hint_cap`](Self::hint_cap) | 30 s | the longest wait an upstream may ask for |
/// | [`floor`](Self::floor) | 1 ms | what an attempt needs to be worth starting |
/// | [`budget`](Self::budget) | 10% of the requests, 1 a second, 10 at once | shared by clone |
/// | [`body_limit`](Self::body_limit) | 64 KiB | what is kept of a body to be sent again |
///
/// The budget and the counts are the layer's: all services made from it, and from its clones, share them.
///
/// ```
/// use buttress::{RetryLayer, retry::Backoff};
/// use http::StatusCode;
/// use std::time::Duration;
///
/// let retry = RetryLayer::http()
///     .attempts(4)
///     .backoff(Backoff::new(Duration::from_millis(20), Duration::from_secs(2)))
///     .retry_status(StatusCode::INTERNAL_SERVER_ERROR)
///     .idempotent(|head| head.uri.path() == "/search"); // a POST that changes nothing
/// assert_eq!(retry.snapshot().requests, 0);
/// ```
pub struct RetryLayer<C = Rules> {
    pub(super) settings: Settings,
    pub(super) classify: Arc<C>,
    pub(super) counts: Arc<Counts>,
}

/// What a service and its calls hold.
pub(super) struct Shared<C> {
    pub(super) settings: Settings,
    pub(super) classify: Arc<C>,
    pub(super) counts: Arc<Counts>,
}

impl RetryLayer {
    /// Each request by the rules of the protocol it speaks.
    pub fn new() -> Self {
        Self::of(Rules::default())
    }

    /// All requests by HTTP's rules: by method and status.
    pub fn http() -> Self {
        Self::of(Rules::http())
    }

    /// All requests by gRPC's rules: by status code.
    pub fn grpc() -> Self {
        Self::of(Rules::grpc())
    }

    /// Retries this HTTP status too, where the request is idempotent: 500, 409 or 425, say.
    #[must_use]
    pub fn retry_status(mut self, status: StatusCode) -> Self {
        self.rules().add_status(status);
        self
    }

    /// Retries this gRPC status too, in an answer that ends with its head: 10 (ABORTED), say. 1 and 4 are the caller's own end, and
    /// never retried.
    #[must_use]
    pub fn retry_code(mut self, code: i32) -> Self {
        self.rules().add_code(code);
        self.settings.codes = self.classify.codes().to_vec();
        self
    }

    /// Retries 429 and 503 with a hint for any method: the upstream that says when to come back did nothing yet.
    #[must_use]
    pub fn retry_hinted(mut self) -> Self {
        self.rules().retry_hinted();
        self
    }

    /// Believes an upstream's `x-should-retry: true`, whatever the rules say. `false` is always believed.
    #[must_use]
    pub fn trust_should_retry(mut self) -> Self {
        self.rules().trust_word();
        self
    }

    fn rules(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.classify)
    }
}

impl<C: Fn(&Attempt<'_>) -> Verdict> RetryLayer<C> {
    /// As this [classifier](Classify) says.
    pub fn with(classify: C) -> Self {
        Self::of(classify)
    }
}

impl<C> RetryLayer<C> {
    /// As this [classifier](Classify) says: a type of one's own, where a [closure](RetryLayer::with) will not do.
    pub fn of(classify: C) -> Self
    where
        C: Classify,
    {
        Self {
            settings: Settings::interactive(),
            classify: Arc::new(classify),
            counts: Arc::new(Counts::new()),
        }
    }

    /// For a queue's jobs, which nobody waits for: 10 attempts, a backoff of 1 s doubling to 5 min, hints up to 10 min. What fails for
    /// the tenth time is for the queue's dead letters.
    #[must_use]
    pub fn background(mut self) -> Self {
        self.settings.background();
        self
    }

    /// So many attempts in all. 1 never retries; 0 is taken for 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.settings.bounds.attempts = attempts.max(1);
        self
    }

    /// How long to wait where the upstream does not say.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.bounds.backoff = backoff;
        self
    }

    /// The longest wait that an upstream may ask for. Whoever asks for more is not asked again.
    #[must_use]
    pub fn hint_cap(mut self, cap: Duration) -> Self {
        self.settings.bounds.hint_cap = cap;
        self
    }

    /// What an attempt needs at least. Where less would remain of the deadline after the wait, the answer at hand is passed up now.
    #[must_use]
    pub fn floor(mut self, floor: Duration) -> Self {
        self.settings.bounds.floor = floor;
        self
    }

    /// Who pays: one [`Budget`](crate::budget::Budget), or [one for each destination](Budgets::per_destination). A clone of one that a
    /// hedge or another client has, too, is the same budget.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<Budgets>) -> Self {
        self.settings.budgets = budget.into();
        self
    }

    /// So many bytes of a request's body are kept, to be sent again. A larger body is sent once.
    ///
    /// All of the process together keep no more than [so much](crate::body::replay).
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.settings.body_limit = bytes;
        self
    }

    /// Does not retry what is a retry already: of which the headers `x-retry-attempt` or `grpc-previous-rpc-attempts`, or the
    /// [context](crate::Context::attempt), say so.
    #[must_use]
    pub fn only_first_attempts(mut self) -> Self {
        self.settings.only_first = true;
        self
    }

    /// These requests may be sent twice too, whatever their method: searches by `POST`, say.
    #[must_use]
    pub fn idempotent(mut self, is: impl for<'a> Fn(Head<'a>) -> bool + Send + Sync + 'static) -> Self {
        self.settings.idempotent = Some(Arc::new(is));
        self
    }

    /// Reads hints of another kind: `x-ratelimit-reset`, say. Where it finds none, the [known ones](Hint) are read.
    ///
    /// ```
    /// use buttress::{RetryLayer, outcome::Hint};
    /// use std::time::Duration;
    ///
    /// let retry = RetryLayer::http().read_hints(|headers| {
    ///     let seconds = headers.get("x-ratelimit-reset-after")?.to_str().ok()?.parse().ok()?;
    ///     Some(Hint::After(Duration::from_secs(seconds)))
    /// });
    /// ```
    #[must_use]
    pub fn read_hints(mut self, read: impl Fn(&HeaderMap) -> Option<Hint> + Send + Sync + 'static) -> Self {
        self.settings.hints = Some(Arc::new(read));
        self
    }

    /// What it has done so far.
    pub fn snapshot(&self) -> RetrySnapshot {
        self.counts.snapshot()
    }

    /// The budgets that pay.
    pub fn budgets(&self) -> &Budgets {
        &self.settings.budgets
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, C: Classify> Layer<S> for RetryLayer<C> {
    type Service = Retry<S, C>;

    fn layer(&self, inner: S) -> Retry<S, C> {
        Retry {
            inner,
            homes: Homes::new(Shared {
                settings: self.settings.clone(),
                classify: self.classify.clone(),
                counts: self.counts.clone(),
            }),
        }
    }
}

impl<C> Clone for RetryLayer<C> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            classify: self.classify.clone(),
            counts: self.counts.clone(),
        }
    }
}

impl<C> fmt::Debug for RetryLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<C> Measured for RetryLayer<C> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        self.snapshot().measure(name, report);
    }
}

use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{LoadShed, Memory, RuntimeLag, SetPoint, Signal, policy::Config};
use crate::{
    admission::{Admission, AdmissionLayer},
    context::Head,
    rejection::{Http, Typed},
};

/// What a caller that was shed is told to wait, unless the user says otherwise.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Rejects the least critical requests while the process is in trouble. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`new`](Self::new) | | with the signals [`RuntimeLag`] at 0.8 and [`Memory`] at 0.9 |
/// | [`without_signals`](Self::without_signals) | | with none |
/// | [`signal`](Self::signal), [`signal_at`](Self::signal_at) | | another signal; the worst of them counts |
/// | [`key`](Self::key) | random | whose requests live or die together |
/// | [`retry_after`](Self::retry_after) | 1 s | what a caller that is shed is told to wait |
///
/// The policy is made with the layer: services made from it and its clones share one floor. A setting makes another
/// layer, with a floor of its own. `poll_ready` is the inner service's.
pub struct LoadShedLayer<M = Http> {
    policy: Arc<LoadShed>,
    admission: AdmissionLayer<LoadShed, M>,
}

impl LoadShedLayer {
    /// Sheds while the runtime is late, or the memory nearly used up. Reads a few files to find out what limits the
    /// memory.
    pub fn new() -> Self {
        Self::without_signals()
            .signal(RuntimeLag::new())
            .signal_at(SetPoint::MEMORY, Memory::new())
    }

    /// Sheds nothing, until it is given signals, or is held by hand.
    pub fn without_signals() -> Self {
        Self::of(Config {
            signals: Vec::new(),
            key: None,
            retry_after: RETRY_AFTER,
        })
    }

    fn of(config: Config) -> Self {
        let policy = Arc::new(LoadShed::new(config));
        Self {
            admission: AdmissionLayer::shared(policy.clone()),
            policy,
        }
    }

    fn with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.policy.config().clone();
        change(&mut config);
        Self::of(config)
    }

    /// With this signal too, held at the level 0.8.
    #[must_use]
    pub fn signal(self, signal: impl Signal + 'static) -> Self {
        self.signal_at(SetPoint::default(), signal)
    }

    /// With this signal too, held at this level.
    ///
    /// ```
    /// use buttress::{LoadShedLayer, admission::shed::{CpuPressure, SetPoint}};
    ///
    /// let layer = LoadShedLayer::new().signal_at(SetPoint::new(0.95)?, CpuPressure::new());
    /// # Ok::<(), buttress::admission::shed::InvalidSetPoint>(())
    /// ```
    #[must_use]
    pub fn signal_at(self, set_point: SetPoint, signal: impl Signal + 'static) -> Self {
        self.with(|config| config.signals.push((set_point, Arc::new(signal))))
    }

    /// Whose request it is, as the [`hash`](super::hash) of a user or session: within a criticality, the requests of a
    /// key live or die together, so that some users are served in full where otherwise all would be in part. Every hour
    /// it is others' turn.
    ///
    /// ```
    /// use buttress::{LoadShedLayer, admission::shed::hash};
    ///
    /// let layer = LoadShedLayer::new().key(|head| Some(hash(head.headers.get("x-user-id")?)));
    /// ```
    ///
    /// Asked only while there is a floor, and only of requests in whose criticality it is. `None`: this one alone.
    #[must_use]
    pub fn key(self, key: impl Fn(Head<'_>) -> Option<u64> + Send + Sync + 'static) -> Self {
        self.with(|config| config.key = Some(Arc::new(key)))
    }

    /// What a caller that is shed is told to wait. On the wire it is rounded up, and spread by jitter.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.with(|config| config.retry_after = wait)
    }

    /// Around any other service: a rejection is an error, `S::Error: From<Rejection>`. A [`key`](Self::key) is not
    /// asked.
    pub fn typed(self) -> LoadShedLayer<Typed> {
        LoadShedLayer {
            policy: self.policy,
            admission: self.admission.typed(),
        }
    }
}

impl<M> LoadShedLayer<M> {
    /// The policy that all services of this layer share: to be watched, held by hand, and monitored.
    pub fn policy(&self) -> Arc<LoadShed> {
        self.policy.clone()
    }
}

impl Default for LoadShedLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, M> Layer<S> for LoadShedLayer<M> {
    type Service = Admission<S, LoadShed, M>;

    fn layer(&self, inner: S) -> Self::Service {
        self.admission.layer(inner)
    }
}

impl<M> Clone for LoadShedLayer<M> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            admission: self.admission.clone(),
        }
    }
}

impl<M> fmt::Debug for LoadShedLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadShedLayer")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

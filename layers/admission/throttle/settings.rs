use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;

use super::odds::Verdict;
use crate::{
    context::Criticality,
    destination::{KeyOf, MOST},
    outcome::{Class, Outcome},
    rejection::Reason,
};

/// How far back it looks, unless the user says otherwise.
const WINDOW: Duration = Duration::from_secs(120);

/// How much more than it accepts a destination is asked, by default.
const K: f64 = 2.0;

/// What the user takes for a refusal.
type Rejecting = dyn Fn(&Outcome) -> bool + Send + Sync;

/// What the user chose.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) ks: [f64; Criticality::ALL.len()],
    pub(super) window: Duration,
    pub(super) rejecting: Option<Arc<Rejecting>>,
    pub(super) each: Option<Each>,
}

/// A throttle for each destination, and for so many.
#[derive(Clone)]
pub(super) struct Each {
    pub(super) key_of: KeyOf,
    pub(super) most: usize,
}

impl Settings {
    /// All bands follow from that of critical requests.
    pub(super) fn set_k(&mut self, k: f64) {
        let k = sensible(k);
        self.ks = [1.0 + (k - 1.0) * 0.1, 1.0 + (k - 1.0) * 0.5, k, k];
    }

    pub(super) fn set_k_for(&mut self, band: Criticality, k: f64) {
        self.ks[band as usize] = sensible(k);
    }

    #[inline]
    pub(super) fn k(&self, band: Criticality) -> f64 {
        self.ks[band as usize]
    }

    /// What the destination made of a call that ended like this.
    #[inline]
    pub(super) fn verdict(&self, outcome: &Outcome) -> Verdict {
        match (outcome, &self.rejecting) {
            (Outcome::Cancelled(_), _) => Verdict::None,
            (Outcome::Rejected(rejection), _) if rejection.reason() != Reason::Unreachable => Verdict::None,
            (_, Some(rejecting)) if rejecting(outcome) => Verdict::Refused,
            (_, None) if is_refusal(outcome) => Verdict::Refused,
            _ => Verdict::Accepted,
        }
    }
}

/// Less than 1 would reject where nothing is refused; what is no number is the default.
fn sensible(k: f64) -> f64 {
    if k.is_nan() { K } else { k.clamp(1.0, 1e6) }
}

/// What says "too much", or says nothing at all.
fn is_refusal(outcome: &Outcome) -> bool {
    const RESOURCE_EXHAUSTED: i32 = 8;
    const UNAVAILABLE: i32 = 14;
    match outcome {
        Outcome::Failure(failure) => matches!(
            failure.class,
            Class::Http(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
                | Class::Grpc(RESOURCE_EXHAUSTED | UNAVAILABLE)
                | Class::Transport
        ),
        Outcome::Rejected(_) => true,
        _ => false,
    }
}

impl Default for Settings {
    fn default() -> Self {
        let mut this = Self {
            ks: [K; Criticality::ALL.len()],
            window: WINDOW,
            rejecting: None,
            each: None,
        };
        this.set_k(K);
        this
    }
}

impl Default for Each {
    fn default() -> Self {
        Self {
            key_of: KeyOf::default(),
            most: MOST,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("k", &self.ks)
            .field("window", &self.window)
            .field("destinations", &self.each.as_ref().map(|each| each.most))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{context::Cancelled, rejection::Rejection};

    #[test]
    #[expect(clippy::float_cmp, reason = "these are exact")]
    fn the_less_critical_are_given_less() {
        let mut settings = Settings::default();
        let ks = |settings: &Settings| Criticality::ALL.map(|band| settings.k(band));
        assert_eq!(ks(&settings), [1.1, 1.5, 2.0, 2.0]);
        settings.set_k(1.0);
        assert_eq!(ks(&settings), [1.0; 4]);
        settings.set_k(f64::NAN);
        settings.set_k_for(Criticality::Sheddable, -3.0);
        assert_eq!(ks(&settings), [1.0, 1.5, 2.0, 2.0]);
    }

    #[test]
    fn vectors() {
        let settings = Settings::default();
        let http = |status| Outcome::failure(Class::Http(StatusCode::from_u16(status).unwrap()));
        let ours = |reason| Outcome::Rejected(Rejection::new(reason, "below"));
        for (outcome, verdict) in [
            (Outcome::Success, Verdict::Accepted),
            (http(500), Verdict::Accepted),
            (http(504), Verdict::Accepted),
            (http(429), Verdict::Refused),
            (http(503), Verdict::Refused),
            (Outcome::failure(Class::Grpc(8)), Verdict::Refused),
            (Outcome::failure(Class::Grpc(14)), Verdict::Refused),
            (Outcome::failure(Class::Grpc(2)), Verdict::Accepted),
            (Outcome::failure(Class::MissingStatus), Verdict::Accepted),
            (Outcome::failure(Class::Body), Verdict::Accepted),
            (Outcome::failure(Class::Transport), Verdict::Refused),
            (Outcome::Cancelled(Cancelled::Disconnected), Verdict::None),
            (ours(Reason::Overloaded), Verdict::None),
            (ours(Reason::DeadlineExceeded), Verdict::None),
            (ours(Reason::Unreachable), Verdict::Refused),
        ] {
            assert_eq!(settings.verdict(&outcome), verdict, "{outcome:?}");
        }
    }

    #[test]
    fn the_user_knows_better() {
        let settings = Settings {
            rejecting: Some(Arc::new(|outcome| *outcome == Outcome::failure(Class::Body))),
            ..Settings::default()
        };
        assert_eq!(settings.verdict(&Outcome::failure(Class::Body)), Verdict::Refused);
        assert_eq!(settings.verdict(&Outcome::failure(Class::Transport)), Verdict::Accepted);
        let gone = Outcome::Cancelled(Cancelled::Disconnected);
        assert_eq!(settings.verdict(&gone), Verdict::None);
    }
}

use std::{
    hash::RandomState,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header::RETRY_AFTER};
use proptest::prelude::*;

use super::super::{
    Quota, Quotas,
    fields::{self, RATELIMIT, RATELIMIT_POLICY},
    gcra::{self, Place},
};
use crate::{
    Rejection,
    admission::{Admit, Arrival, Decision, rate::RateLimitLayer},
    outcome::Hint,
    rejection::Protocol,
};

const S: u64 = 1_000_000_000;

#[test]
fn policies_are_told_as_they_are_written() {
    let tells = |quotas: Quotas| fields::policy(&quotas).map(|field| field.to_str().unwrap().to_owned());
    assert_eq!(
        tells(
            [
                Quota::per_second(100).burst(20),
                Quota::per_hour(1_000).named("hourly \"b\"")
            ]
            .into()
        )
        .unwrap(),
        r#""per-second";q=100;w=1, "hourly \"b\"";q=1000;w=3600"#
    );
    assert_eq!(
        tells(Quota::every(Duration::from_millis(300)).into()).unwrap(),
        r#""quota";q=1"#
    );
    assert_eq!(
        tells(Quota::per_second(0).named("né").into()).unwrap(),
        r#""quota";q=0;w=1"#
    );
    assert_eq!(tells([].into()), None);
}

#[test]
fn what_remains_is_told_with_the_time_until_there_is_more() {
    let quotas = Quotas::from([Quota::per_minute(6).burst(2), Quota::per_second(0)]);
    let tells = |tat, now| {
        fields::standing(&quotas, &[tat, 0, 0, 0], now)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        tells(0, 5 * S),
        r#""per-minute";r=2, "per-second";r=0"#,
        "nothing more comes where all is there"
    );
    assert_eq!(tells(15 * S, 5 * S), r#""per-minute";r=1;t=10, "per-second";r=0"#);
    assert_eq!(tells(15 * S, 5 * S + 1), r#""per-minute";r=1;t=10, "per-second";r=0"#);
    assert_eq!(tells(25 * S, 5 * S), r#""per-minute";r=0;t=10, "per-second";r=0"#);
    assert_eq!(
        tells(45 * S, 5 * S),
        r#""per-minute";r=0;t=30, "per-second";r=0"#,
        "behind others that wait"
    );
}

/// The headers of the rejection that `quotas` end in.
fn rejected(quotas: Quotas) -> (Rejection, HeaderMap) {
    let policy = RateLimitLayer::new(quotas).policy();
    let arrival = Arrival::new(None);
    for _ in 0..1_000 {
        if let Decision::No(rejection) = policy.admit(&arrival) {
            let response = rejection.clone().into_answer(&Protocol::Http);
            return (rejection, response.into_parts().0.headers);
        }
    }
    panic!("never rejected");
}

proptest! {
    /// What we say is what we hear.
    #[test]
    fn hints_agree_with_the_fields(a in 1..40u32, b in 1..40u32, period in 1..100_000u64) {
        let period = Duration::from_millis(period);
        let quotas = Quotas::from([Quota::per(a, period).named("a"), Quota::per(b, period * 7).named("b")]);
        let (rejection, mut headers) = rejected(quotas);
        let wait = rejection.wait().unwrap();
        let seconds = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));

        // The draft, section 5: `retry-after` is not earlier than `t`.
        let Some(Hint::After(after)) = Hint::http(&headers, || SystemTime::UNIX_EPOCH) else { panic!("no hint") };
        prop_assert!(after >= seconds);
        headers.remove(RETRY_AFTER);
        prop_assert_eq!(Hint::http(&headers, || SystemTime::UNIX_EPOCH), Some(Hint::After(seconds)));
        prop_assert_eq!(&headers[RATELIMIT_POLICY], &fields::policy(&quotas).unwrap());
    }
}

#[test]
fn a_closed_quota_tells_not_to_retry() {
    let (rejection, headers) = rejected(Quota::per_second(0).into());
    assert!(!rejection.may_retry());
    assert_eq!(headers["x-should-retry"], "false");
    assert_eq!(headers[RATELIMIT], r#""per-second";r=0"#);
    assert!(!headers.contains_key(RETRY_AFTER));
}

#[test]
fn keys_hash_as_they_equal() {
    use super::super::state::Key;
    let hasher = RandomState::new();
    assert_eq!(Key::new(&hasher, "a"), Key::new(&hasher, &String::from("a")));
    assert_ne!(Key::new(&hasher, "a"), Key::new(&hasher, "b"));
    assert_ne!(Key::new(&hasher, "a"), Key::new(&RandomState::new(), "a"));
}

#[test]
fn no_quota_admits_all() {
    assert!(gcra::grant(&[], &mut Place::default(), 7, 7).is_ok());
}

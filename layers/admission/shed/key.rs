//! A request's place within its band: the same for all requests of a key, and another every hour.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use crate::context::Head;

/// What says to whom a request belongs: the hash of a user, a session, a tenant.
pub(super) type Key = dyn Fn(Head<'_>) -> Option<u64> + Send + Sync;

/// How long a key keeps its place. DAGOR does so hourly: otherwise the same users would suffer each time.
const EPOCH: Duration = Duration::from_secs(3600);

/// The hash of a key, for [`LoadShedLayer::key`](super::LoadShedLayer::key): the same in every process of one build.
///
/// It is no secret: a caller that can choose its key can choose its luck. Hash what the server itself knows of the
/// caller.
///
/// ```
/// use buttress::{LoadShedLayer, admission::shed::hash};
///
/// /// Put into the extensions by whoever knows it: the authentication.
/// #[derive(Clone, Hash)]
/// struct User(u64);
///
/// let shed = LoadShedLayer::new().key(|head| head.extensions.get::<User>().map(hash));
/// ```
pub fn hash(key: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Where a key stands in the epoch that `uptime` is in.
pub(super) fn place(key: u64, uptime: Duration) -> u64 {
    let epoch = uptime.as_secs() / EPOCH.as_secs();
    // The finaliser of splitmix64: whatever the user's hash is worth, its bits are spread.
    let mut place = key ^ epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    place = (place ^ (place >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    place = (place ^ (place >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    place ^ (place >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of these keys, those in the lower half of the scale.
    fn lower(uptime: Duration) -> Vec<u64> {
        (0..1000).filter(|key| place(*key, uptime) < u64::MAX / 2).collect()
    }

    #[test]
    fn keys_are_spread_evenly_and_anew_every_hour() {
        let first = lower(Duration::ZERO);
        assert!(
            (450..550).contains(&first.len()),
            "even without a good hash: {}",
            first.len()
        );
        assert_eq!(first, lower(Duration::from_secs(3599)));
        let next = lower(EPOCH);
        let both = next.iter().filter(|key| first.contains(key)).count();
        assert!((200..300).contains(&both), "{both}");
    }

    #[test]
    fn a_hash_is_of_the_key_alone() {
        assert_eq!(hash("alice"), hash(String::from("alice")));
        assert_ne!(hash("alice"), hash("bob"));
    }
}

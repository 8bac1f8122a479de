//! The `ratelimit` and `ratelimit-policy` fields ([draft-ietf-httpapi-ratelimit-headers-10]).
//!
//! [draft-ietf-httpapi-ratelimit-headers-10]: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10

use http::{HeaderName, HeaderValue};
use sfv::{Integer, KeyRef, ListSerializer, StringRef, key_ref, string_ref};

use super::{
    Quota, Quotas,
    gcra::{self, Tats},
};

pub(super) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// As long as most items are.
const ITEM: usize = 40;

/// What the policies are: the quota `q` as it is written, and its window `w` in whole seconds.
pub(super) fn policy(quotas: &Quotas) -> Option<HeaderValue> {
    list(quotas.as_slice().iter().map(|quota| {
        let (count, window) = quota.window();
        (quota, [(key_ref("q"), Some(count)), (key_ref("w"), window)])
    }))
}

/// Where the caller stands: what remains, `r`, and in how many seconds there is more, `t`, rounded up.
pub(super) fn standing(quotas: &Quotas, tats: &Tats, now: u64) -> Option<HeaderValue> {
    list(quotas.as_slice().iter().zip(tats).map(|(quota, tat)| {
        let (remaining, more) = gcra::left(quota, *tat, now);
        let seconds = more.map(|nanos| nanos.div_ceil(1_000_000_000));
        (quota, [(key_ref("r"), Some(remaining)), (key_ref("t"), seconds)])
    }))
}

fn list<'a>(items: impl Iterator<Item = (&'a Quota, [(&'static KeyRef, Option<u64>); 2])>) -> Option<HeaderValue> {
    let mut text = String::with_capacity(items.size_hint().0 * ITEM);
    let mut field = ListSerializer::with_buffer(&mut text);
    for (quota, parameters) in items {
        let name = StringRef::from_str(quota.name()).unwrap_or(string_ref("quota"));
        let mut item = field.bare_item(name);
        for (key, value) in parameters {
            if let Some(value) = value.and_then(|value| Integer::try_from(value).ok()) {
                item = item.parameter(key, value);
            }
        }
        let _ = item.finish();
    }
    field.finish()?;
    text.try_into().ok()
}

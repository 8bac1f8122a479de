//! What a request asks for itself: a dictionary of [RFC 9651], `delay=250, abort=503`.
//!
//! [RFC 9651]: https://www.rfc-editor.org/rfc/rfc9651#section-3.2

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::{Delay, abort::Abort, pace::Pace, rule::Kind};
use crate::context::Head;

type Trust = dyn for<'a> Fn(Head<'a>) -> bool + Send + Sync;

/// The longest delay that a request can ask for.
const MOST: Duration = Duration::from_secs(30);

/// A header that is read, and whose.
#[derive(Clone)]
pub(super) struct Asking {
    /// `None`: whom to trust was said, and not yet in what.
    pub(super) name: Option<HeaderName>,
    pub(super) trust: Option<Arc<Trust>>,
}

/// It does not say what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

impl Asking {
    /// What this request asks for, if it may.
    pub(super) fn read(&self, head: Head<'_>) -> Result<Vec<Kind>, Unreadable> {
        let Some(name) = &self.name else { return Ok(Vec::new()) };
        if !head.headers.contains_key(name) || self.trust.as_ref().is_some_and(|trust| !trust(head)) {
            return Ok(Vec::new());
        }
        // A header in several lines is one value (RFC 9651, section 4.2).
        let lines: Vec<_> = head.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        parse(&lines.join(&b", "[..]))
    }
}

/// All of it, or nothing: half of what was asked for would be another test.
fn parse(value: &[u8]) -> Result<Vec<Kind>, Unreadable> {
    let asked: Dictionary = Parser::new(value).parse().map_err(|_| Unreadable)?;
    let kind = |(name, entry): (&sfv::Key, &ListEntry)| {
        let ListEntry::Item(item) = entry else { return None };
        let natural = || match item.bare_item {
            BareItem::Integer(number) => u64::try_from(i64::from(number)).ok(),
            _ => None,
        };
        Some(match (name.as_str(), &item.bare_item) {
            ("delay", _) => Kind::Delay(Delay::fixed(Duration::from_millis(natural()?).min(MOST))),
            ("abort", _) => Kind::Abort(Abort::Status(status(natural()?)?)),
            ("grpc", _) => Kind::Abort(Abort::Grpc(
                i32::try_from(natural()?).ok().filter(|code| (1..=16).contains(code))?,
            )),
            ("reset", BareItem::Boolean(true)) => Kind::Reset,
            ("reset-body", _) => Kind::ResetBody(natural()?),
            ("slow-body", _) => Kind::SlowBody(Pace::rate(natural()?)),
            ("pause-body", _) => Kind::SlowBody(Pace::Pause(Duration::from_millis(natural()?).min(MOST))),
            _ => return None,
        })
    };
    asked.iter().map(kind).collect::<Option<_>>().ok_or(Unreadable)
}

/// One that ends a request: 200 to 599. Of those below, no answer comes of it.
fn status(number: u64) -> Option<StatusCode> {
    let number = u16::try_from(number)
        .ok()
        .filter(|number| (200..600).contains(number))?;
    StatusCode::from_u16(number).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_can_be_asked_for() {
        let of = |value: &str| parse(value.as_bytes());
        let one = |kind| Ok(vec![kind]);
        assert_eq!(of("delay=250"), one(Kind::Delay(Delay::fixed(250 * MS))));
        assert_eq!(of("delay=999999999"), one(Kind::Delay(Delay::fixed(MOST))));
        assert_eq!(
            of("abort=503"),
            one(Kind::Abort(Abort::Status(StatusCode::SERVICE_UNAVAILABLE)))
        );
        assert_eq!(of("grpc=14"), one(Kind::Abort(Abort::Grpc(14))));
        assert_eq!(of("reset"), one(Kind::Reset));
        assert_eq!(of("reset-body=1024"), one(Kind::ResetBody(1024)));
        assert_eq!(of("slow-body=0"), one(Kind::SlowBody(Pace::Rate(1))));
        assert_eq!(of("pause-body=5"), one(Kind::SlowBody(Pace::Pause(5 * MS))));
        assert_eq!(of(""), Ok(Vec::new()));
        assert_eq!(of("delay=1, abort=500").map(|kinds| kinds.len()), Ok(2));
        for bad in [
            "delay",
            "delay=-1",
            "delay=1.5",
            "delay=\"1\"",
            "abort=99",
            "abort=700",
            "grpc=0",
            "grpc=17",
            "reset=?0",
            "reset=3",
            "what=1",
            "delay=1, what",
            "delay=(1 2)",
            "=",
            "delay=1,",
        ] {
            assert_eq!(of(bad), Err(Unreadable), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value: Vec<u8>) {
            let _ = parse(&value);
        }

        #[test]
        fn no_words_panic(value in "(delay|abort|grpc|reset|slow-body|x)(=-?[0-9]{0,16})?(, (delay|reset-body|pause-body)=[0-9]{1,16})?") {
            let _ = parse(value.as_bytes());
        }
    }
}

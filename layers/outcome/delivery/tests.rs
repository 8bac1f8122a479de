use std::{
    error, fmt, io,
    io::ErrorKind::{AddrNotAvailable, BrokenPipe, ConnectionRefused, ConnectionReset, TimedOut},
    sync::Arc,
};

use super::*;

/// An error of somebody's own.
#[derive(Debug)]
struct Because(BoxError);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection refused")
    }
}

impl error::Error for Because {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

fn refused() -> io::Error {
    ConnectionRefused.into()
}

#[test]
fn only_connecting_is_refused() {
    for (kind, expected) in [
        (ConnectionRefused, Delivery::NotSent),
        (AddrNotAvailable, Delivery::NotSent),
        (ConnectionReset, Delivery::Unknown),
        (BrokenPipe, Delivery::Unknown),
        (TimedOut, Delivery::Unknown),
    ] {
        assert_eq!(Delivery::of(&io::Error::from(kind)), expected, "{kind}");
    }
}

#[test]
fn the_cause_is_found_behind_other_errors() {
    assert_eq!(Delivery::of(&Because(refused().into())), Delivery::NotSent);
    assert_eq!(
        Delivery::of(&Because(Because(refused().into()).into())),
        Delivery::NotSent
    );
    // `io::Error::source` passes over the error within.
    assert_eq!(Delivery::of(&io::Error::other(refused())), Delivery::NotSent);
    assert_eq!(
        Delivery::of(&io::Error::new(BrokenPipe, Because(refused().into()))),
        Delivery::NotSent
    );
}

#[test]
fn what_an_error_says_is_for_people() {
    assert_eq!(Delivery::of(&Because("connection refused".into())), Delivery::Unknown);
}

#[test]
fn an_error_is_known_in_its_box() {
    let boxed: BoxError = refused().into();
    assert_eq!(Delivery::of_any(&boxed), Delivery::NotSent);
    let boxed: Box<dyn error::Error + Send> = Box::new(refused());
    assert_eq!(Delivery::of_any(&boxed), Delivery::NotSent);
    let boxed: Box<dyn error::Error> = Box::new(refused());
    assert_eq!(Delivery::of_any(&boxed), Delivery::NotSent);
    let shared: Arc<dyn error::Error + Send + Sync> = Arc::new(refused());
    assert_eq!(Delivery::of_any(&shared), Delivery::NotSent);
    assert_eq!(Delivery::of_any(&refused()), Delivery::NotSent);
}

#[test]
fn of_what_is_not_known_nothing_is_known() {
    assert_eq!(Delivery::of_any(&"connection refused"), Delivery::Unknown);
    assert_eq!(Delivery::of_any(&Because(refused().into())), Delivery::Unknown);
}

#[cfg(feature = "hyper")]
#[test]
fn what_befalls_a_stream_is_known_by_who_ended_it() {
    // A reason alone is one that somebody made up here.
    let made_up = h2::Error::from(h2::Reason::REFUSED_STREAM);
    assert_eq!(Delivery::of_any(&made_up), Delivery::Unknown);
}

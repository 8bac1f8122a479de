//! What reqwest's errors say: nothing, unless its client follows no redirects.

use std::{error, fmt};

use hyper_util::client::legacy;

use super::Delivery;
use crate::body::BoxError;

/// A connection that could not be made for a client that follows no redirects: so none was made before it either.
#[derive(Debug)]
pub(crate) struct Unconnected(pub(crate) BoxError);

impl fmt::Display for Unconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for Unconnected {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

/// The verdict on reqwest's error is final: what is behind it came at one of its hops, and it does not say which.
pub(super) fn judge(error: &(dyn error::Error + 'static)) -> Option<Delivery> {
    error.downcast_ref::<reqwest::Error>()?;
    let client = behind(error).find_map(|error| error.downcast_ref::<legacy::Error>());
    // No further: behind a request that was sent there may be a body, and in it another client's errors.
    let connecting = client.filter(|error| error.is_connect());
    let unconnected = connecting.is_some_and(|error| behind(error).any(<dyn error::Error>::is::<Unconnected>));
    Some(if unconnected {
        Delivery::NotSent
    } else {
        Delivery::Unknown
    })
}

fn behind<'a>(error: &'a (dyn error::Error + 'static)) -> impl Iterator<Item = &'a (dyn error::Error + 'static)> {
    std::iter::successors(error.source(), |error| error.source())
}

use std::{error::Error, sync::Arc};

use tonic::{Code, Status, metadata::MetadataMap};

use crate::{
    context::Cancelled,
    rejection::{Rejection, ResponseExt},
};

/// What gRPC makes of the rejection: its [code](crate::rejection::Reason::grpc_status), its message, and when to come back, in
/// `grpc-retry-pushback-ms`. The rejection is the status's source.
impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let code = Code::from_bytes(rejection.reason().grpc_status().as_bytes());
        let metadata = MetadataMap::from_headers(rejection.grpc_metadata());
        let mut status = Self::with_metadata(code, rejection.message(), metadata);
        status.set_source(Arc::new(rejection));
        status
    }
}

/// As the [`Rejection`] that it is.
impl From<Cancelled> for Status {
    fn from(why: Cancelled) -> Self {
        Rejection::from(why).into()
    }
}

/// Whether a layer of this process made it. A client's status knows that if its stack is in a [`ClientLayer`](super::ClientLayer).
impl ResponseExt for Status {
    fn rejection(&self) -> Option<&Rejection> {
        let mut cause = self.source();
        while let Some(error) = cause {
            if let Some(rejection) = error.downcast_ref() {
                return Some(rejection);
            }
            cause = error.source();
        }
        None
    }

    fn error_for_rejection(self) -> Result<Self, Rejection> {
        match self.rejection() {
            Some(rejection) => Err(rejection.clone()),
            None => Ok(self),
        }
    }
}

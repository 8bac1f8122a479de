use std::{future::Future, pin::Pin};

use crate::body::BoxError;

/// What is to be closed at the end.
pub(super) struct Hook {
    pub(super) name: &'static str,
    pub(super) close: Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>,
}

impl Hook {
    pub(super) fn new<F>(name: &'static str, close: F) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self {
            name,
            close: Box::pin(close),
        }
    }
}

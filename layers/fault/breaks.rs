//! What a call fails with that is reset before there is an answer.

use std::io;

use crate::body::BoxError;

/// What a call fails with that is [reset](super::Rule::reset). [`InBody`] has no error, and [`ByError`] one of the user's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` makes no error that `{E}` is",
    note = "the function given to `FaultLayer::error` must make the error of the service within"
)]
pub trait Breaks<E> {
    /// The error. `None`: there is none.
    fn error(&self) -> Option<E>;
}

/// Without an error: an answer is begun, and breaks off before its first byte. The default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InBody(());

/// With an error that a function makes.
#[derive(Clone, Copy, Debug)]
pub struct ByError<F>(pub(super) F);

impl<E> Breaks<E> for InBody {
    fn error(&self) -> Option<E> {
        None
    }
}

impl<E, F: Fn() -> E> Breaks<E> for ByError<F> {
    fn error(&self) -> Option<E> {
        Some((self.0)())
    }
}

/// As a connection breaks.
pub(super) fn reset() -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, "fault injected").into()
}

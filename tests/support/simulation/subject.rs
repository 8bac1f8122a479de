//! Who is put before the service.

use buttress::admission::{Admit, concurrency::ConcurrencyLimit};

/// A policy that is looked at.
pub(crate) trait Subject: Admit {
    /// Its limit now.
    fn limit(&self) -> usize;
}

impl Subject for ConcurrencyLimit {
    fn limit(&self) -> usize {
        self.snapshot().limit
    }
}

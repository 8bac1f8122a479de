//! A permit twice, and a context's owner twice.

use buttress::{Context, admission::concurrency::ConcurrencyPermit};

fn twice(permit: &ConcurrencyPermit) -> ConcurrencyPermit {
    permit.clone()
}

fn main() {
    let owner = Context::current().child();
    let _ = (owner.clone(), owner);
}

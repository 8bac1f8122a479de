//! The owner of a context, twice: whoever drops one ends the work of the other.

use buttress::{Context, ContextGuard};

fn twice() -> (ContextGuard, ContextGuard) {
    let owner = Context::current().child();
    (owner.clone(), owner)
}

fn main() {}

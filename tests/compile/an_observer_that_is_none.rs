//! A closure of something else than the end of a call.

use buttress::{ObserveLayer, outcome::Outcome};

struct Log;

fn main() {
    let _ = ObserveLayer::server(Log);
    let _ = ObserveLayer::client(|_: &Outcome| {});
}

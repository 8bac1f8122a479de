//! A policy that does not implement `Admit`.

use buttress::AdmissionLayer;

struct Gate {
    open: bool,
}

fn main() {
    let _ = AdmissionLayer::new(Gate { open: true });
}

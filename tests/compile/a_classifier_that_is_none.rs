//! A retry that classifies by a type which cannot.

use buttress::RetryLayer;

struct Mine;

fn main() {
    let _ = RetryLayer::of(Mine);
}

//! A retry that classifies by a type of one's own, which cannot.

use buttress::RetryLayer;
use tower::Layer;

struct Mine;

fn main() {
    let _ = RetryLayer::of(Mine).layer(());
}

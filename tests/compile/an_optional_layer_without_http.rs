//! An optional layer around a service without HTTP.

use std::time::Duration;

use buttress::{BoxError, TimeoutLayer, optional};
use tower::{Layer, ServiceExt, service_fn};

fn main() {
    let store = service_fn(|_: u64| async { Ok::<_, BoxError>("value") });
    let layer = optional(Some(TimeoutLayer::new(Duration::from_secs(1)).typed()));
    let _ = layer.layer(store).oneshot(7);
}

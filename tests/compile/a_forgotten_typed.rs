//! A service without HTTP in a layer that was not told so.

use std::time::Duration;

use buttress::{BoxError, TimeoutLayer};
use tower::{Layer, ServiceExt, service_fn};

fn main() {
    let store = service_fn(|_: u64| async { Ok::<_, BoxError>("value") });
    let timed = TimeoutLayer::new(Duration::from_secs(1)).layer(store);
    let _ = timed.oneshot(7);
}

//! A service without HTTP whose error has no room for a rejection.

use std::{io, time::Duration};

use buttress::TimeoutLayer;
use tower::{Layer, ServiceExt, service_fn};

fn main() {
    let store = service_fn(|_: u64| async { Ok::<_, io::Error>("value") });
    let timed = TimeoutLayer::new(Duration::from_secs(1)).typed().layer(store);
    let _ = timed.oneshot(7);
}

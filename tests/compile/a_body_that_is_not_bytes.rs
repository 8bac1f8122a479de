//! A response whose body's data is not `Bytes`.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use buttress::DeadlineLayer;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

fn main() {
    let service = service_fn(|_: Request<String>| async {
        Ok::<_, Infallible>(Response::new(Full::new(VecDeque::<u8>::new())))
    });
    let service = DeadlineLayer::new(Duration::from_secs(1)).layer(service);
    let _ = service.oneshot(Request::new(String::new()));
}

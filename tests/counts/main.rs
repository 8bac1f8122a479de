//! What each layer counts, and what is told of a call in it, for each way in which a call can end.
//!
//! The tables are the specification: a row is an ending, the events that are heard in the call, and all that the layer then says of
//! itself that is not 0. So a gauge that sticks, a call that is counted twice, and one that is not counted are all a line too much or
//! one that is missing. Of each call it is held besides that it ended as the row says and was recorded so, once, and is in flight no more.
#![cfg(feature = "metrics")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

#[path = "../support/leakless.rs"]
mod leakless;
#[path = "../support/page.rs"]
mod page;

mod admission;
mod attempts;
mod book;
mod flow;
mod handler;
mod process;

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    time::Duration,
};

use buttress::{
    ObserveLayer,
    metrics::CallMetrics,
    telemetry::{Measure, Measured},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{task::yield_now, time::timeout};
use tower::{Layer, Service};

use self::{
    book::Book,
    handler::{Broken, Handler},
    page::Page,
};

/// How a call ends, as far as its caller and the innermost service have a say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Success,
    /// By a 503.
    Failure,
    /// The layer rejects it; where it never does, the handler.
    Rejected,
    /// The handler answers in an hour.
    Late,
    /// The body comes to its end in an hour.
    LateInBody,
    LeftAtHead,
    LeftInBody,
    Panic,
}

use Ending::{Failure, Late, LateInBody, LeftAtHead, LeftInBody, Panic, Rejected, Success};

/// Events, and all that is measured and not 0.
type Row<'a> = (Ending, &'a [&'a str], &'a [&'a str]);

/// Those endings that leave nothing behind but that the call ended.
fn nothing<'a>(endings: &[Ending]) -> Vec<Row<'a>> {
    endings.iter().map(|ending| (*ending, &[][..], &[][..])).collect()
}

/// A layer as it is before the call, and what can be asked of it. For a layer that counts nothing, that is `()`.
struct Subject<L> {
    layer: L,
    measured: Vec<Box<dyn Measured>>,
    request: Request<Empty<Bytes>>,
}

impl<L> Subject<L> {
    fn new(layer: L) -> Self {
        Self {
            layer,
            measured: Vec::new(),
            request: Request::new(Empty::new()),
        }
    }

    fn measured(mut self, measured: impl Measured + 'static) -> Self {
        self.measured.push(Box::new(measured));
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    /// All that is not 0, as `instrument{attributes} value`, without `buttress.` and the name that it is asked by.
    fn counts(&self) -> Vec<String> {
        let mut all = Vec::new();
        for measured in &self.measured {
            measured.measure("it", &mut |measure: &Measure<'_>| {
                if measure.value != 0.0 {
                    all.push(written(measure));
                }
            });
        }
        all
    }
}

fn written(measure: &Measure<'_>) -> String {
    let told = measure.attributes.iter().filter(|(_, value)| *value != "it");
    let told: Vec<_> = told.map(|(key, value)| format!("{key}={value}")).collect();
    let name = measure.instrument.name.trim_start_matches("buttress.");
    let told = if told.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", told.join(","))
    };
    format!("{name}{told} {}", (measure.value * 1_000.0).round() / 1_000.0)
}

/// Has one call end so in a layer, which is made anew for each row, and holds what is told against the row.
async fn assert_counts<L, B>(rows: &[Row<'_>], make: impl AsyncFn(Ending) -> Subject<L>)
where
    L: Layer<Handler, Service: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Broken>>,
    B: http_body::Body<Data = Bytes, Error: Into<buttress::BoxError>> + Unpin,
{
    for &(ending, events, counts) in rows {
        let mut subject = make(ending).await;
        let (book, recorder) = (Book::default(), PrometheusBuilder::new().build_recorder());
        let handle = recorder.handle();
        let observe = ObserveLayer::server((book.clone(), CallMetrics::with_recorder(recorder)));
        let mut service = observe.layer(subject.layer.layer(Handler(ending)));
        let request = std::mem::replace(&mut subject.request, Request::new(Empty::new()));
        end(ending, &mut service, request).await;
        // What was told to end has.
        yield_now().await;

        let (told, ended) = book.read();
        assert_eq!(told, events, "{ending:?}");
        assert_eq!(subject.counts(), counts, "{ending:?}");
        assert_ended(ending, &ended);
        let page = Page::parse(&handle.render());
        let value = |name: &str| page.value(name, &[]).unwrap_or(0.0).to_string();
        let rejections = told.iter().filter(|event| event.starts_with("rejected")).count();
        let is_left = matches!(ending, LeftAtHead | LeftInBody);
        for (name, count) in [
            ("http_server_request_duration_count", 1),
            ("http_server_active_requests", 0),
            ("buttress_rejected", rejections),
            ("buttress_request_cancelled", usize::from(is_left)),
        ] {
            assert_eq!(value(name), count.to_string(), "{ending:?}: {name}");
        }
    }
}

/// Calls, and lets it end so.
async fn end<S, B>(ending: Ending, service: &mut S, request: Request<Empty<Bytes>>)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Broken>,
    B: http_body::Body<Data = Bytes, Error: Into<buttress::BoxError>> + Unpin,
{
    poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    let mut call = pin!(service.call(request));
    if ending == Panic {
        let panicked = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
            polled.map_or_else(|_| std::task::Poll::Ready(true), |polled| polled.map(|_| false))
        });
        assert!(panicked.await, "it did not panic");
        return;
    }
    let soon = Duration::from_millis(1);
    if ending == LeftAtHead {
        assert!(timeout(soon, call).await.is_err());
        return;
    }
    let mut body = call.await.unwrap().into_body();
    if ending == LeftInBody {
        assert!(body.frame().await.unwrap().is_ok());
        assert!(timeout(soon, body.frame()).await.is_err());
        return;
    }
    while let Some(Ok(_)) = body.frame().await {}
}

fn assert_ended(ending: Ending, ended: &str) {
    let expected = match ending {
        Success => "success in the body",
        Failure => "failure 503 in the body",
        LeftAtHead => "cancelled client_disconnect at the head",
        LeftInBody => "cancelled client_disconnect in the body",
        Panic => "failure panic at the head",
        Rejected | Late | LateInBody => "rejected",
    };
    assert!(ended.starts_with(expected), "{ending:?}: {ended}");
}

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use proptest::prelude::*;

use super::*;

/// A body of these frames, which knows or does not know its end and its size.
struct Frames {
    left: VecDeque<Result<Frame<Bytes>, BoxError>>,
    knows_its_end: bool,
    declared: Option<u64>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.left.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn frames(frames: impl IntoIterator<Item = Result<Frame<Bytes>, BoxError>>) -> Frames {
    Frames {
        left: frames.into_iter().collect(),
        knows_its_end: false,
        declared: None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "an element of a list of results")]
fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[derive(Clone, Default)]
struct Heard {
    ends: Arc<Mutex<Vec<&'static str>>>,
    awaits_trailers: bool,
}

impl Heard {
    fn ends(&self) -> Vec<&'static str> {
        self.ends.lock().unwrap().clone()
    }
}

impl Watch for Heard {
    fn awaits_trailers(&self) -> bool {
        self.awaits_trailers
    }

    fn end(self, end: End<'_>) {
        self.ends.lock().unwrap().push(match end {
            End::Complete => "complete",
            End::Trailers(_) => "trailers",
            End::Cut { layer } => layer,
            End::Error(_) => "error",
            End::Dropped => "dropped",
        });
    }
}

fn follow<B>(body: B) -> (Heard, Pin<Box<Tracked<B, Heard>>>)
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    follow_response(Response::new(body), false)
}

fn follow_response<B>(response: Response<B>, to_head: bool) -> (Heard, Pin<Box<Tracked<B, Heard>>>)
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let heard = Heard::default();
    let body = Tracked::follow(response, to_head, heard.clone()).into_body();
    (heard, Box::pin(body))
}

async fn next<B: Body + Unpin>(body: &mut B) -> Option<Result<Frame<B::Data>, B::Error>> {
    body.frame().await
}

#[tokio::test]
async fn a_body_read_to_its_end_is_complete_once() {
    let (heard, mut body) = follow(frames([data("a"), data("b")]));
    while let Some(frame) = next(&mut body).await {
        frame.unwrap();
    }
    assert!(next(&mut body).await.is_none());
    drop(body);
    assert_eq!(heard.ends(), ["complete"]);
}

#[tokio::test]
async fn a_trailers_frame_is_the_end() {
    let (heard, mut body) = follow(frames([data("a"), Ok(Frame::trailers(HeaderMap::new()))]));
    next(&mut body).await;
    assert!(heard.ends().is_empty());
    next(&mut body).await;
    assert_eq!(heard.ends(), ["trailers"]);
}

#[tokio::test]
async fn the_last_frame_is_the_end_where_the_body_knows() {
    let (heard, mut body) = follow(Frames {
        knows_its_end: true,
        ..frames([data("a")])
    });
    next(&mut body).await;
    assert_eq!(heard.ends(), ["complete"]);
}

#[tokio::test]
async fn the_last_declared_byte_is_the_end() {
    let (heard, mut body) = follow(Frames {
        declared: Some(2),
        ..frames([data("a"), data("b")])
    });
    next(&mut body).await;
    assert!(heard.ends().is_empty());
    next(&mut body).await;
    assert_eq!(heard.ends(), ["complete"]);

    let streamed = Response::builder()
        .header("content-length", "1")
        .body(frames([data("a")]))
        .unwrap();
    let (heard, mut body) = follow_response(streamed, false);
    next(&mut body).await;
    assert_eq!(heard.ends(), ["complete"]);
}

#[tokio::test]
async fn the_declared_length_is_no_end_for_who_awaits_trailers() {
    let heard = Heard {
        awaits_trailers: true,
        ..Heard::default()
    };
    let response = Response::new(Frames {
        declared: Some(1),
        ..frames([data("a"), Ok(Frame::trailers(HeaderMap::new()))])
    });
    let mut body = Box::pin(Tracked::follow(response, false, heard.clone()).into_body());
    next(&mut body).await;
    assert!(heard.ends().is_empty());
    next(&mut body).await;
    assert_eq!(heard.ends(), ["trailers"]);
}

#[tokio::test]
async fn an_end_that_we_made_is_told_from_the_same_end_over_a_wire() {
    for cut in [Cut::Grpc, Cut::GrpcWeb, Cut::Connect] {
        for layer in ["deadline", "timeout", "propagate-deadline"] {
            let (heard, mut body) = follow(frames([data("a"), Ok(cut.frame(layer)), data("never read")]));
            next(&mut body).await;
            next(&mut body).await;
            assert_eq!(heard.ends(), [layer], "{cut:?}");
        }

        // What a server sent: the same bytes, elsewhere.
        let theirs = match cut.frame("deadline").into_data() {
            Ok(data) => Frame::data(Bytes::copy_from_slice(&data)),
            Err(trailers) => {
                let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).unwrap();
                let trailers = trailers.into_trailers().unwrap_or_default();
                Frame::trailers(
                    trailers
                        .iter()
                        .map(|(name, value)| (name.clone(), copy(value)))
                        .collect(),
                )
            }
        };
        let (heard, mut body) = follow(frames([Ok(theirs)]));
        while next(&mut body).await.is_some() {}
        assert!(!heard.ends().contains(&"deadline"), "{cut:?}");
    }
}

#[tokio::test]
async fn an_error_is_the_end() {
    let (heard, mut body) = follow(frames([data("a"), Err("broken".into())]));
    next(&mut body).await;
    next(&mut body).await;
    drop(body);
    assert_eq!(heard.ends(), ["error"]);
}

#[tokio::test]
async fn a_body_dropped_before_its_end_is_dropped() {
    let (heard, mut body) = follow(frames([data("a"), data("b")]));
    next(&mut body).await;
    drop(body);
    assert_eq!(heard.ends(), ["dropped"]);
}

#[test]
fn an_unpolled_body_that_has_nothing_to_send_is_complete_at_its_head() {
    let (heard, _body) = follow(Empty::<Bytes>::new());
    assert_eq!(heard.ends(), ["complete"]);
    let (heard, _body) = follow(Frames {
        declared: Some(0),
        ..frames([])
    });
    assert_eq!(heard.ends(), ["complete"]);
    let (heard, _body) = follow_response(Response::new(Full::from("not sent")), true);
    assert_eq!(heard.ends(), ["complete"], "HEAD");
    for status in [204, 304] {
        let response = Response::builder().status(status).body(frames([])).unwrap();
        let (heard, _body) = follow_response(response, false);
        assert_eq!(heard.ends(), ["complete"], "{status}");
    }
    let (heard, body) = follow(Full::from("to be sent"));
    assert!(heard.ends().is_empty());
    drop(body);
    assert_eq!(heard.ends(), ["dropped"]);
}

#[test]
fn size_and_end_are_the_inner_bodys() {
    let (_, body) = follow(Full::from("four"));
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(4), false));
    let reply = Reply::inner(Full::from("four"));
    assert_eq!((reply.size_hint().exact(), reply.is_end_stream()), (Some(4), false));
    let ours = Reply::<Full<Bytes>>::ours("five5".into());
    assert_eq!((ours.size_hint().exact(), ours.is_end_stream()), (Some(5), false));
    assert!(Reply::<Full<Bytes>>::ours(Bytes::new()).is_end_stream());
}

#[tokio::test]
async fn a_reply_of_ours_is_one_frame() {
    let reply = Reply::<Empty<Bytes>>::ours("no".into());
    assert_eq!(reply.collect().await.unwrap().to_bytes(), "no");
}

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.push(0);
        bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        bytes.extend(message);
    }
    bytes
}

proptest! {
    #[test]
    fn framing_finds_every_boundary_however_the_bytes_are_cut(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        cuts in prop::collection::vec(1usize..17, 1..60),
    ) {
        let bytes = framed(&messages);
        let mut boundaries = vec![0];
        for message in &messages {
            boundaries.push(boundaries.last().unwrap() + 5 + message.len());
        }
        let mut framing = Framing::default();
        let mut at = 0;
        for cut in cuts.iter().cycle() {
            prop_assert_eq!(framing.at_boundary(), boundaries.contains(&at), "at {}", at);
            if at == bytes.len() {
                break;
            }
            let next = (at + cut).min(bytes.len());
            framing.advance(&bytes[at..next]);
            at = next;
        }
    }
}

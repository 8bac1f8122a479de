//! How a stream is ended early in good order, and known for that by whoever watches it in this process.
//!
//! To the peer these are ordinary ends of its protocol. To a watch further out they must not be: a stream that *we* ended at
//! its deadline was neither answered in full nor failed by its service. A body's frames carry no note on the side, but bytes
//! have an address, which nothing that came over a wire can have: the ends are statics, and known by being them.

use std::ptr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

const GRPC_MESSAGE: &[u8; 17] = b"deadline exceeded";
const GRPC_WEB: &[u8; 54] = b"\x80\0\0\0\x31grpc-status: 4\r\ngrpc-message: deadline exceeded\r\n";
const CONNECT: &[u8; 73] =
    b"\x02\0\0\0\x44{\"error\":{\"code\":\"deadline_exceeded\",\"message\":\"deadline exceeded\"}}";

/// The ends that one layer makes.
struct Ends {
    layer: &'static str,
    grpc_message: [u8; 17],
    grpc_web: [u8; 54],
    connect: [u8; 73],
}

/// Of each layer that cuts its own, so that it is known which it was. In a static, for of equal literals there may be but one.
static ENDS: [Ends; 3] = [
    Ends::of("deadline"),
    Ends::of("timeout"),
    Ends::of("propagate-deadline"),
];

/// The end of a stream whose deadline passed, in one of the protocols that have a word for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Trailers with status 4 (gRPC over HTTP/2).
    Grpc,
    /// A trailer frame: flag 0x80, a length, HTTP/1 header lines (`PROTOCOL-WEB.md`).
    GrpcWeb,
    /// An end-of-stream message: flag 0x02, a length, JSON (the Connect protocol, *Streaming RPCs*).
    Connect,
}

impl Cut {
    /// The last frame, as the layer of this name makes it.
    pub(crate) fn frame(self, layer: &str) -> Frame<Bytes> {
        let ends = ENDS.iter().find(|ends| ends.layer == layer).unwrap_or(&ENDS[0]);
        match self {
            Self::Grpc => {
                let mut trailers = HeaderMap::with_capacity(2);
                trailers.insert("grpc-status", HeaderValue::from_static("4"));
                if let Ok(message) = HeaderValue::from_maybe_shared(Bytes::from_static(&ends.grpc_message)) {
                    trailers.insert("grpc-message", message);
                }
                Frame::trailers(trailers)
            }
            Self::GrpcWeb => Frame::data(Bytes::from_static(&ends.grpc_web)),
            Self::Connect => Frame::data(Bytes::from_static(&ends.connect)),
        }
    }

    /// The layer that made this frame to be such an end, if one in this process did.
    pub(crate) fn by(frame: &Frame<Bytes>) -> Option<&'static str> {
        let made: &[u8] = match frame.data_ref() {
            Some(data) => data,
            None => frame.trailers_ref()?.get("grpc-message")?.as_bytes(),
        };
        let ends = ENDS.iter().find(|ends| ends.have(made))?;
        Some(ends.layer)
    }
}

impl Ends {
    const fn of(layer: &'static str) -> Self {
        Self {
            layer,
            grpc_message: *GRPC_MESSAGE,
            grpc_web: *GRPC_WEB,
            connect: *CONNECT,
        }
    }

    /// Whether these bytes are one of them: not equal to one, but it.
    fn have(&self, bytes: &[u8]) -> bool {
        [&self.grpc_message[..], &self.grpc_web, &self.connect]
            .iter()
            .any(|end| ptr::eq(*end, bytes))
    }
}

//! How a stream is ended early in good order, and known for that by whoever watches it in this process.
//!
//! To the peer these are ordinary ends of its protocol. To a watch further out they must not be: a stream that *we* ended at
//! its deadline was neither answered in full nor failed by its service. A body's frames carry no note on the side, but bytes
//! have an address, which nothing that came over a wire can have: the ends are statics, and known by being them.

use std::ptr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

static GRPC_MESSAGE: &str = "deadline exceeded";
static GRPC_WEB: &[u8] = b"\x80\0\0\0\x31grpc-status: 4\r\ngrpc-message: deadline exceeded\r\n";
static CONNECT: &[u8] = b"\x02\0\0\0\x44{\"error\":{\"code\":\"deadline_exceeded\",\"message\":\"deadline exceeded\"}}";

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
    /// The last frame.
    pub(crate) fn frame(self) -> Frame<Bytes> {
        match self {
            Self::Grpc => {
                let mut trailers = HeaderMap::with_capacity(2);
                trailers.insert("grpc-status", HeaderValue::from_static("4"));
                trailers.insert("grpc-message", HeaderValue::from_static(GRPC_MESSAGE));
                Frame::trailers(trailers)
            }
            Self::GrpcWeb => Frame::data(Bytes::from_static(GRPC_WEB)),
            Self::Connect => Frame::data(Bytes::from_static(CONNECT)),
        }
    }

    /// Whether this frame is such an end, made here.
    pub(crate) fn is(frame: &Frame<Bytes>) -> bool {
        if let Some(data) = frame.data_ref() {
            let data: &[u8] = data;
            return ptr::eq(data, GRPC_WEB) || ptr::eq(data, CONNECT);
        }
        let message = frame.trailers_ref().and_then(|trailers| trailers.get("grpc-message"));
        message.is_some_and(|message| ptr::eq(message.as_bytes(), GRPC_MESSAGE.as_bytes()))
    }
}

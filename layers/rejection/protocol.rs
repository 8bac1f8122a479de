//! Which protocol a request speaks, and so in which one it must be answered.

use http::{HeaderMap, HeaderValue, Method, Request, header::CONTENT_TYPE};

use crate::context::Head;

/// The protocol a request speaks. A rejection is rendered in it.
///
/// | request | protocol |
/// |---|---|
/// | `POST`, `application/grpc` or `application/grpc+...` | gRPC |
/// | `application/grpc-web...` | gRPC-Web |
/// | `application/connect+...` | Connect, streaming |
/// | `connect-protocol-version: 1`, or `GET` with `connect=v1` | Connect, unary |
/// | all else | plain HTTP |
///
/// Sources: gRPC's `PROTOCOL-HTTP2.md` and `PROTOCOL-WEB.md`, the Connect protocol reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Plain HTTP.
    #[default]
    Http,
    /// Plain HTTP, `HEAD`: an answer has no body.
    HttpHead,
    /// gRPC: the answer has the request's own content type.
    Grpc(ContentType),
    /// gRPC-Web, binary.
    GrpcWeb(ContentType),
    /// gRPC-Web, base64 text.
    GrpcWebText(ContentType),
    /// Connect, unary.
    ConnectUnary,
    /// Connect, streaming.
    ConnectStreaming(ContentType),
}

/// A content type, to be sent back as it came.
///
/// The common ones are told apart without holding on to the request's bytes, so keeping one costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType(Kept);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    Common(&'static str),
    Other(Box<HeaderValue>),
}

const COMMON: [&str; 9] = [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
    "application/connect+proto",
    "application/connect+json",
    "application/grpc+json",
];

impl Protocol {
    /// What this request speaks. Plain requests other than `POST` cost no header lookup.
    #[inline]
    pub fn of<B>(request: &Request<B>) -> Self {
        Self::of_head(Head::from(request))
    }

    #[inline]
    pub(crate) fn of_head(head: Head<'_>) -> Self {
        let Head {
            method, uri, headers, ..
        } = head;
        if method == Method::POST {
            return Self::of_post(headers);
        }
        match *method {
            Method::GET => uri.query().map_or(Self::Http, Self::of_get),
            Method::HEAD => Self::HttpHead,
            _ => Self::Http,
        }
    }

    fn of_get(query: &str) -> Self {
        if query.split('&').any(|pair| pair == "connect=v1") {
            Self::ConnectUnary
        } else {
            Self::Http
        }
    }

    fn of_post(headers: &HeaderMap) -> Self {
        if headers.is_empty() {
            return Self::Http;
        }
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Self::of_connect_unary(headers);
        };
        if let Some(kind) = after(value.as_bytes(), "application/grpc") {
            // The end, a parameter, or a codec: `application/grpc-web` is not `application/grpc`.
            let ends = |rest: &[u8]| matches!(rest.first(), None | Some(b'+' | b';' | b' '));
            if ends(kind) {
                return Self::Grpc(ContentType::of(value));
            } else if after(kind, "-web-text").is_some_and(ends) {
                return Self::GrpcWebText(ContentType::of(value));
            } else if after(kind, "-web").is_some_and(ends) {
                return Self::GrpcWeb(ContentType::of(value));
            }
        } else if after(value.as_bytes(), "application/connect+").is_some() {
            return Self::ConnectStreaming(ContentType::of(value));
        }
        Self::of_connect_unary(headers)
    }

    fn of_connect_unary(headers: &HeaderMap) -> Self {
        const VERSION: &str = "connect-protocol-version";
        // Most requests have no such header. To see that their names tell is quicker than to hash this one, byte by byte.
        if headers.keys().any(|name| name.as_str() == VERSION) && headers.get(VERSION).is_some_and(|value| value == "1")
        {
            Self::ConnectUnary
        } else {
            Self::Http
        }
    }

    /// Whether its calls end with a `grpc-status` in trailers, or in headers where there is no body.
    pub(crate) fn is_grpc(&self) -> bool {
        matches!(self, Self::Grpc(_))
    }

    /// Whether its status is gRPC's, in gRPC itself or in one of its forms for the web.
    #[inline]
    pub(crate) fn has_grpc_status(&self) -> bool {
        matches!(self, Self::Grpc(_) | Self::GrpcWeb(_) | Self::GrpcWebText(_))
    }
}

/// What follows this prefix, in any case.
fn after<'a>(text: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

impl ContentType {
    fn of(value: &HeaderValue) -> Self {
        Self(match COMMON.iter().copied().find(|common| value == common) {
            Some(common) => Kept::Common(common),
            None => Kept::Other(Box::new(value.clone())),
        })
    }
}

impl From<&ContentType> for HeaderValue {
    fn from(ContentType(kept): &ContentType) -> Self {
        match kept {
            Kept::Common(common) => HeaderValue::from_static(common),
            Kept::Other(value) => HeaderValue::clone(value),
        }
    }
}

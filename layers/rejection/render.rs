//! One rejection in five protocols.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{ContentType, Protocol, Rejection, Retry};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// gRPC's `Percent-Encoded`: all but printable ASCII, and the percent sign itself.
const GRPC_MESSAGE_SET: &AsciiSet = &CONTROLS.add(b'%');

impl Rejection {
    /// The answer to a request of that protocol. The rejection itself rides in the response's extensions.
    ///
    /// An HTTP answer to `HEAD` and the gRPC ones have no body; all are complete at their head.
    pub fn into_answer(self, protocol: &Protocol) -> Response<Bytes> {
        let mut response = match protocol {
            Protocol::Http => self.http(),
            Protocol::HttpHead => without_body(self.http()),
            Protocol::Grpc(content_type) | Protocol::GrpcWeb(content_type) | Protocol::GrpcWebText(content_type) => {
                self.grpc(content_type)
            }
            Protocol::ConnectUnary => self.connect_unary(),
            Protocol::ConnectStreaming(content_type) => self.connect_streaming(content_type),
        };
        self.add_headers(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }

    /// What of it is metadata in gRPC: all of the answer's headers but its status.
    #[cfg(feature = "tonic")]
    pub(crate) fn grpc_metadata(&self) -> HeaderMap {
        let mut headers = grpc_headers(self);
        self.add_headers(&mut headers);
        headers.remove(GRPC_STATUS);
        headers.remove(GRPC_MESSAGE);
        headers
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        let own = self
            .headers
            .iter()
            .flat_map(|own| own.keys().map(|name| (name, own.get_all(name))));
        for (name, values) in own {
            // Those of the answer go before; a field in several lines is one list.
            if !headers.contains_key(name) {
                headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
            }
        }
    }

    fn http(&self) -> Response<Bytes> {
        let body = match &self.message {
            None => Bytes::from_static(self.reason.message().as_bytes()),
            Some(message) => Bytes::copy_from_slice(message.as_bytes()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.reason.http_status();
        response.headers_mut().insert(CONTENT_TYPE, TEXT);
        self.write_http_hint(response.headers_mut());
        response
    }

    fn write_http_hint(&self, headers: &mut HeaderMap) {
        match self.retry {
            Retry::Unsaid => {}
            Retry::Never => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            Retry::After(wait) => {
                let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
                // In whole seconds: of less than one, nothing is left once it is rounded up.
                let later = fastrand::u64(0..=(wait.as_secs() / 4).max(1));
                headers.insert(RETRY_AFTER, seconds.max(1).saturating_add(later).into());
            }
        }
    }

    fn grpc(&self, content_type: &ContentType) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        *headers = grpc_headers(self);
        headers.insert(CONTENT_TYPE, content_type.into());
        response
    }

    fn connect_unary(&self) -> Response<Bytes> {
        let mut response = Response::new(self.connect_error());
        *response.status_mut() = self.reason.connect_status();
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        self.write_http_hint(response.headers_mut());
        response
    }

    fn connect_streaming(&self, content_type: &ContentType) -> Response<Bytes> {
        let mut response = Response::new(connect_end(self));
        response.headers_mut().insert(CONTENT_TYPE, content_type.into());
        self.write_http_hint(response.headers_mut());
        response
    }

    fn connect_error(&self) -> Bytes {
        let mut json = String::with_capacity(64);
        json.push_str("{\"code\":\"");
        json.push_str(self.reason.connect_code());
        json.push_str("\",\"message\":\"");
        push_escaped(&mut json, self.message());
        json.push_str("\"}");
        json.into()
    }
}

impl Protocol {
    /// Whether an answer with these headers can be one of this protocol. Plain HTTP has them all.
    pub(super) fn is_of(&self, headers: &HeaderMap) -> bool {
        let ours = match self {
            Self::Http | Self::HttpHead => return true,
            Self::ConnectUnary => JSON,
            Self::Grpc(content_type)
            | Self::GrpcWeb(content_type)
            | Self::GrpcWebText(content_type)
            | Self::ConnectStreaming(content_type) => content_type.into(),
        };
        headers.get(CONTENT_TYPE) == Some(&ours)
    }
}

/// The status of a rejection as gRPC has it, in the headers of an answer without a body.
fn grpc_headers(rejection: &Rejection) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(GRPC_STATUS, HeaderValue::from_static(rejection.reason.grpc_status()));
    let message = match &rejection.message {
        None => HeaderValue::from_static(rejection.reason.message()),
        Some(message) => utf8_percent_encode(message, GRPC_MESSAGE_SET)
            .to_string()
            .try_into()
            .unwrap_or_else(|_| HeaderValue::from_static(rejection.reason.message())),
    };
    headers.insert(GRPC_MESSAGE, message);
    match rejection.retry {
        Retry::Unsaid => {}
        Retry::Never => {
            headers.insert(GRPC_PUSHBACK, HeaderValue::from_static("-1"));
        }
        Retry::After(wait) => {
            // Never 0: gRPC's C-core waits on it until its deadline.
            let wait = spread(wait).as_micros().div_ceil(1000).clamp(1, i32::MAX as u128);
            headers.insert(GRPC_PUSHBACK, i32::try_from(wait).unwrap_or(i32::MAX).into());
        }
    }
    headers
}

/// The end-of-stream message of a Connect stream (flag 0x02, a length, JSON).
fn connect_end(rejection: &Rejection) -> Bytes {
    let mut json = BytesMut::with_capacity(80);
    for part in [&b"{\"error\":"[..], &rejection.connect_error(), b"}"] {
        json.put_slice(part);
    }
    envelope(0x02, &json)
}

/// The answer to `HEAD`: what `GET` would get, but for the body (RFC 9110, section 9.3.2).
pub(super) fn without_body(response: Response<Bytes>) -> Response<Bytes> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    Response::from_parts(head, Bytes::new())
}

fn envelope(flag: u8, message: &[u8]) -> Bytes {
    let mut envelope = BytesMut::with_capacity(5 + message.len());
    envelope.put_u8(flag);
    envelope.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    envelope.put_slice(message);
    envelope.freeze()
}

/// Adds up to a quarter, so that those turned away together do not return together.
fn spread(wait: Duration) -> Duration {
    wait.saturating_add((wait / 4).mul_f64(fastrand::f64()))
}

/// Appends `text` as it stands between the quotes of a JSON string (RFC 8259, section 7).
fn push_escaped(json: &mut String, text: &str) {
    use std::fmt::Write;
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
}

impl Rejection {
    /// The problem details of RFC 9457: `{"title", "status", "detail"}`.
    pub(super) fn problem(&self) -> String {
        let mut json = format!(
            "{{\"title\":\"{}\",\"status\":{},\"detail\":\"",
            self.reason.message(),
            self.reason.http_status().as_u16()
        );
        push_escaped(&mut json, self.message());
        json.push_str("\"}");
        json
    }
}

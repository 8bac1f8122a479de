//! An answer as the service within could have given it, in the protocol of the request. Nothing marks it as ours on the wire.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

use super::Injected;
use crate::rejection::Protocol;

/// What the answer says to people.
const TEXT: &str = "fault injected";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abort {
    Status(StatusCode),
    /// A gRPC code, but 0.
    Grpc(i32),
}

/// A gRPC code as Connect calls it, and the status that goes with it: in Connect's unary calls, and in gRPC's gateways.
const CODES: [(&str, u16); 16] = [
    ("canceled", 499),
    ("unknown", 500),
    ("invalid_argument", 400),
    ("deadline_exceeded", 504),
    ("not_found", 404),
    ("already_exists", 409),
    ("permission_denied", 403),
    ("resource_exhausted", 429),
    ("failed_precondition", 400),
    ("aborted", 409),
    ("out_of_range", 400),
    ("unimplemented", 501),
    ("internal", 500),
    ("unavailable", 503),
    ("data_loss", 500),
    ("unauthenticated", 401),
];

const UNKNOWN: (&str, u16) = CODES[1];

impl Abort {
    /// The gRPC code, of a status by gRPC's `http-grpc-status-mapping.md`.
    pub(super) fn code(self) -> i32 {
        match self {
            Self::Grpc(code) => code,
            Self::Status(status) => match status.as_u16() {
                400 => 13,
                401 => 16,
                403 => 7,
                404 => 12,
                429 | 502..=504 => 14,
                _ => 2,
            },
        }
    }

    /// The HTTP status.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Status(status) => status,
            Self::Grpc(_) => StatusCode::from_u16(self.named().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn named(self) -> (&'static str, u16) {
        let place = usize::try_from(self.code().saturating_sub(1));
        place
            .ok()
            .and_then(|place| CODES.get(place).copied())
            .unwrap_or(UNKNOWN)
    }

    /// The answer to a request of that protocol. Who asks within this process finds [`Injected`] in its extensions.
    pub(super) fn into_answer(self, protocol: &Protocol) -> Response<Bytes> {
        let mut response = match protocol {
            Protocol::Http => self.http(Bytes::from_static(TEXT.as_bytes()), "text/plain; charset=utf-8"),
            Protocol::HttpHead => self.http(Bytes::new(), "text/plain; charset=utf-8"),
            Protocol::ConnectUnary => self.http(self.connect_error().into(), "application/json"),
            Protocol::ConnectStreaming(content_type) => of_type(self.connect_end(), content_type.into()),
            Protocol::Grpc(content_type) | Protocol::GrpcWeb(content_type) | Protocol::GrpcWebText(content_type) => {
                let mut response = of_type(Bytes::new(), content_type.into());
                let headers = response.headers_mut();
                headers.insert("grpc-status", self.code().into());
                headers.insert("grpc-message", HeaderValue::from_static(TEXT));
                response
            }
        };
        response.extensions_mut().insert(Injected::Abort);
        response
    }

    fn http(self, body: Bytes, content_type: &'static str) -> Response<Bytes> {
        let mut response = of_type(body, HeaderValue::from_static(content_type));
        *response.status_mut() = self.status();
        response
    }

    fn connect_error(self) -> String {
        format!("{{\"code\":\"{}\",\"message\":\"{TEXT}\"}}", self.named().0)
    }

    /// The end-of-stream message: flag 0x02, a length, JSON.
    fn connect_end(self) -> Bytes {
        let json = format!("{{\"error\":{}}}", self.connect_error());
        let mut envelope = BytesMut::with_capacity(5 + json.len());
        envelope.put_u8(0x02);
        envelope.put_u32(u32::try_from(json.len()).unwrap_or(u32::MAX));
        envelope.put_slice(json.as_bytes());
        envelope.freeze()
    }
}

fn of_type(body: Bytes, content_type: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn answer(abort: Abort, content_type: &'static str) -> Response<Bytes> {
        let request = Request::post("/pkg.Service/Method").header(CONTENT_TYPE, content_type);
        abort.into_answer(&Protocol::of(&request.body(()).unwrap()))
    }

    #[test]
    fn a_status_is_heard_in_each_protocol() {
        let abort = Abort::Status(StatusCode::BAD_GATEWAY);
        let http = answer(abort, "text/html");
        assert_eq!(
            (http.status(), &http.body()[..]),
            (StatusCode::BAD_GATEWAY, TEXT.as_bytes())
        );
        for grpc in [
            "application/grpc",
            "application/grpc-web+proto",
            "application/grpc-web-text",
        ] {
            let answer = answer(abort, grpc);
            assert_eq!(
                (answer.status(), &answer.headers()["grpc-status"]),
                (StatusCode::OK, &"14".parse().unwrap())
            );
            assert!(answer.headers()[CONTENT_TYPE] == grpc && answer.body().is_empty());
        }
        let stream = answer(abort, "application/connect+json");
        let json = r#"{"error":{"code":"unavailable","message":"fault injected"}}"#;
        assert_eq!(stream.body()[..5], [2, 0, 0, 0, u8::try_from(json.len()).unwrap()]);
        assert_eq!(stream.body()[5..], *json.as_bytes());
        let unary = abort.into_answer(&Protocol::ConnectUnary);
        assert_eq!(unary.body(), r#"{"code":"unavailable","message":"fault injected"}"#);
        assert_eq!(unary.status(), StatusCode::BAD_GATEWAY);
        assert!(abort.into_answer(&Protocol::HttpHead).body().is_empty());
    }

    #[test]
    fn codes_and_statuses_as_they_are_mapped() {
        let code = |status: u16| Abort::Status(status.try_into().unwrap()).code();
        assert_eq!(
            [400, 401, 403, 404, 429, 502, 503, 504, 500, 418].map(code),
            [13, 16, 7, 12, 14, 14, 14, 14, 2, 2]
        );
        let status = |code| Abort::Grpc(code).status().as_u16();
        assert_eq!(
            [1, 4, 7, 8, 13, 14, 16].map(status),
            [499, 504, 403, 429, 500, 503, 401]
        );
        assert_eq!([-1, 17, i32::MAX, i32::MIN].map(status), [500; 4]);
    }
}

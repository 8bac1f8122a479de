//! What the durations of calls are told apart by.

use std::borrow::Cow;

use http::StatusCode;
use metrics::Label;

use super::names::{NameId, Names, OTHER};
use crate::{
    observe::{Ended, ErrorType, Side, grpc_status_name, method::METHODS},
    rejection::Protocol,
    telemetry::{Instrument, instruments},
};

/// What is known of a call when it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) side: Side,
    pub(super) spoken: Spoken,
    pub(super) method: u8,
    pub(super) route: Option<NameId>,
}

/// By which convention it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http,
    Grpc,
    Connect,
}

impl Spoken {
    pub(super) fn of(protocol: &Protocol) -> Self {
        match protocol {
            Protocol::Http | Protocol::HttpHead => Self::Http,
            Protocol::ConnectUnary | Protocol::ConnectStreaming(_) => Self::Connect,
            _ => Self::Grpc,
        }
    }
}

/// All by which one series differs from the others, in a word: it is looked up at every call, and words are quick to compare.
pub(super) type Packed = u64;

impl Kind {
    pub(super) fn packed(self, ended: &Ended) -> Packed {
        let mut packed = self.side as Packed;
        let mut add = |bits: u32, value: u16| {
            debug_assert!(Packed::from(value) >> bits == 0, "{value} has more than {bits} bits");
            packed = packed << bits | Packed::from(value);
        };
        add(2, self.spoken as u16);
        add(4, self.method.into());
        add(1, self.route.is_some().into());
        add(16, self.route.map_or(0, NameId::number));
        add(10, self.status(ended).unwrap_or(0));
        add(5, ended.grpc_status.map_or(0, |status| grpc(status) + 1));
        add(13, ended.error.map_or(0, error));
        packed
    }

    pub(super) fn duration(self) -> &'static Instrument {
        match (self.spoken, self.side) {
            (Spoken::Http, Side::Server) => &instruments::HTTP_SERVER_DURATION,
            (Spoken::Http, Side::Client) => &instruments::HTTP_CLIENT_DURATION,
            (_, Side::Server) => &instruments::RPC_SERVER_DURATION,
            (_, Side::Client) => &instruments::RPC_CLIENT_DURATION,
        }
    }

    pub(super) fn labels(self, ended: &Ended, routes: &Names) -> Vec<Label> {
        let route = self.route.map(|route| routes.name(route));
        let mut labels = Vec::with_capacity(4);
        match self.spoken {
            Spoken::Http => {
                labels.push(Label::from_static_parts(
                    "http.request.method",
                    METHODS[usize::from(self.method)],
                ));
                labels.extend(route.map(|route| Label::new("http.route", route)));
                let status = self.status(ended).map(|status| match status {
                    UNKNOWN.. => OTHER.to_owned(),
                    _ => status.to_string(),
                });
                labels.extend(status.map(|status| Label::new("http.response.status_code", status)));
            }
            Spoken::Grpc | Spoken::Connect => {
                let system = if self.spoken == Spoken::Grpc {
                    "grpc"
                } else {
                    "connectrpc"
                };
                labels.push(Label::from_static_parts("rpc.system.name", system));
                let method = |route: &str| Label::new("rpc.method", route.trim_start_matches('/').to_owned());
                labels.extend(route.as_deref().map(method));
                let status = |status| grpc_status_name(status).unwrap_or(OTHER);
                let status = ended.grpc_status.map(status);
                labels.extend(status.map(|status| Label::from_static_parts("rpc.response.status_code", status)));
            }
        }
        labels.extend(ended.error.map(|error| Label::new("error.type", error_type(error))));
        labels
    }

    /// The HTTP status, where it tells anything.
    fn status(self, ended: &Ended) -> Option<u16> {
        let status = ended.status.filter(|_| self.spoken == Spoken::Http)?;
        Some(known(status))
    }
}

/// All statuses that are not in RFC 9110's five classes are one.
const UNKNOWN: u16 = 600;

fn known(status: StatusCode) -> u16 {
    status.as_u16().min(UNKNOWN)
}

fn error_type(error: ErrorType) -> Cow<'static, str> {
    match error {
        ErrorType::Http(status) if known(status) == UNKNOWN => OTHER.into(),
        _ => error.to_string().into(),
    }
}

/// 17 is any that is not in the specification.
fn grpc(status: i32) -> u16 {
    u16::try_from(status).map_or(17, |status| status.min(17))
}

/// Never 0.
fn error(error: ErrorType) -> u16 {
    let (kind, which) = match error {
        ErrorType::Rejected(reason) => (1, reason as u16),
        ErrorType::Cancelled(why) => (2, why as u16),
        ErrorType::Http(status) => (3, known(status)),
        ErrorType::Grpc(status) => (4, grpc(status)),
        ErrorType::MissingStatus => (5, 0),
        ErrorType::Transport => (5, 1),
        ErrorType::Body => (5, 2),
        ErrorType::Panic => (5, 3),
    };
    kind << 10 | which
}

use std::{convert::Infallible, error, fmt, net::IpAddr, time::Duration};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use tokio::time::Instant;

use crate::{
    address::ClientAddress,
    context::{Context, Head},
    rejection::{Protocol, Reason, Rejection},
};

/// When the answer is due, as an extractor: the deadline in scope.
///
/// ```
/// use buttress::axum::Deadline;
/// use std::time::Duration;
///
/// async fn search(deadline: Option<Deadline>) -> &'static str {
///     match deadline {
///         Some(deadline) if deadline.remaining() < Duration::from_millis(50) => "what is in the cache",
///         _ => "all there is",
///     }
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(search));
/// ```
///
/// Where there is none, `Deadline` answers 500, for the handler relies on a layer that is not there; `Option<Deadline>` is `None`. It
/// makes nothing and costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(pub Instant);

/// The client's address, as an extractor: as the [`ClientAddress`] of the [router](super::RouterExt::with_client_address) finds it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, routing::get};
/// use buttress::{address::ClientAddress, axum::{ClientIp, RouterExt}};
/// # use tower::ServiceExt;
///
/// async fn whoami(ClientIp(ip): ClientIp) -> String {
///     ip.to_string()
/// }
///
/// // Behind one proxy of ours, which appends to `x-forwarded-for`.
/// let app: Router = Router::new()
///     .route("/whoami", get(whoami))
///     .with_client_address(ClientAddress::new().trusted_hops(1));
/// # let request = |sent: &str| http::Request::get("/whoami").header("x-forwarded-for", sent).body(axum::body::Body::empty());
/// # let body = app.clone().oneshot(request("1.2.3.4, 203.0.113.7")?).await?.into_body();
/// # assert_eq!(axum::body::to_bytes(body, 99).await?, "203.0.113.7");
/// # assert_eq!(app.oneshot(request("")?).await?.status(), 400);
/// # Ok(()) }
/// ```
///
/// Without one it is the socket's other end, whatever a header says. Where there is no address that can be trusted, `ClientIp` answers as
/// [`UnknownClient`] does, and `Option<ClientIp>` is `None`: never an entry that a stranger wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientIp(pub IpAddr);

/// Nobody who can be trusted has said where a request is from. What [`ClientIp`] answers then:
///
/// - 400 where [proxies are trusted](ClientAddress::trusted_hops): the request did not come through them.
/// - 500 where the socket is: the server does not tell its peers' addresses. [`Lifecycle::serve`](crate::Lifecycle::serve) does, and `axum::serve`
///   with `into_make_service_with_connect_info::<SocketAddr>()`, or `::<PeerAddress>()` where it has a
///   [listener](crate::Lifecycle::listener) of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownClient {
    proxied: bool,
}

impl Deadline {
    /// How long there is left: zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

// === impl FromRequestParts ===

/// The request's context: [`Context::current`].
impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::current())
    }
}

/// What the request speaks: [`Protocol::of`].
impl<S: Sync> FromRequestParts<S> for Protocol {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of_head(Head::from(&*parts)))
    }
}

impl<S: Sync> FromRequestParts<S> for Deadline {
    type Rejection = Rejection;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let deadline = Context::current_deadline().map(Self);
        deadline.ok_or(Rejection::new(Reason::MissingDeadline, "axum"))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Deadline {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(Context::current_deadline().map(Self))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientIp {
    type Rejection = UnknownClient;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, UnknownClient> {
        Self::of(parts)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for ClientIp {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(Self::of(parts).ok())
    }
}

impl ClientIp {
    fn of(parts: &Parts) -> Result<Self, UnknownClient> {
        let client = parts.extensions.get::<ClientAddress>();
        let address = match client {
            Some(client) => client.resolve(parts.into()),
            None => ClientAddress::new().resolve(parts.into()),
        };
        address.map(Self).ok_or(UnknownClient {
            proxied: client.is_some_and(ClientAddress::is_proxied),
        })
    }
}

// === impl UnknownClient ===

impl fmt::Display for UnknownClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.proxied {
            "the request did not come through the proxies that are trusted"
        } else {
            "the server does not tell its peers' addresses"
        })
    }
}

impl error::Error for UnknownClient {}

impl IntoResponse for UnknownClient {
    fn into_response(self) -> Response {
        let status = if self.proxied {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        (status, self.to_string()).into_response()
    }
}

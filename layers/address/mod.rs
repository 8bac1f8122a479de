//! Who a request is from: the client's address, as far as it can be trusted.
//!
//! The socket's other end is the client only where no proxy stands between, and `x-forwarded-for` is whatever anybody wrote, but for
//! its right end. [`ClientAddress`] is told once how many proxies are yours; [rate limits](crate::RateLimitLayer::by_client), axum's
//! extractor [`ClientIp`](crate::axum::ClientIp) and logs ask it.

mod forwarded;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::{Extensions, HeaderName, header::FORWARDED};

use crate::context::Head;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The socket's other end, as a server inserts it into its requests' extensions: where [`ClientAddress`] looks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress(pub SocketAddr);

/// Who a request is from: the client's address, as far as it can be trusted.
///
/// ```
/// use buttress::address::ClientAddress;
///
/// let client = ClientAddress::new().trusted_hops(1); // one proxy in front, which appends to `x-forwarded-for`
///
/// let request = http::Request::get("/").header("x-forwarded-for", "1.2.3.4, 203.0.113.7").body(())?;
/// assert_eq!(client.resolve((&request).into()), Some([203, 0, 113, 7].into())); // 1.2.3.4 is what the client says
/// # Ok::<(), http::Error>(())
/// ```
///
/// # Behind proxies
///
/// Each proxy appends the address that it was called from. So the last entry is the word of the proxy next to this server, the
/// one before it the word of the proxy before, and the first ones are whatever the client sent. `trusted_hops(n)` is the number
/// of proxies that are yours: the n-th entry from the right was written by the outermost of them, and it is the client's. The
/// ones to the left of it are never looked at, so that a forged header changes nothing. What is not there, or is no address
/// (`unknown`, `_hidden`, an empty entry), is no address: `None`, never a fallback to an entry that a stranger wrote.
///
/// One header is read: `x-forwarded-for`, which nearly all proxies write, unless [`header`](Self::header) names another. If two
/// were, a client could send the one that your proxy does not maintain.
///
/// # Without proxies
///
/// No header is read, and the address is the socket's. The server knows it, so it must be handed down. A
/// [`Lifecycle::serve`](crate::Lifecycle::serve) does that by itself; with the feature `axum`, so does `axum::serve` where it is asked to:
///
/// ```
/// use axum::{Router, routing::get};
/// use buttress::{RateLimitLayer, address::ClientAddress, admission::rate::Quota};
/// use std::net::SocketAddr;
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(RateLimitLayer::new(Quota::per_minute(60)).by_client(ClientAddress::new()));
/// let service = app.into_make_service_with_connect_info::<SocketAddr>(); // for `axum::serve`
/// ```
///
/// With other servers it is a [`PeerAddress`] in the request's extensions, or however a function [finds](Self::peer) it. With hyper,
/// where each connection has a service of its own:
///
/// ```
/// use buttress::address::PeerAddress;
/// # use tower::{Service, ServiceExt, service_fn};
/// # async fn accept(stream: tokio::net::TcpStream, app: impl Service<http::Request<()>> + Clone) -> std::io::Result<()> {
/// let peer = PeerAddress(stream.peer_addr()?);
/// let service = service_fn(move |mut request: http::Request<_>| {
///     request.extensions_mut().insert(peer);
///     app.clone().oneshot(request)
/// });
/// # let _ = service;
/// # Ok(()) }
/// ```
///
/// With tonic's server, which keeps what its listener tells of a connection:
///
/// ```
/// use buttress::address::ClientAddress;
/// use tonic::transport::server::TcpConnectInfo;
///
/// let client = ClientAddress::new().peer(|head| {
///     let connection = head.extensions.get::<TcpConnectInfo>()?;
///     Some(connection.remote_addr()?.ip())
/// });
/// ```
///
/// # The form of an address
///
/// An IPv4 address mapped into IPv6 is the IPv4 address. Ports, brackets and quotation marks are understood. Resolving
/// allocates nothing. Limits treat all of an IPv6 [network](Self::network) as one client.
#[derive(Clone)]
pub struct ClientAddress {
    hops: usize,
    header: HeaderName,
    peer: Option<Arc<Peer>>,
}

type Peer = dyn Fn(Head<'_>) -> Option<IpAddr> + Send + Sync;

impl ClientAddress {
    /// The socket's address, which is the client's where no proxy stands between.
    pub fn new() -> Self {
        Self {
            hops: 0,
            header: X_FORWARDED_FOR,
            peer: None,
        }
    }

    /// So many proxies in front of this server are yours, and each appends to the [header](Self::header). 0 unless set: the
    /// socket's address, whatever a header says.
    #[must_use]
    pub fn trusted_hops(mut self, hops: usize) -> Self {
        self.hops = hops;
        self
    }

    /// The header that the proxies maintain: `x-forwarded-for` unless set. `forwarded` is read by its own grammar ([RFC 7239]),
    /// any other as a list of addresses: `cf-connecting-ip`, `x-real-ip`.
    ///
    /// [RFC 7239]: https://www.rfc-editor.org/rfc/rfc7239
    #[must_use]
    pub fn header(mut self, header: HeaderName) -> Self {
        self.header = header;
        self
    }

    /// How the socket's address is found, instead of as a [`PeerAddress`] in the extensions, or as axum's `ConnectInfo` of one or of a `SocketAddr`
    /// (feature `axum`).
    #[must_use]
    pub fn peer(mut self, peer: impl Fn(Head<'_>) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.peer = Some(Arc::new(peer));
        self
    }

    /// The client's address. `None`: nobody who can be trusted has said.
    pub fn resolve(&self, head: Head<'_>) -> Option<IpAddr> {
        let address = if self.hops > 0 {
            let lines = head.headers.get_all(&self.header);
            if self.header == FORWARDED {
                forwarded::nth_from_right(&lines, self.hops).and_then(forwarded::element)
            } else {
                forwarded::nth_from_right(&lines, self.hops).and_then(forwarded::node)
            }
        } else if let Some(found) = &self.peer {
            found(head)
        } else {
            peer(head.extensions)
        };
        address.map(|address| address.to_canonical())
    }

    /// Whether a proxy is asked, and not the socket.
    #[cfg(feature = "axum")]
    pub(crate) fn is_proxied(&self) -> bool {
        self.hops > 0
    }

    /// What counts as one client: an IPv4 address, or the /64 of an IPv6 address (the rest is zero), which is the least that a
    /// household or a machine gets, and in which it can take 2⁶⁴ addresses as it likes.
    pub fn network(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
            address @ IpAddr::V4(_) => address,
        }
    }
}

/// The socket's other end, as whichever server it is tells it.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get().map(|PeerAddress(address)| address.ip());
    #[cfg(feature = "axum")]
    let peer = peer.or_else(|| {
        use axum::extract::ConnectInfo;
        let ours = extensions.get().map(|ConnectInfo(PeerAddress(address))| address);
        let axums = || extensions.get().map(|ConnectInfo(address)| address);
        ours.or_else(axums).map(SocketAddr::ip)
    });
    peer
}

/// Without trusted hops.
impl Default for ClientAddress {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAddress")
            .field("trusted_hops", &self.hops)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

use std::net::SocketAddr;

use axum::{
    Extension, Router,
    extract::{ConnectInfo, MatchedPath, Request},
    middleware::map_request,
};

use crate::{
    address::{ClientAddress, PeerAddress},
    context::Head,
    lifecycle::Lifecycle,
};

/// The route of a request as the router knows it, `/users/{id}`: for layers that ask what [requests](crate::ObserveLayer::route)
/// and [calls](crate::ConcurrencyLimitLayer::route) are called.
///
/// ```
/// use axum::{Router, routing::get};
/// use buttress::{ConcurrencyLimitLayer, axum::route};
///
/// let app: Router = Router::new()
///     .route("/users/{id}", get(|| async { "one" }))
///     .route("/reports", get(|| async { "many" }))
///     .layer(ConcurrencyLimitLayer::adaptive().route(route));
/// ```
///
/// Paths are whatever strangers write; routes are as many as you wrote. It is known to layers of the router, added by `layer` or
/// `route_layer`, and none where no route matched. Outside of the router nobody knows it.
pub fn route(head: Head<'_>) -> Option<&str> {
    head.extensions.get::<MatchedPath>().map(MatchedPath::as_str)
}

/// What a [`Router`] is given of the process and of those in front of it.
pub trait RouterExt: Sized {
    /// Answers at `path` whether the process should be sent requests: 200, or 503 and why not. See
    /// [`Readiness`](crate::lifecycle::Readiness).
    ///
    /// To be called after the last `layer`: axum's layers wrap what was added before them, and a probe should neither wait in a queue
    /// nor be shed.
    ///
    /// # Panics
    ///
    /// As [`Router::route`], where `path` is no path or taken.
    #[must_use]
    fn with_readiness(self, path: &str, life: &Lifecycle) -> Self;

    /// Shows at `path` what lives in the process, and what stops it. See [`DebugView`](crate::lifecycle::DebugView).
    ///
    /// Anyone who can reach it can read it: it belongs on a port of its own, or behind your authentication.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::Router;
    /// use buttress::{Lifecycle, axum::RouterExt};
    /// use tokio::net::TcpListener;
    ///
    /// let life = Lifecycle::builder().build()?;
    /// let admin = Router::new()
    ///     .with_readiness("/ready", &life)
    ///     .with_debug("/debug/work", &life);
    /// life.serve(TcpListener::bind("127.0.0.1:0").await?, admin);
    /// # life.handle().shutdown();
    /// # life.run().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Router::route`], where `path` is no path or taken.
    #[must_use]
    fn with_debug(self, path: &str, life: &Lifecycle) -> Self;

    /// How [`ClientIp`](super::ClientIp) finds the client of a request to the routes that are there so far: behind so many proxies, in such a
    /// header. Give a [rate limit](crate::RateLimitLayer::by_client) the same.
    #[must_use]
    fn with_client_address(self, client: ClientAddress) -> Self;

    /// Has the socket's other end as axum's `ConnectInfo<SocketAddr>`, too, in requests to the routes and layers that are there so far.
    ///
    /// For handlers and middleware that were written for `axum::serve` and its `into_make_service_with_connect_info`, and are served by
    /// [`Lifecycle::serve`] now. Where the server gives one of its own, that stays.
    ///
    /// ```
    /// use axum::{Router, extract::ConnectInfo, routing::get};
    /// use buttress::axum::RouterExt;
    /// use std::net::SocketAddr;
    ///
    /// async fn whoami(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    ///     peer.to_string()
    /// }
    ///
    /// let app: Router = Router::new().route("/whoami", get(whoami)).with_connect_info();
    /// # let _ = app;
    /// ```
    #[must_use]
    fn with_connect_info(self) -> Self;
}

impl<S> RouterExt for Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    fn with_readiness(self, path: &str, life: &Lifecycle) -> Self {
        self.route_service(path, life.readiness())
    }

    fn with_debug(self, path: &str, life: &Lifecycle) -> Self {
        self.route_service(path, life.handle().debug_view())
    }

    fn with_client_address(self, client: ClientAddress) -> Self {
        self.layer(Extension(client))
    }

    fn with_connect_info(self) -> Self {
        self.layer(map_request(connect_info))
    }
}

async fn connect_info(mut request: Request) -> Request {
    let by_process = request.extensions().get().map(|PeerAddress(address)| *address);
    let by_listener = || {
        request
            .extensions()
            .get()
            .map(|ConnectInfo(PeerAddress(address))| *address)
    };
    let peer = by_process.or_else(by_listener);
    let told = request.extensions().get::<ConnectInfo<SocketAddr>>().is_some();
    if let Some(peer) = peer.filter(|_| !told) {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    request
}

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, VARY},
};
use tower_service::Service;

use self::list::List;
use super::Handle;
use crate::body::Reply;

mod json;
mod list;
mod page;
#[cfg(test)]
mod tests;

/// What lives in this process, and what stops it: a page for people, and JSON for all else. See [`Handle::debug_view`].
///
/// As a service it answers `GET` and `HEAD` on whatever path it is mounted, with the page, or with JSON where it is asked for:
/// `?format=json`, or `accept: application/json`. Clones are of the same process.
///
/// | of a piece of work | |
/// |---|---|
/// | kind, name, owner | as the [registry](crate::registry) has them |
/// | age, deadline | in milliseconds; what is past its deadline is overdue, and comes first |
/// | what stops it | besides its deadline: [what ends its kind](crate::registry::Kind::stopped_by) |
///
/// Beside it stand the queues of the workers: how much waits and runs, for how long the oldest has waited, and whether they are behind or
/// stalled.
///
/// Names are those that the code gave: no header, no path and no argument of a request is shown. It shows 1,000 entries at most, and
/// says how many more there are.
#[derive(Clone)]
pub struct DebugView {
    handle: Handle,
}

impl Handle {
    /// A view of all that lives, for those who operate the process. You mount it yourself, because anyone who can reach it can read it:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::Router;
    /// use buttress::Lifecycle;
    ///
    /// let life = Lifecycle::builder().build()?;
    /// let admin: Router = Router::new().route_service("/debug/work", life.handle().debug_view());
    /// # Ok(()) }
    /// ```
    pub fn debug_view(&self) -> DebugView {
        DebugView { handle: self.clone() }
    }
}

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// What every answer says of itself. The page brings all it needs, so a browser need not load or run anything for it.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (VARY, HeaderValue::from_static("accept")),
    (
        http::header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ),
    (
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Page,
    Json,
}

impl Format {
    /// The query is stronger than the header, for a person can write it.
    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let mut asked = uri.query().unwrap_or_default().split('&');
        if let Some(format) = asked.find_map(|pair| pair.strip_prefix("format=")) {
            return if format == "json" { Self::Json } else { Self::Page };
        }
        let accepts = |what: &str| {
            let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
            lines.flat_map(|line| line.split(',')).any(|range| {
                let range = range.split(';').next().unwrap_or_default();
                range.trim().eq_ignore_ascii_case(what)
            })
        };
        // A browser that would take either is a person's.
        if accepts("application/json") && !accepts("text/html") {
            Self::Json
        } else {
            Self::Page
        }
    }
}

impl DebugView {
    fn answer<B>(&self, request: &Request<B>) -> Response<Reply<String>> {
        let method = request.method();
        if method != Method::GET && method != Method::HEAD {
            let mut response = Response::new(Reply::ours(Bytes::new()));
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, METHODS);
            return response;
        }
        let list = List::of(&self.handle);
        let (kind, text) = match Format::of(request.uri(), request.headers()) {
            Format::Page => (HTML, page::write(&list)),
            Format::Json => (JSON, json::write(&list)),
        };
        let length = text.len();
        let body = if method == Method::HEAD {
            Bytes::new()
        } else {
            text.into()
        };
        let mut response = Response::new(Reply::ours(body));
        let headers = response.headers_mut();
        headers.extend(HEADERS);
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(CONTENT_LENGTH, length.into());
        response
    }
}

impl<B> Service<Request<B>> for DebugView {
    type Response = Response<Reply<String>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&request)))
    }
}

impl fmt::Debug for DebugView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugView").field("of", &self.handle).finish()
    }
}

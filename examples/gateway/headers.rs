//! What a proxy must change in the heads that pass through it (RFC 9110, section 7.6).

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, Version,
    header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE, VIA},
    uri::{Authority, PathAndQuery, Scheme},
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What concerns one connection and not the message. `Trailer` is not among them: it announces a part of the message.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HTTP2_SETTINGS,
];

/// Turns a request that came from `peer` into one for the upstream.
///
/// It is addressed to the upstream's own authority, as most proxies do; which one the caller asked for is in
/// `x-forwarded-host`. The peer is added to `x-forwarded-for`, behind whatever stands there: only the last entry is our word.
pub(crate) fn to_upstream<B>(
    request: &mut Request<B>,
    peer: Option<IpAddr>,
    authority: &Authority,
    http2: bool,
) -> Result<(), http::Error> {
    let asked_for = match request.uri().authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => request.headers().get(HOST).cloned(),
    };
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority.clone())
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()?;
    let via = HeaderValue::from_static(match request.version() {
        Version::HTTP_2 => "2 buttress",
        Version::HTTP_10 => "1.0 buttress",
        _ => "1.1 buttress",
    });
    *request.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };

    let headers = request.headers_mut();
    let takes_trailers = takes_trailers(headers);
    strip_hop_by_hop(headers);
    // The client writes it, from the URI.
    headers.remove(HOST);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if !http2 {
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
    }
    headers.append(VIA, via);
    if let Some(peer) = peer {
        headers.append(FORWARDED_FOR, HeaderValue::from_str(&peer.to_string())?);
    }
    match asked_for {
        Some(host) => headers.insert(FORWARDED_HOST, host),
        None => headers.remove(FORWARDED_HOST),
    };
    Ok(())
}

/// Turns an upstream's response into one for the caller. Its version is the server's business again.
pub(crate) fn to_caller<B>(response: &mut Response<B>) {
    *response.version_mut() = Version::HTTP_11;
    strip_hop_by_hop(response.headers_mut());
}

/// `TE` is said to the next hop alone; that trailers are welcome is worth saying anew, and gRPC depends on it.
fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

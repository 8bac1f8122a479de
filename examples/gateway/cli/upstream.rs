//! Where requests are sent.

use std::{error, fmt, net::SocketAddr, str::FromStr};

use http::uri::{Authority, InvalidUri, Uri};

/// Where requests are sent, and what is spoken there.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) authority: Authority,
    pub(crate) http2: bool,
}

/// Why a URL is not an upstream's.
#[derive(Debug)]
pub(crate) enum InvalidUpstream {
    Url(InvalidUri),
    NoScheme,
    Scheme(String),
    NoHost,
    Credentials,
    Path,
}

impl Upstream {
    /// One that speaks HTTP/1 at this address.
    pub(crate) fn http1(address: SocketAddr) -> Result<Self, InvalidUri> {
        Ok(Self {
            authority: address.to_string().parse()?,
            http2: false,
        })
    }
}

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(url: &str) -> Result<Self, InvalidUpstream> {
        let uri: Uri = url.parse().map_err(InvalidUpstream::Url)?;
        let http2 = match uri.scheme_str() {
            Some("http") => false,
            Some("h2c") => true,
            Some(other) => return Err(InvalidUpstream::Scheme(other.to_owned())),
            None => return Err(InvalidUpstream::NoScheme),
        };
        if uri.path_and_query().is_some_and(|path| path != "/") {
            return Err(InvalidUpstream::Path);
        }
        match uri.into_parts().authority {
            None => Err(InvalidUpstream::NoHost),
            Some(authority) if authority.host().is_empty() => Err(InvalidUpstream::NoHost),
            Some(authority) if authority.as_str().contains('@') => Err(InvalidUpstream::Credentials),
            Some(authority) => Ok(Self { authority, http2 }),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.http2 { "h2c" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl fmt::Display for InvalidUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "not a URL ({error}): expected http://host:port or h2c://host:port"),
            Self::NoScheme => {
                f.write_str("it does not say what to speak: expected http://host:port or h2c://host:port")
            }
            Self::Scheme(scheme) => write!(f, "{scheme}:// is not spoken here: expected http:// or h2c://"),
            Self::NoHost => f.write_str("it names no host"),
            Self::Credentials => f.write_str("a user or a password is not sent to upstreams"),
            Self::Path => f.write_str("requests keep their own path: expected nothing after the port"),
        }
    }
}

impl error::Error for InvalidUpstream {}

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use http::{Uri, header::HOST};

use crate::context::Head;

/// How the head of a request names its destination.
#[derive(Clone, Default)]
pub(crate) enum KeyOf {
    /// By the authority of its URI, else by its `host`: host and port as they are written, without what is left of an `@`,
    /// in whichever case (RFC 3986, section 3.2.2).
    #[default]
    Authority,
    /// By what the user says, to the letter.
    Own(Arc<NameOf>),
}

type NameOf = dyn for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync;

/// A destination as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u64);

impl KeyOf {
    /// Each name that this finds is a destination; all that are `None` share one.
    pub(crate) fn by(name: impl for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync + 'static) -> Self {
        Self::Own(Arc::new(name))
    }

    /// The name of this request's destination. `None` where there is none.
    #[inline]
    pub(crate) fn name<'a>(&self, head: Option<Head<'a>>) -> Option<&'a str> {
        let head = head?;
        match self {
            Self::Authority => authority(head.uri).or_else(|| head.headers.get(HOST)?.to_str().ok()),
            Self::Own(name) => name(head),
        }
    }

    #[inline]
    pub(super) fn key(&self, secret: &RandomState, name: Option<&str>) -> Key {
        let Some(name) = name else { return Key::UNNAMED };
        let mut hasher = secret.build_hasher();
        match self {
            Self::Authority => write_lowercase(&mut hasher, name.as_bytes()),
            Self::Own(_) => hasher.write(name.as_bytes()),
        }
        Key(hasher.finish().max(Key::UNNAMED.0 + 1))
    }
}

fn authority(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?.as_str();
    authority.rsplit('@').next()
}

/// Some bytes at a time, so that no name needs an allocation.
fn write_lowercase(hasher: &mut impl Hasher, name: &[u8]) {
    for piece in name.chunks(64) {
        let mut lower = [0; 64];
        let lower = &mut lower[..piece.len()];
        lower.copy_from_slice(piece);
        lower.make_ascii_lowercase();
        hasher.write(lower);
    }
}

impl Key {
    /// Nobody's: a seat that is free, or is being given to another.
    pub(super) const NOBODY: Self = Self(0);

    /// All that have no name.
    const UNNAMED: Self = Self(1);

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl fmt::Debug for KeyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => "Authority",
            Self::Own(_) => "Own",
        })
    }
}

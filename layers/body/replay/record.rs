use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::room::{Room, Share};

/// What keeping a frame costs beside its data: its place in a list that grows by doubling.
const PER_FRAME: usize = 2 * size_of::<Bytes>();

/// The frames of a body as far as it has been read. They share their bytes with those that were sent.
#[derive(Debug)]
pub(super) struct Record {
    /// None of them empty.
    frames: Vec<Bytes>,
    /// The last frame. Nothing follows it.
    trailers: Option<HeaderMap>,
    /// How much data there is.
    bytes: usize,
    most: usize,
    /// Whether the body knew its size before it was read.
    was_exact: bool,
    share: Share,
}

/// How far a reader of a record has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    frames: usize,
    bytes: usize,
    trailers: bool,
}

impl Record {
    pub(super) fn new(most: usize, room: &'static Room, was_exact: bool) -> Self {
        Self {
            frames: Vec::new(),
            trailers: None,
            bytes: 0,
            most,
            was_exact,
            share: Share::new(room),
        }
    }

    /// Keeps one more frame of data. `false`: it is too much, and the record is of no use any more.
    #[must_use]
    pub(super) fn data(&mut self, data: &Bytes) -> bool {
        // A frame of nothing says nothing, and any number of them is free.
        if data.is_empty() {
            return true;
        }
        if !self.grow(data.len(), self.frames.len() + 1) {
            return false;
        }
        self.frames.push(data.clone());
        true
    }

    /// Keeps the trailers. `false`: as above.
    #[must_use]
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) -> bool {
        let bytes = trailers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if !self.grow(bytes, self.frames.len() + trailers.len()) {
            return false;
        }
        // Their bytes are charged, but are no data.
        self.bytes -= bytes;
        self.trailers = Some(trailers.clone());
        true
    }

    /// Whether a record of so much more in so many pieces is within both bounds. The pieces are bounded as well as the bytes, or a
    /// body sent byte by byte would take thirty times what it may.
    fn grow(&mut self, bytes: usize, pieces: usize) -> bool {
        let overhead = pieces * PER_FRAME;
        let Some(bytes) = self.bytes.checked_add(bytes).filter(|&bytes| bytes <= self.most) else {
            return false;
        };
        if overhead > self.most.max(PER_FRAME) || !self.share.reach(bytes.saturating_add(overhead)) {
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// The frame at this place, which moves on.
    pub(super) fn next(&self, place: &mut Place) -> Option<Frame<Bytes>> {
        if let Some(data) = self.frames.get(place.frames) {
            place.frames += 1;
            place.bytes += data.len();
            return Some(Frame::data(data.clone()));
        }
        if place.trailers {
            return None;
        }
        place.trailers = true;
        self.trailers.clone().map(Frame::trailers)
    }

    /// The place behind all data that is kept.
    pub(super) fn end(&self) -> Place {
        Place {
            frames: self.frames.len(),
            bytes: self.bytes,
            trailers: false,
        }
    }

    /// Whether nothing is left from this place on.
    pub(super) fn is_read(&self, place: &Place) -> bool {
        place.frames == self.frames.len() && (place.trailers || self.trailers.is_none())
    }

    /// The data left from this place on.
    pub(super) fn left(&self, place: &Place) -> u64 {
        (self.bytes - place.bytes) as u64
    }

    /// The size of what is left of a whole body.
    ///
    /// A body that knows its size is sent by HTTP/1 with a `content-length`, behind which there can be no trailers. So one that has
    /// them knows its size only if it knew it the first time.
    pub(super) fn size_hint(&self, place: &Place) -> SizeHint {
        let left = self.left(place);
        if self.trailers.is_none() || place.trailers || self.was_exact {
            return SizeHint::with_exact(left);
        }
        let mut hint = SizeHint::new();
        hint.set_lower(left);
        hint
    }
}

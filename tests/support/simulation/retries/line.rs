//! The service: workers, and a line before them that is first in, first out and without bound.
//!
//! Nobody tells it that a caller left, and what a worker has begun it ends. But where it was told a deadline, and looks at it, a worker
//! does not begin what is late already.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    convert::Infallible,
    future::pending,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{self, Poll},
};

use buttress::Context;
use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response};
use http_body_util::Empty;
use tokio::time::{Instant, sleep_until};
use tower::Service;

use super::{super::random::Takes, drive::seconds, wire::Answering};

/// In such a line it is known on arrival when a worker will take up a call, and when it will be done.
#[derive(Clone)]
pub(crate) struct Line(Arc<Mutex<Workers>>);

struct Workers {
    /// When each will be free.
    free: BinaryHeap<Reverse<Instant>>,
    takes: Takes,
    works: Rng,
    outage: Range<Instant>,
    looks: bool,
}

impl Line {
    /// So many workers, who all stand still during the outage, and then go on where they were.
    pub(crate) fn new(workers: usize, takes: Takes, works: Rng, outage: Range<Instant>) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(Workers {
            free: (0..workers).map(|_| Reverse(now)).collect(),
            takes,
            works,
            outage,
            looks: false,
        })))
    }

    /// The workers look at deadlines.
    pub(crate) fn looks(self, looks: bool) -> Self {
        self.workers().looks = looks;
        self
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workers {
    /// Takes the next worker that will be free, and says when the call is done. `None`: it will not be begun.
    fn take(&mut self, now: Instant, deadline: Option<Instant>) -> Option<Instant> {
        let next = self.free.peek().map_or(now, |Reverse(free)| *free);
        let free = next.max(now);
        let begun = if self.outage.contains(&free) {
            self.outage.end
        } else {
            free
        };
        // It belongs to the call, whether or not it is begun.
        let work = seconds(self.takes.draw(&mut self.works));
        if self.looks && deadline.is_some_and(|deadline| begun >= deadline) {
            return None;
        }
        let mut done = begun + work;
        if begun < self.outage.start && done > self.outage.start {
            done += self.outage.end - self.outage.start;
        }
        self.free.pop();
        self.free.push(Reverse(done));
        Some(done)
    }
}

impl<B> Service<Request<B>> for Line {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Answering {
        let done = self.workers().take(Instant::now(), Context::current().deadline());
        Box::pin(async move {
            match done {
                Some(done) => sleep_until(done).await,
                None => pending().await,
            }
            Ok(Response::new(Empty::new()))
        })
    }
}

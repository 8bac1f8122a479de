use std::{
    fmt, mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{HedgeFuture, flight::Flight, layer::Shared};
use crate::{
    body::{
        BoxError, Tracked,
        replay::{Recording, TakesReplay},
    },
    context::{Head, Scope, clock, home::Homes},
    rejection::Protocol,
    retry::{Again, Ending, Paid},
};

/// The service of [`HedgeLayer`](super::HedgeLayer).
///
/// `poll_ready` is the inner service's, and the service that it made ready has the first attempt. The inner service is called with a
/// body of [`Replay`](crate::body::replay::Replay), is cloned once for each request, and is asked again whether it is ready before each further attempt.
pub struct Hedge<S> {
    pub(super) inner: S,
    pub(super) homes: Homes<Shared>,
}

impl<S, B> Service<Request<B>> for Hedge<S>
where
    S: TakesReplay<B> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<Tracked<S::ResBody, Ending>>;
    type Error = S::Error;
    type Future = HedgeFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.homes.here();
        if shared.is_off {
            return HedgeFuture::alone(self.inner.call(request.map(|body| Recording::none(body).0)));
        }
        let shared = shared.clone();
        let settings = &shared.settings;
        let protocol = Protocol::of(&request);
        let head = Head::from(&request);
        let paid = Paid::first(settings.budgets.of(Some(head), clock::now));
        let timed = shared.delay.begin(head, clock::now);
        let is_hedged = settings.bounds.attempts > 1 && settings.is_idempotent(head);

        let (head, body) = request.into_parts();
        let (body, record) = if is_hedged {
            Recording::begin(body, settings.body_limit)
        } else {
            Recording::none(body)
        };
        // The service that was made ready goes first, and stays for the others.
        let mut service = self.inner.clone();
        mem::swap(&mut service, &mut self.inner);
        let again = is_hedged.then(|| head.clone());
        let scope = Scope::begin();
        let counted = paid.by.counted();
        let call = service.call(Request::from_parts(head, body));
        drop(counted);
        let flight = Flight::new(scope.release(), None, 1, None, call);
        let again = again.map(|head| Again {
            service,
            head,
            body: record,
        });
        HedgeFuture::new(shared, protocol, timed, paid, flight, again)
    }
}

impl<S: Clone> Clone for Hedge<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            homes: self.homes.clone(),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Hedge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

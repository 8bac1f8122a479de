use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Broken, Http, Payload, Plain, Probe,
    scenarios::{Dialect, OfAny, OfHttp, Scenarios},
};
use crate::body::BoxError;

/// The contract, with settings of one's own.
///
/// | setting | default | |
/// |---|---|---|
/// | [`outlives_its_caller`](Self::outlives_its_caller) | no | what is dropped may come to its end first |
/// | [`patience`](Self::patience) | 60 s | how long to wait for a wake, or for what goes on |
#[derive(Clone, Debug)]
#[must_use = "a contract does nothing until a layer is held against it"]
pub struct Contract {
    pub(super) outlives: bool,
    pub(super) patience: Duration,
}

impl Contract {
    /// The contract as [`http`](super::http()) and [`service`](super::service) have it.
    pub const fn new() -> Self {
        Self {
            outlives: false,
            patience: Duration::from_secs(60),
        }
    }

    /// The layer works on when it is dropped, on purpose: then it must have let go of everything once the service below has answered.
    pub const fn outlives_its_caller(mut self) -> Self {
        self.outlives = true;
        self
    }

    /// Waits so long for a wake before it says that there is none, and for what [goes on](Self::outlives_its_caller) to end. More than
    /// the layer itself ever waits.
    pub const fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Holds a layer of HTTP services against it. The layer is put around a [`Probe`], which reads `GET` requests of any body, and answers
    /// with a body of two frames.
    ///
    /// # Errors
    ///
    /// How it breaks the contract.
    pub async fn http<L, B>(&self, layer: L) -> Result<(), Broken>
    where
        L: Layer<Probe<Http>>,
        L::Service: Service<Request<Payload>, Response = Response<B>> + Clone,
        <L::Service as Service<Request<Payload>>>::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        self.hold(layer, OfHttp).await
    }

    /// Holds a layer of any services against it. The layer is put around a [`Probe`], which takes any requests.
    ///
    /// # Errors
    ///
    /// How it breaks the contract.
    pub async fn service<L, R>(&self, layer: L, request: impl FnMut() -> R) -> Result<(), Broken>
    where
        L: Layer<Probe<Plain>>,
        L::Service: Service<R> + Clone,
        <L::Service as Service<R>>::Error: Into<BoxError>,
    {
        self.hold(layer, OfAny(request)).await
    }

    async fn hold<L, M, R, S, D>(&self, layer: L, dialect: D) -> Result<(), Broken>
    where
        L: Layer<Probe<M>, Service = S>,
        S: Service<R> + Clone,
        S::Error: Into<BoxError>,
        D: Dialect<R, S::Response>,
    {
        let violations = Scenarios::new(self, &layer, dialect).run().await;
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Broken { violations })
        }
    }
}

impl Default for Contract {
    fn default() -> Self {
        Self::new()
    }
}

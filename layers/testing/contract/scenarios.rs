//! What is asked of a layer, one scenario after the other, each around a probe of its own.

use std::{error, future::Future, marker::PhantomData, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use tokio::{task::yield_now, time::timeout};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Contract, Payload, Probe, ProbeError, Scenario, Violation,
    board::{Board, Ends, Plan},
    drive::{Driver, Stop},
};
use crate::body::BoxError;

/// More await points than a call of a handful of polls has.
const MOST_POINTS: usize = 256;

/// Long enough to see something spin.
const QUIET: Duration = Duration::from_millis(200);

/// For what was dropped to be let go of by the tasks that hold it.
const TURNS: usize = 16;

/// How requests are made, and answers read to their end.
pub(super) trait Dialect<R, A> {
    const HAS_BODIES: bool;

    fn request(&mut self, board: &Arc<Board>) -> R;

    async fn read(&self, answer: A, driver: &mut Driver) -> Result<Result<(), BoxError>, Stop>;
}

pub(super) struct OfHttp;

impl<B> Dialect<Request<Payload>, Response<B>> for OfHttp
where
    B: Body,
    B::Error: Into<BoxError>,
{
    const HAS_BODIES: bool = true;

    fn request(&mut self, board: &Arc<Board>) -> Request<Payload> {
        let mut request = Request::new(Payload::new(board));
        *request.uri_mut() = http::Uri::from_static("http://probe/");
        request
    }

    async fn read(&self, answer: Response<B>, driver: &mut Driver) -> Result<Result<(), BoxError>, Stop> {
        let mut body = pin!(answer.into_body());
        while !body.is_end_stream() {
            match driver.drive(|cx| body.as_mut().poll_frame(cx)).await? {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Ok(Err(error.into())),
                None => break,
            }
        }
        Ok(Ok(()))
    }
}

pub(super) struct OfAny<F>(pub(super) F);

impl<F, R, A> Dialect<R, A> for OfAny<F>
where
    F: FnMut() -> R,
{
    const HAS_BODIES: bool = false;

    fn request(&mut self, _: &Arc<Board>) -> R {
        (self.0)()
    }

    async fn read(&self, _: A, _: &mut Driver) -> Result<Result<(), BoxError>, Stop> {
        Ok(Ok(()))
    }
}

pub(super) struct Scenarios<'a, L, D, M, R> {
    layer: &'a L,
    dialect: D,
    contract: &'a Contract,
    found: Vec<(Scenario, Violation)>,
    types: PhantomData<fn(M, R)>,
}

/// What came of a call, or of all of them.
type Ended = Result<Result<(), BoxError>, Stop>;

impl<'a, L, D, M, R, S> Scenarios<'a, L, D, M, R>
where
    L: Layer<Probe<M>, Service = S>,
    S: Service<R> + Clone,
    S::Error: Into<BoxError>,
    D: Dialect<R, S::Response>,
{
    pub(super) fn new(contract: &'a Contract, layer: &'a L, dialect: D) -> Self {
        Self {
            layer,
            dialect,
            contract,
            found: Vec::new(),
            types: PhantomData,
        }
    }

    /// All of them.
    pub(super) async fn run(mut self) -> Vec<(Scenario, Violation)> {
        let slow = |ends| Plan { slow: true, ends };
        self.once(Scenario::Quick, Plan::default()).await;
        self.twice(slow(Ends::Well)).await;
        self.cloned(slow(Ends::Well)).await;
        self.once(Scenario::Unready, slow(Ends::Unready)).await;
        self.once(Scenario::Fails, slow(Ends::Failed)).await;
        if D::HAS_BODIES {
            self.once(Scenario::Breaks, slow(Ends::Broken)).await;
        }
        self.once(Scenario::Hangs, slow(Ends::Never)).await;
        self.dropped(Scenario::Dropped, slow(Ends::Well)).await;
        self.dropped(Scenario::DroppedHanging, slow(Ends::Never)).await;
        self.dropped(Scenario::DroppedFailing, slow(Ends::Failed)).await;
        self.found
    }

    async fn once(&mut self, scenario: Scenario, plan: Plan) {
        let (board, mut service, mut driver) = self.probe(plan);
        let ended = self.exchange(&board, &mut service, &mut driver).await;
        self.judge(scenario, &board, ended);
        self.release(scenario, &board, service).await;
    }

    async fn twice(&mut self, plan: Plan) {
        let (board, mut service, mut driver) = self.probe(plan);
        for _ in 0..2 {
            let ended = self.exchange(&board, &mut service, &mut driver).await;
            self.judge(Scenario::Slow, &board, ended);
        }
        self.release(Scenario::Slow, &board, service).await;
    }

    /// Of a service that is ready, a clone is made, and called to its end; and then the service, which still is.
    async fn cloned(&mut self, plan: Plan) {
        let (board, mut service, mut driver) = self.probe(plan);
        if let Ok(Ok(())) = driver.drive(|cx| service.poll_ready(cx)).await {
            let mut clone = service.clone();
            let ended = self.exchange(&board, &mut clone, &mut driver).await;
            self.judge(Scenario::Clones, &board, ended);
            let ended = self.call(&board, &mut service, &mut driver).await;
            self.judge(Scenario::Clones, &board, ended);
        }
        self.release(Scenario::Clones, &board, service).await;
    }

    /// Dropped after no poll, one, two, and so on, up to the end.
    async fn dropped(&mut self, scenario: impl Fn(usize) -> Scenario, plan: Plan) {
        for polls in 0..MOST_POINTS {
            let (board, mut service, mut driver) = self.probe(plan);
            driver.drop_after = Some(polls);
            let _ = self.exchange(&board, &mut service, &mut driver).await;
            self.release(scenario(polls), &board, service).await;
            if !driver.has_dropped() {
                return;
            }
        }
    }

    fn probe(&self, plan: Plan) -> (Arc<Board>, S, Driver) {
        let board = Board::new(plan);
        let may_hang = plan.ends == Ends::Never;
        let mut driver = Driver::new(&board, if may_hang { QUIET } else { self.contract.patience });
        driver.may_hang = may_hang;
        let service = self.layer.layer(Probe::new(&board));
        (board, service, driver)
    }

    async fn exchange(&mut self, board: &Arc<Board>, service: &mut S, driver: &mut Driver) -> Ended {
        match driver.drive(|cx| service.poll_ready(cx)).await? {
            Ok(()) => self.call(board, service, driver).await,
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn call(&mut self, board: &Arc<Board>, service: &mut S, driver: &mut Driver) -> Ended {
        let mut call = pin!(service.call(self.dialect.request(board)));
        match driver.drive(|cx| call.as_mut().poll(cx)).await? {
            Ok(answer) => self.dialect.read(answer, driver).await,
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// The layer may end a call by itself, well or not, as long as the probe has not.
    fn judge(&mut self, scenario: Scenario, board: &Board, ended: Ended) {
        match ended {
            Ok(Err(error)) if board.has_failed() && is_ours(&*error) => {}
            Ok(_) if board.has_failed() => self.find(scenario, Violation::Swallowed),
            Ok(Err(error)) if board.has_answered() => {
                let how = error.to_string();
                self.find(scenario, Violation::Failed { how });
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Drops the service, the last that there is of it, and sees what is still held.
    async fn release(&mut self, scenario: Scenario, board: &Arc<Board>, service: S) {
        drop(service);
        if self.contract.outlives {
            // What goes on may come to its end.
            board.open();
            let released = async {
                while !board.held().is_empty() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let _ = timeout(self.contract.patience, released).await;
        }
        for _ in 0..TURNS {
            if board.held().is_empty() {
                break;
            }
            yield_now().await;
        }
        for violation in board.take_violations() {
            self.find(scenario, violation);
        }
        for (what, count) in board.held() {
            self.find(scenario, Violation::Kept { what, count });
        }
    }

    fn find(&mut self, scenario: Scenario, violation: Violation) {
        if !self.found.iter().any(|(_, found)| *found == violation) {
            self.found.push((scenario, violation));
        }
    }
}

/// Whether this error is the probe's, or has it for a cause.
fn is_ours(error: &(dyn error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(<dyn error::Error>::is::<ProbeError>)
}

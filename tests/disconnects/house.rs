//! Three tiers, each a process of its own with a server, a limit, a budget and a client; and the books that all of them keep.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode, uri::PathAndQuery},
    routing::get as on_get,
};
use buttress::{
    BoxError, Cancelled, ConcurrencyLimitLayer, Context, DeadlineLayer, Lifecycle, PropagateDeadlineLayer, RetryLayer,
    budget::Budget, lifecycle::Handle, retry::Backoff,
};
use http_body_util::BodyExt;
use hyper_util::client::legacy;
use tokio::{sync::Semaphore, time::Instant};
use tonic::{Status, client::GrpcService, service::Routes};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};

use super::ledger::Ledger;
use crate::support::{
    Guard, Version, client, get,
    grpc::{self, Speaker, Speech, UNARY, Words, words_without_end},
    listener, soon,
    tier::Wire,
};

const HOUR: Duration = Duration::from_secs(3_600);

// === the plan ===

/// What is to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Answer,
    /// The bottom is unavailable the first time, and the tier above it tries again.
    AnswerAtLast,
    /// Its caller leaves when it has reached the bottom.
    Leave,
    /// Its caller leaves when the bottom was unavailable, while the tier above it is about to try again.
    LeaveBetween,
}

impl Plan {
    pub(crate) const ALL: [Self; 8] = [
        Self::AnswerAtLast,
        Self::Leave,
        Self::Answer,
        Self::Leave,
        Self::Answer,
        Self::Leave,
        Self::Answer,
        Self::LeaveBetween,
    ];

    /// Of a caller's request of this number.
    pub(crate) fn of(number: usize) -> Self {
        Self::ALL[number % Self::ALL.len()]
    }

    pub(crate) fn leaves(self) -> bool {
        matches!(self, Self::Leave | Self::LeaveBetween)
    }
}

// === the books ===

/// How pieces of work of one kind began and ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    began: AtomicU64,
    ended: Mutex<HashMap<Option<Cancelled>, u64>>,
}

impl Tally {
    pub(crate) fn began(&self) -> u64 {
        self.began.load(Ordering::Relaxed)
    }

    /// How many had ended with their context ended for this reason; or with none, where they ended first.
    pub(crate) fn ended_as(&self, why: Option<Cancelled>) -> u64 {
        self.ended.lock().unwrap().get(&why).copied().unwrap_or_default()
    }

    fn all_have_ended(&self) -> bool {
        self.ended.lock().unwrap().values().sum::<u64>() == self.began()
    }
}

/// What becomes of each request.
#[derive(Debug)]
pub(crate) struct Books {
    callers: usize,
    requests: Vec<Entry>,
    /// By caller: it is time to leave.
    leave: Vec<Semaphore>,
    handlers: [Tally; 3],
    tasks: [Tally; 3],
}

#[derive(Debug, Default)]
struct Entry {
    attempts: AtomicU64,
    left: OnceLock<Instant>,
    ended: OnceLock<Instant>,
}

fn index(tier: char) -> usize {
    usize::from(tier as u8 - b'A')
}

impl Books {
    pub(crate) fn new(requests: usize, callers: usize) -> Arc<Self> {
        Arc::new(Self {
            callers,
            requests: (0..requests).map(|_| Entry::default()).collect(),
            leave: (0..callers).map(|_| Semaphore::new(0)).collect(),
            handlers: Default::default(),
            tasks: Default::default(),
        })
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn handlers(&self, tier: char) -> &Tally {
        &self.handlers[index(tier)]
    }

    pub(crate) fn tasks(&self, tier: char) -> &Tally {
        &self.tasks[index(tier)]
    }

    fn plan(&self, number: usize) -> Plan {
        Plan::of(number / self.callers)
    }

    pub(crate) async fn is_time_to_leave(&self, number: usize) {
        soon(self.leave[number % self.callers].acquire())
            .await
            .unwrap()
            .forget();
    }

    fn let_leave(&self, number: usize) {
        self.leave[number % self.callers].add_permits(1);
    }

    pub(crate) fn left(&self, number: usize) {
        self.requests[number].left.set(Instant::now()).expect("it leaves once");
    }

    pub(crate) async fn all_have_ended(&self) {
        let all = || self.handlers.iter().chain(&self.tasks).all(Tally::all_have_ended);
        while !all() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How long the work at the bottom went on after its caller had left.
    pub(crate) fn went_on(&self) -> Vec<Duration> {
        let of = |entry: &Entry| Some(entry.ended.get()?.saturating_duration_since(*entry.left.get()?));
        self.requests.iter().filter_map(of).collect()
    }
}

// === the tiers ===

type Http = BoxCloneSyncService<Request<Body>, Response<Body>, legacy::Error>;
type Grpc = BoxCloneSyncService<Request<tonic::body::Body>, Response<tonic::body::Body>, legacy::Error>;

/// What calls the next tier.
#[derive(Clone)]
enum Client {
    Http(Http, SocketAddr),
    Grpc(Grpc, SocketAddr),
}

/// One of the three.
pub(crate) struct Tier {
    pub(crate) name: char,
    address: SocketAddr,
    /// Until it is ended.
    life: Option<Lifecycle>,
    handle: Handle,
    served: ConcurrencyLimitLayer,
    called: ConcurrencyLimitLayer,
    ledger: Arc<Ledger>,
}

/// What its handler has.
#[derive(Clone)]
struct Handler {
    name: char,
    next: Option<Client>,
    books: Arc<Books>,
}

/// All of them, from the first.
pub(crate) struct House(Vec<Tier>);

impl House {
    pub(crate) async fn build(wire: Wire, books: &Arc<Books>) -> Self {
        let mut tiers: Vec<Tier> = Vec::new();
        for name in ['C', 'B', 'A'] {
            let (called, ledger) = (ConcurrencyLimitLayer::new(10_000), Arc::<Ledger>::default());
            let next = tiers
                .first()
                .map(|tier| Client::new(wire, tier.address, &called, &ledger));
            let handler = Handler {
                name,
                next,
                books: books.clone(),
            };
            tiers.insert(0, Tier::start(wire, handler, called, ledger).await);
        }
        Self(tiers)
    }

    pub(crate) fn first(&self) -> SocketAddr {
        self.0[0].address
    }

    /// Ends one after the other, and gives what is left of them.
    pub(crate) async fn end(mut self) -> Vec<Tier> {
        for tier in &mut self.0 {
            let life = tier.life.take().expect("it ends once");
            tier.handle.shutdown();
            let report = soon(life.run()).await;
            assert!(report.is_clean(), "{}: {report}", tier.name);
        }
        self.0
    }
}

impl Tier {
    async fn start(wire: Wire, handler: Handler, called: ConcurrencyLimitLayer, ledger: Arc<Ledger>) -> Self {
        let life = Lifecycle::builder().build().unwrap();
        let (listener, address) = listener().await;
        let (name, served) = (handler.name, ConcurrencyLimitLayer::new(10_000));
        let app = match wire {
            Wire::Http1 | Wire::Http2 => Router::new().route("/", on_get(Handler::answer)).with_state(handler),
            Wire::Grpc => Routes::new(Speaker(handler)).into_axum_router(),
        };
        life.serve(listener, app.layer(served.clone()).layer(DeadlineLayer::new(HOUR)));
        Self {
            name,
            address,
            handle: life.handle(),
            life: Some(life),
            served,
            called,
            ledger,
        }
    }

    /// No permit, no token, and nothing in the registry.
    pub(crate) fn holds_nothing(&self) {
        for limit in [&self.served, &self.called] {
            let now = limit.limit().snapshot();
            assert_eq!((now.in_flight, now.queued), (0, 0), "{}", self.name);
        }
        let again = self.ledger.is_balanced();
        assert!(self.name != 'B' || again > 0, "nothing was tried again");
        assert!(self.handle.snapshot().is_empty(), "{}", self.name);
    }
}

impl Client {
    fn new(wire: Wire, next: SocketAddr, limit: &ConcurrencyLimitLayer, ledger: &Arc<Ledger>) -> Self {
        let retry = RetryLayer::new().budget(Budget::with_law(ledger.clone()));
        let retry = retry.backoff(Backoff::new(Duration::from_millis(2), Duration::from_millis(8)));
        let stack = ServiceBuilder::new()
            .layer(retry)
            .layer(limit.clone())
            .layer(PropagateDeadlineLayer::new());
        match wire {
            Wire::Http1 | Wire::Http2 => {
                let version = if wire == Wire::Http1 {
                    Version::Http1
                } else {
                    Version::Http2
                };
                let client = stack.service(client(version));
                let client = client.map_response(|response| response.map(Body::new));
                Self::Http(BoxCloneSyncService::new(client), next)
            }
            Wire::Grpc => {
                let client = stack.service(client(Version::Http2));
                let client = client.map_response(|response| response.map(tonic::body::Body::new));
                Self::Grpc(BoxCloneSyncService::new(client), next)
            }
        }
    }

    /// Whether it was answered, in full: who drops an answer unread has left, too.
    async fn call(&self, number: usize) -> bool {
        match self {
            Self::Http(client, next) => {
                let mut request = get(*next, "/");
                request.headers_mut().insert("x-number", number.into());
                let Ok(answer) = client.clone().oneshot(request).await else {
                    return false;
                };
                let is_success = answer.status() == StatusCode::OK;
                answer.into_body().collect().await.is_ok() && is_success
            }
            Self::Grpc(client, next) => say(client.clone(), *next, number).await.is_ok(),
        }
    }
}

/// A unary call that says which it is.
pub(crate) async fn say<S>(service: S, address: SocketAddr, number: usize) -> Result<String, Status>
where
    S: GrpcService<tonic::body::Body>,
    S::ResponseBody: http_body::Body + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<BoxError>,
{
    let origin = format!("http://{address}").parse().expect("an address is a host");
    let mut grpc = tonic::client::Grpc::with_origin(service, origin);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::from_error(error.into()))?;
    let mut request = tonic::Request::new(String::new());
    request.metadata_mut().insert("x-number", number.into());
    let answer = grpc.unary(request, PathAndQuery::from_static(UNARY), grpc::codec());
    answer.await.map(tonic::Response::into_inner)
}

// === what they do ===

impl Handler {
    async fn answer(State(handler): State<Self>, headers: HeaderMap) -> (StatusCode, &'static str) {
        if handler.work(&headers).await {
            (StatusCode::OK, "done")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not now")
        }
    }

    /// A handler, and a task that it spawned and that ends with it. Whether there is an answer.
    async fn work(&self, headers: &HeaderMap) -> bool {
        let number: usize = headers["x-number"].to_str().unwrap().parse().unwrap();
        let _handler = self.part(number, |books| &books.handlers);
        let task = self.part(number, |books| &books.tasks);
        drop(Context::current().spawn("task", async move {
            let _task = task;
            std::future::pending::<()>().await;
        }));
        if let Some(next) = &self.next {
            return next.call(number).await;
        }
        let is_first = self.books.requests[number].attempts.fetch_add(1, Ordering::Relaxed) == 0;
        match self.books.plan(number) {
            Plan::Answer => true,
            Plan::AnswerAtLast => !is_first,
            Plan::LeaveBetween if is_first => {
                self.books.let_leave(number);
                false
            }
            Plan::Leave | Plan::LeaveBetween => {
                if is_first {
                    self.books.let_leave(number);
                }
                std::future::pending().await
            }
        }
    }

    /// A part of the work, whose beginning and end are in the books.
    fn part(&self, number: usize, of: fn(&Books) -> &[Tally; 3]) -> Guard {
        let (tier, books) = (index(self.name), self.books.clone());
        of(&books)[tier].began.fetch_add(1, Ordering::Relaxed);
        Guard::new(move |why| {
            if tier == 2 && books.plan(number) == Plan::Leave {
                // The first of its parts, or the last: it is the last that counts.
                let _ = books.requests[number].ended.set(Instant::now());
            }
            *of(&books)[tier].ended.lock().unwrap().entry(why).or_default() += 1;
        })
    }
}

impl Speech for Handler {
    async fn say(&self, headers: HeaderMap) -> Result<String, Status> {
        if self.work(&headers).await {
            Ok("done".to_owned())
        } else {
            Err(Status::unavailable("not now"))
        }
    }

    fn list(&self) -> Words {
        words_without_end(&[])
    }
}

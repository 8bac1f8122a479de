//! Three tiers: a client calls A, which calls B, which calls C. Each is a server of its own on a socket of its own.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::State, routing::get as on_get};
use buttress::{
    CancelLayer, Cancelled, Context, DeadlineLayer, PropagateDeadlineLayer, Rejection, context::wire::DeadlineHeaders,
    deadline::PropagateDeadline,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use tonic::{Code, Status};
use tower::{Layer, ServiceExt};

use super::{Guard, Heard, HttpClient, Tell, Version, client, get, grpc, log};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Http1,
    Http2,
    Grpc,
}

impl Wire {
    /// The code of a deadline that passed.
    pub(crate) fn late(self) -> u16 {
        match self {
            Self::Http1 | Self::Http2 => 504,
            Self::Grpc => 4,
        }
    }
}

/// What the tiers do when they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// C answers; A and B pass on what they get.
    Answer,
    /// C never answers; A and B pass on what they get.
    Wait,
    /// None ever answers, whatever it gets.
    Stubborn,
}

#[derive(Debug)]
pub(crate) enum News {
    Arrived(Arrival),
    Ended(Ended),
    Answered,
}

/// What a tier saw of its deadline.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) name: char,
    pub(crate) header: Option<Duration>,
    pub(crate) remaining: Option<Duration>,
}

/// A part of a tier was dropped, and why its context had ended by then.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) tier: char,
    pub(crate) part: &'static str,
    pub(crate) why: Option<Cancelled>,
}

/// An HTTP status or a gRPC code, and the text beside it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) text: String,
}

/// Three tiers that run. The first is what a client calls.
pub(crate) struct House {
    pub(crate) first: SocketAddr,
    pub(crate) caller: Caller,
    pub(crate) news: Heard<News>,
    pub(crate) tell: Tell<News>,
}

impl House {
    /// Each tier holds back this margin when it calls the next.
    pub(crate) async fn build(wire: Wire, script: Script, margin: Duration) -> Self {
        let (tell, news) = log();
        let layer = PropagateDeadlineLayer::new().margin(margin);
        let mut next = None;
        for name in ['C', 'B', 'A'] {
            let tier = Tier {
                name,
                script,
                next,
                tell: tell.clone(),
            };
            let address = tier.serve(wire).await;
            next = Some((address, Caller::new(wire, &layer)));
        }
        let (first, caller) = next.expect("the last of them is A");
        Self {
            first,
            caller,
            news,
            tell,
        }
    }

    /// Calls A, which is told to answer within `timeout`.
    pub(crate) async fn call(&self, timeout: Duration) -> Answer {
        self.caller.call(self.first, Some(timeout)).await
    }

    /// What A, B and C saw, once all three are at work.
    pub(crate) async fn arrivals(&mut self) -> [Arrival; 3] {
        let mut arrivals = Vec::new();
        while arrivals.len() < 3 {
            if let News::Arrived(arrival) = self.news.next().await {
                arrivals.push(arrival);
            }
        }
        arrivals.try_into().expect("three")
    }

    /// Why the next `parts` parts ended, by the part.
    pub(crate) async fn ends(&mut self, parts: usize) -> BTreeMap<(char, &'static str), Option<Cancelled>> {
        let mut ends = BTreeMap::new();
        while ends.len() < parts {
            if let News::Ended(Ended { tier, part, why }) = self.news.next().await {
                ends.insert((tier, part), why);
            }
        }
        ends
    }
}

/// A client whose calls carry what remains of the deadline in scope.
#[derive(Clone)]
pub(crate) enum Caller {
    Http(PropagateDeadline<HttpClient<Body>>),
    Grpc(PropagateDeadline<HttpClient<tonic::body::Body>>),
}

impl Caller {
    fn new(wire: Wire, layer: &PropagateDeadlineLayer) -> Self {
        match wire {
            Wire::Http1 => Self::Http(layer.layer(client(Version::Http1))),
            Wire::Http2 => Self::Http(layer.layer(client(Version::Http2))),
            Wire::Grpc => Self::Grpc(layer.layer(client(Version::Http2))),
        }
    }

    pub(crate) async fn call(&self, address: SocketAddr, timeout: Option<Duration>) -> Answer {
        match self {
            Self::Http(client) => Answer::of_http(client.clone(), address, timeout).await,
            Self::Grpc(client) => grpc::unary(client.clone(), address, timeout).await.into(),
        }
    }
}

impl Answer {
    async fn of_http(
        client: PropagateDeadline<HttpClient<Body>>,
        address: SocketAddr,
        timeout: Option<Duration>,
    ) -> Self {
        let mut request = get(address, "/");
        if let Some(timeout) = timeout {
            let millis = timeout.as_millis().to_string().parse().expect("digits");
            request.headers_mut().insert("x-request-timeout-ms", millis);
        }
        let broken = |what: &str, error: &dyn std::fmt::Debug| Self {
            code: 502,
            text: format!("{what} broke: {error:?}"),
        };
        let response = match client.oneshot(request).await {
            Ok(response) => response,
            Err(error) => return broken("head", &error),
        };
        let code = response.status().as_u16();
        match response.into_body().collect().await {
            Ok(body) => Self {
                code,
                text: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            },
            // Its own client cut it, at the deadline that they share.
            Err(error) => match error.downcast_ref::<Rejection>() {
                Some(rejection) => Self {
                    code: rejection.reason().http_status().as_u16(),
                    text: rejection.message().to_owned(),
                },
                None => broken("body", &error),
            },
        }
    }
}

impl From<Result<String, Status>> for Answer {
    fn from(answer: Result<String, Status>) -> Self {
        let (code, text) = match answer {
            Ok(text) => (Code::Ok, text),
            Err(status) => (status.code(), status.message().to_owned()),
        };
        Self {
            code: u16::try_from(i32::from(code)).expect("0 to 16"),
            text,
        }
    }
}

#[derive(Clone)]
struct Tier {
    name: char,
    script: Script,
    next: Option<(SocketAddr, Caller)>,
    tell: Tell<News>,
}

impl Tier {
    async fn serve(self, wire: Wire) -> SocketAddr {
        let deadline = DeadlineLayer::new(Duration::from_secs(30));
        if wire == Wire::Grpc {
            let server = tonic::transport::Server::builder();
            return grpc::serve(server.layer(deadline).layer(CancelLayer::new()), self).await;
        }
        let app = Router::new().route("/", on_get(Self::handle)).with_state(self);
        super::serve(app.layer(CancelLayer::new()).layer(deadline)).await
    }

    async fn handle(State(tier): State<Self>, headers: HeaderMap) -> Response<Body> {
        let Answer { code, text } = tier.work(&headers, StatusCode::OK.as_u16()).await;
        let response = Response::builder().status(code).body(text.into());
        response.expect("a status")
    }

    /// A handler, a task it spawned, and its call to the next tier: each tells its end.
    async fn work(&self, headers: &HeaderMap, ok: u16) -> Answer {
        let context = Context::current();
        let _handler = self.guard("handler");
        let task = self.guard("task");
        drop(context.spawn("tier", async move {
            let _task = task;
            std::future::pending::<()>().await;
        }));
        let header = DeadlineHeaders::default().read(headers).timeout;
        self.tell.tell(News::Arrived(Arrival {
            name: self.name,
            header,
            remaining: context.remaining(),
        }));
        let answer = match &self.next {
            Some((address, caller)) => {
                let _call = self.guard("call");
                // As proxies do, it passes on the header it got; what remains must take its place.
                Some(caller.call(*address, header).await)
            }
            None if self.script == Script::Answer => Some(Answer {
                code: ok,
                text: "done".to_owned(),
            }),
            None => None,
        };
        match answer.filter(|_| self.script != Script::Stubborn) {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    fn guard(&self, part: &'static str) -> Guard {
        let (tier, tell) = (self.name, self.tell.clone());
        Guard::new(move |why| tell.tell(News::Ended(Ended { tier, part, why })))
    }
}

impl grpc::Speech for Tier {
    async fn say(&self, headers: HeaderMap) -> Result<String, Status> {
        let Answer { code, text } = self.work(&headers, 0).await;
        match Code::from(i32::from(code)) {
            Code::Ok => Ok(text),
            code => Err(Status::new(code, text)),
        }
    }

    fn list(&self) -> grpc::Words {
        grpc::words_without_end(&["one", "two", "three"])
    }
}

//! The gateway as a process, upstreams for it, and a client.

#[path = "leakless.rs"]
pub(crate) mod leakless;
#[path = "page.rs"]
mod page;

use std::{
    convert::Infallible,
    env::consts::EXE_SUFFIX,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request, response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    net::{TcpListener, TcpSocket, TcpStream},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

pub(crate) use self::page::Page;

pub(crate) const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A body of any kind.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A response and all of its body: data and trailers.
pub(crate) struct Answer {
    pub(crate) head: response::Parts,
    pub(crate) text: String,
    pub(crate) trailers: Option<HeaderMap>,
}

/// A gateway that runs, until this is dropped.
pub(crate) struct Gateway {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    pub(crate) url: String,
    pub(crate) admin: String,
}

/// Runs a gateway that must not start: its exit code, and what it says.
pub(crate) async fn fails(args: &[&str]) -> (Option<i32>, String) {
    let output = command().args(args).stderr(Stdio::piped()).output();
    let output = soon(output).await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The gateway's command, to be killed where the test ends first.
///
/// # Panics
///
/// Where the example is not built, as with `cargo test --test gateway`.
fn command() -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let gateway = profile.join("examples").join(format!("gateway{EXE_SUFFIX}"));
    assert!(gateway.exists(), "first: cargo build --example gateway");
    let mut command = Command::new(gateway);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

impl Gateway {
    /// Starts one with these upstreams, on free ports.
    pub(crate) async fn before(upstreams: &[&str]) -> Self {
        let args: Vec<_> = upstreams.iter().flat_map(|url| ["--upstream", url]).collect();
        Self::with(&args).await
    }

    /// Starts one with these arguments, on free ports.
    pub(crate) async fn with(args: &[&str]) -> Self {
        Self::start(args, Stdio::null()).await
    }

    /// The same, and what it writes to its standard error. To be read, for it waits where nobody does.
    pub(crate) async fn logging(args: &[&str]) -> (Self, Lines<BufReader<ChildStderr>>) {
        let mut gateway = Self::start(args, Stdio::piped()).await;
        let stderr = gateway.child.stderr.take().unwrap();
        (gateway, BufReader::new(stderr).lines())
    }

    async fn start(args: &[&str], stderr: Stdio) -> Self {
        let mut command = command();
        command
            .stderr(stderr)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(args);
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut gateway = Self {
            child,
            stdout: BufReader::new(stdout).lines(),
            url: String::new(),
            admin: String::new(),
        };
        gateway.url = gateway.line_with("listening on ").await;
        gateway.admin = gateway.line_with("admin on ").await;
        gateway
    }

    /// Waits for a line that begins like this, and gives the rest of it.
    pub(crate) async fn line_with(&mut self, prefix: &str) -> String {
        let line = async {
            loop {
                let line = self.stdout.next_line().await.unwrap().expect("it goes on");
                if let Some(rest) = line.strip_prefix(prefix) {
                    return rest.to_owned();
                }
            }
        };
        soon(line).await
    }

    /// Sends it a signal: `TERM`, say.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for its end, and gives its exit code.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        soon(self.child.wait()).await.unwrap().code()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> request::Builder {
        Request::get(format!("{}{path}", self.url))
    }

    /// A gRPC call, as far as a proxy can see.
    pub(crate) fn grpc(&self) -> request::Builder {
        Request::post(format!("{}/pkg.Service/Method", self.url))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    }

    /// What `/metrics` says.
    pub(crate) async fn page(&self) -> Page {
        let request = Request::get(format!("{}/metrics", self.admin));
        let answer = http1(request).await;
        assert_eq!(answer.head.headers["content-type"], "text/plain; version=0.0.4");
        Page::parse(&answer.text)
    }

    /// Checks that `/metrics` has these samples. Labels that are not named here may have any value: then it is the sum.
    pub(crate) async fn tells(&self, samples: &[&str]) {
        let page = self.page().await;
        for sample in samples {
            assert!(page.has(sample), "{sample} is not in {page:#?}");
        }
    }
}

/// Bounds a wait, so that a test which fails ends.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("in 20 s")
}

pub(crate) fn client(http2: bool) -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build(HttpConnector::new())
}

/// Sends a request without a body over HTTP/1.
pub(crate) async fn http1(request: request::Builder) -> Answer {
    read(
        soon(client(false).request(request.body(empty()).unwrap()))
            .await
            .unwrap(),
    )
    .await
}

/// Sends a request without a body over HTTP/2.
pub(crate) async fn http2(request: request::Builder) -> Answer {
    read(
        soon(client(true).request(request.body(empty()).unwrap()))
            .await
            .unwrap(),
    )
    .await
}

pub(crate) async fn read(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = soon(body.collect()).await.expect("a whole body");
    let trailers = body.trailers().cloned();
    let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    Answer { head, text, trailers }
}

pub(crate) fn empty() -> Body {
    Empty::new().boxed_unsync()
}

pub(crate) fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().unwrap())
}

/// An upstream that answers, in HTTP/1 and HTTP/2. Gives its host and port.
pub(crate) async fn upstream<F, B>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static) -> String
where
    F: Future<Output = Response<B>> + Send + 'static,
    B: HttpBody<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    leakless::serves(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// An upstream where nobody listens. It is dead for as long as the socket is held: nobody else gets its port.
pub(crate) fn dead() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(LOCAL.into()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    (socket, url)
}

/// An upstream whose connections are accepted, by the kernel at the latest, and never answered.
pub(crate) async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Accepts a connection and reads the head of an HTTP/1 request from it.
pub(crate) async fn accept_head(listener: &TcpListener) -> (TcpStream, String) {
    let head = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        (stream, String::from_utf8(head).unwrap())
    };
    soon(head).await
}

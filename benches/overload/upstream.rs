//! The upstream: ten workers, an unbounded queue, and no idea who still waits.

use std::{
    cell::RefCell, cmp::Reverse, collections::BinaryHeap, convert::Infallible, fmt, io, rc::Rc, str::FromStr,
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::spawn_local,
    time::{Instant, sleep_until},
};

const WORKERS: usize = 10;

/// How long one request keeps a worker, on average.
const SERVICE: Duration = Duration::from_millis(20);

/// What is done for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// It waits for a worker, and keeps it.
    Queued { seed: u64 },
    /// Nothing.
    AtOnce,
}

/// When each worker will be free.
///
/// In a queue that is first in, first out, where nothing is ever taken back, when a request will be done is known as it arrives:
/// so it needs neither tasks nor locks, and one that leaves changes nothing.
struct Workers {
    free: BinaryHeap<Reverse<Instant>>,
    random: Rng,
}

impl Workers {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self {
            free: (0..WORKERS).map(|_| Reverse(now)).collect(),
            random: Rng::with_seed(seed),
        }
    }

    /// Takes the next worker that will be free, and says when the work is done.
    fn take(&mut self) -> Instant {
        let now = Instant::now();
        let free = self.free.pop().map_or(now, |Reverse(free)| free.max(now));
        let done = free + exponential(&mut self.random, SERVICE);
        self.free.push(Reverse(done));
        done
    }
}

/// A duration of this mean, exponentially distributed.
pub(crate) fn exponential(random: &mut Rng, mean: Duration) -> Duration {
    mean.mul_f64(-(1.0 - random.f64()).ln())
}

/// Says where it listens, and serves for ever.
pub(crate) async fn serve(work: Work) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let workers = match work {
        Work::Queued { seed } => Some(Rc::new(RefCell::new(Workers::new(seed)))),
        Work::AtOnce => None,
    };
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let workers = workers.clone();
        let answer = service_fn(move |_: Request<Incoming>| {
            let done = workers.as_ref().map(|workers| workers.borrow_mut().take());
            async move {
                if let Some(done) = done {
                    sleep_until(done).await;
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"done"))))
            }
        });
        spawn_local(async move {
            // A connection that breaks is its caller's affair.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued { seed } => write!(f, "{seed}"),
            Self::AtOnce => f.write_str("at-once"),
        }
    }
}

impl FromStr for Work {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "at-once" => Ok(Self::AtOnce),
            seed => Ok(Self::Queued { seed: seed.parse()? }),
        }
    }
}

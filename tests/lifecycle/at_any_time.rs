//! What holds whatever a process runs, and whenever it is told to end.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use buttress::{
    BoxError, Context, DeadlineLayer, Lifecycle, TimeoutLayer,
    lifecycle::{
        Handle, Report,
        worker::{Failed, Queue},
    },
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, service_fn};

const S: Duration = Duration::from_secs(1);

/// Runs it on a paused clock of its own.
fn paused<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

/// So many seconds, or for ever.
type Seconds = Option<u32>;

fn seconds() -> impl Strategy<Value = Seconds> {
    prop_oneof![4 => (0..30_u32).prop_map(Some), 1 => Just(None)]
}

async fn lasts(seconds: Seconds) {
    match seconds {
        Some(seconds) => sleep(seconds * S).await,
        None => pending().await,
    }
}

/// When a process is told to end, when again, and what it has for its end.
#[derive(Clone, Copy, Debug)]
struct Stop {
    after: u32,
    again_after: Option<u32>,
    budget: u32,
    grace: u32,
}

fn stop() -> impl Strategy<Value = Stop> {
    let stop = (0..20_u32, prop::option::of(0..20_u32), 0..30_u32, 1..5_u32);
    stop.prop_map(|(after, again_after, budget, grace)| Stop {
        after,
        again_after,
        budget,
        grace,
    })
}

impl Stop {
    fn life(self) -> Lifecycle {
        let builder = Lifecycle::builder().budget(self.budget * S).grace(self.grace * S);
        builder.ready_delay(self.budget * S / 8).build().unwrap()
    }

    /// Runs it to its end, and gives when that was.
    async fn run(self, life: Lifecycle) -> (Report, Instant) {
        let handle = life.handle();
        let run = tokio::spawn(async { (life.run().await, Instant::now()) });
        sleep(self.after * S).await;
        handle.shutdown();
        if let Some(after) = self.again_after {
            sleep(after * S).await;
            handle.abort();
        }
        run.await.unwrap()
    }
}

// === in time ===

/// What a process may run, and how long it takes if nothing ends it.
#[derive(Clone, Copy, Debug)]
enum Runs {
    Task(Seconds),
    TaskOfTask(Seconds),
    Shield(u32, Seconds),
    Detached(u32, Seconds),
    Critical(Seconds),
    Job(Seconds),
    Hook(Seconds),
}

fn runs() -> impl Strategy<Value = Runs> {
    prop_oneof![
        seconds().prop_map(Runs::Task),
        seconds().prop_map(Runs::TaskOfTask),
        (0..60_u32, seconds()).prop_map(|(max, takes)| Runs::Shield(max, takes)),
        (0..60_u32, seconds()).prop_map(|(max, takes)| Runs::Detached(max, takes)),
        seconds().prop_map(Runs::Critical),
        seconds().prop_map(Runs::Job),
        seconds().prop_map(Runs::Hook),
    ]
}

impl Runs {
    fn start(self, life: &Lifecycle, jobs: &Queue<Seconds>) {
        let context = life.handle().context();
        match self {
            Self::Task(takes) => drop(context.spawn("task", lasts(takes))),
            Self::TaskOfTask(takes) => drop(context.spawn("parent", async move {
                let _ = Context::current().spawn("child", lasts(takes)).await;
            })),
            Self::Shield(max, takes) => {
                let mut shield = Box::pin(context.shield("shield", max * S, lasts(takes)));
                // Its caller leaves, and it goes on.
                let _ = futures_util::FutureExt::now_or_never(&mut shield);
            }
            Self::Detached(max, takes) => drop(context.detach("detached", max * S, lasts(takes))),
            Self::Critical(takes) => life.critical("critical", async move {
                lasts(takes).await;
                Ok(())
            }),
            Self::Job(takes) => jobs.try_enqueue(takes).unwrap(),
            Self::Hook(takes) => life.on_close("hook", async move {
                lasts(takes).await;
                Ok(())
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// All of these tasks yield, for which the grace is.
    #[test]
    fn run_returns_within_budget_and_grace(all in prop::collection::vec(runs(), 0..12), stop in stop()) {
        paused(async {
            let life = stop.life();
            let jobs = life.worker("w").queue(12).concurrency(2).run(async |takes| {
                lasts(takes).await;
                Ok::<_, BoxError>(())
            });
            let jobs = jobs.unwrap();
            for runs in &all {
                runs.start(&life, &jobs);
            }
            let critical = |runs: &Runs| match runs {
                Runs::Critical(takes) => *takes,
                _ => None,
            };
            let told = Instant::now() + all.iter().filter_map(critical).min().unwrap_or(stop.after).min(stop.after) * S;
            let (handle, again) = (life.handle(), stop.again_after.map(|after| (stop.after + after) * S));
            let start = Instant::now();
            let (report, ended) = stop.run(life).await;
            let latest = told + (stop.budget + stop.grace) * S;
            prop_assert!(ended <= latest, "{:?} late: {}", ended - latest, report);
            if let Some(again) = again {
                let latest = told.max(start + again) + stop.grace * S;
                prop_assert!(ended <= latest, "{:?} late: {}", ended - latest, report);
            }
            prop_assert!(report.stuck.is_empty(), "{}", report);
            prop_assert!(handle.snapshot().is_empty());
            Ok(())
        })?;
    }
}

// === in full ===

#[derive(Clone, Copy, Debug)]
enum Does {
    Lasts(Seconds),
    Fails,
    Panics,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![4 => seconds().prop_map(Does::Lasts), 1 => Just(Does::Fails), 1 => Just(Does::Panics)]
}

impl Does {
    async fn go(self) -> Result<(), BoxError> {
        match self {
            Self::Lasts(seconds) => lasts(seconds).await,
            Self::Fails => return Err("it fails".into()),
            Self::Panics => panic!("in a job"),
        }
        Ok(())
    }
}

/// An order, and the letter that it leads to.
#[derive(Clone, Debug)]
struct Order {
    number: usize,
    does: Does,
    then: Does,
}

/// The numbers that were taken in, as far as who enqueued them heard of it; and how each of those that were found was.
#[derive(Clone, Default)]
struct Books {
    taken: Arc<Mutex<Vec<usize>>>,
    found: Arc<Mutex<Vec<(usize, &'static str)>>>,
}

impl Books {
    fn take(&self, number: usize) {
        self.taken.lock().unwrap().push(number);
    }

    fn find(&self, number: usize, how: &'static str) {
        self.found.lock().unwrap().push((number, how));
    }

    /// A worker that books what it does, and what it does it with.
    fn worker<H, F>(&self, life: &Lifecycle, name: &'static str, handle: H) -> Queue<Order>
    where
        H: Fn(Order) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let [failed, back, done] = [self.clone(), self.clone(), self.clone()];
        let worker = life.worker(name).queue(3).concurrency(2).max_wait(4 * S);
        worker
            .on_failed(move |job: Failed<Order>| failed.find(job.job.number, "failed"))
            .on_unprocessed(move |job: Order| back.find(job.number, "handed back"))
            .run(move |order: Order| {
                let (done, number) = (done.clone(), order.number);
                let handled = handle(order);
                async move {
                    handled.await?;
                    done.find(number, "done");
                    Ok::<_, BoxError>(())
                }
            })
            .unwrap()
    }

    fn check(&self, queue: &Queue<Order>) -> Result<(), TestCaseError> {
        let (status, counts) = (queue.status(), queue.status().counts);
        let (taken, mut found) = (self.taken.lock().unwrap(), self.found.lock().unwrap());
        let of = |how| found.iter().filter(|(_, found)| *found == how).count() as u64;
        prop_assert_eq!((status.depth, status.in_progress), (0, 0));
        prop_assert_eq!(
            counts.accepted,
            counts.done + counts.failed + counts.expired + counts.unprocessed
        );
        prop_assert_eq!(
            (of("done"), of("failed"), of("handed back")),
            (counts.done, counts.failed, counts.expired + counts.unprocessed)
        );
        found.sort_unstable();
        let numbers = found.iter().map(|(number, _)| number);
        prop_assert!(
            numbers.clone().is_sorted_by(|one, next| one < next),
            "twice: {:?}",
            found
        );
        prop_assert!(taken.iter().all(|taken| numbers.clone().any(|number| number == taken)));
        Ok(())
    }
}

/// Requests that enqueue orders, whose jobs enqueue letters, each when its time has come and as long as it is let.
fn start(handle: &Handle, orders: &Queue<Order>, books: &Books, all: &[(u32, Does, Does)]) {
    for (number, (after, does, then)) in all.iter().copied().enumerate() {
        let (orders, books) = (orders.clone(), books.clone());
        let request = handle.context().spawn("request", async move {
            sleep(after * S).await;
            if orders.enqueue(Order { number, does, then }).await.is_ok() {
                books.take(number);
            }
        });
        drop(request);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Of one worker before another, with requests that go on enqueueing while they drain.
    #[test]
    fn accepted_is_done_failed_expired_and_unprocessed_at_any_stop_point(
        all in prop::collection::vec((0..40_u32, does(), does()), 0..24), stop in stop(),
    ) {
        let (of_letters, of_orders) = (Books::default(), Books::default());
        let [letters, orders] = paused(async {
            let life = stop.life();
            let letters = of_letters.worker(&life, "letters", |letter: Order| letter.then.go());
            let (next, books) = (letters.clone(), of_letters.clone());
            let orders = of_orders.worker(&life, "orders", move |order: Order| {
                let (next, books, number) = (next.clone(), books.clone(), order.number);
                async move {
                    order.does.go().await?;
                    next.enqueue(order).await?;
                    books.take(number);
                    Ok(())
                }
            });
            start(&life.handle(), &orders, &of_orders, &all);
            let _ = stop.run(life).await;
            [letters, orders]
        });
        of_letters.check(&letters)?;
        of_orders.check(&orders)?;
    }
}

// === down the tree ===

#[derive(Clone, Copy, Debug)]
enum Step {
    Timeout(u32),
    Deadline(u32),
    Child,
    Task,
    Job,
    DeadlineLayer(u32),
    TimeoutLayer(u32),
    Waits(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..100_u32).prop_map(Step::Timeout),
        (0..100_u32).prop_map(Step::Deadline),
        Just(Step::Child),
        Just(Step::Task),
        Just(Step::Job),
        (0..100_u32).prop_map(Step::DeadlineLayer),
        (0..100_u32).prop_map(Step::TimeoutLayer),
        (0..10_u32).prop_map(Step::Waits),
    ]
}

/// Where a context comes out that was seen further down.
type Seen = Arc<Mutex<Option<Context>>>;

/// Calls a handler below this layer, within this context, and gives the handler's own. Nobody waits for it where there is no time.
async fn below<L>(context: &Context, layer: L) -> Option<Context>
where
    L: tower::Layer<tower::util::BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>>,
    L::Service: tower::Service<Request<Full<Bytes>>>,
{
    let in_handler = Seen::default();
    let seen = in_handler.clone();
    let handler = service_fn(move |_: Request<Full<Bytes>>| {
        *seen.lock().unwrap() = Some(Context::current());
        async { Ok(Response::default()) }
    });
    let service = ServiceBuilder::new()
        .layer(layer)
        .service(tower::util::BoxCloneService::new(handler));
    let mut request = Request::new(Full::default());
    // The caller asks for more than it has.
    request.headers_mut().insert("x-request-timeout-ms", 3_600_000.into());
    let _ = context.scope(service.oneshot(request)).await;
    in_handler.lock().unwrap().take()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_deadline_grows(steps in prop::collection::vec(step(), 1..12), budget in 0..60_u32) {
        paused(async {
            let life = Lifecycle::builder().budget(budget * S).build().unwrap();
            let in_job = Seen::default();
            let seen = in_job.clone();
            let jobs = life.worker("w").queue(1).job_timeout(3_600 * S).run(move |()| {
                *seen.lock().unwrap() = Some(Context::current());
                async { Ok::<_, Infallible>(()) }
            });
            let jobs = jobs.unwrap();
            let mut guards = Vec::new();
            let mut context = life.handle().context().with_timeout(200 * S);
            for step in steps {
                let next = match step {
                    Step::Timeout(seconds) => Some(context.with_timeout(seconds * S)),
                    Step::Deadline(seconds) => Some(context.with_deadline(Instant::now() + seconds * S)),
                    Step::Child => {
                        guards.push(context.child());
                        guards.last().map(|guard| (**guard).clone())
                    }
                    Step::Task => context.spawn("task", async { Context::current() }).await.ok(),
                    Step::Job => {
                        let _ = context.scope(jobs.enqueue(())).await;
                        sleep(S / 1_000).await;
                        let job = in_job.lock().unwrap().take();
                        // It has the deadline alone from who enqueued it.
                        prop_assert!(job.is_none_or(|job| job.deadline() <= context.deadline()));
                        None
                    }
                    Step::DeadlineLayer(seconds) => below(&context, DeadlineLayer::new(seconds * S)).await,
                    Step::TimeoutLayer(seconds) => below(&context, TimeoutLayer::new(seconds * S)).await,
                    Step::Waits(seconds) => {
                        sleep(seconds * S).await;
                        None
                    }
                };
                if let Some(next) = next {
                    let deadlines = (next.deadline(), context.deadline());
                    prop_assert!(next.deadline().is_some() && deadlines.0 <= deadlines.1, "{:?} {:?}", step, deadlines);
                    context = next;
                }
            }
            // Nor does the end's, whoever asks again.
            let handle = life.handle();
            drop(handle.context().spawn("stuck", pending::<()>()));
            handle.shutdown();
            let run = tokio::spawn(life.run());
            let begun = Instant::now();
            for _ in 0..budget {
                sleep(S).await;
                handle.shutdown();
            }
            let _ = run.await.unwrap();
            prop_assert!(begun.elapsed() <= budget * S + S / 1_000);
            Ok(())
        })?;
    }
}

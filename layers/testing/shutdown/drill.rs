use std::{future::Future, io, net::SocketAddr, time::Duration};

use tokio::time::{sleep, timeout};

use super::{Finding, Findings, Scenario, client::Client};
use crate::{
    body::BoxError,
    lifecycle::{Handle, Lifecycle, Report},
};

/// A drill to be run. See the [module](super).
///
/// | setting | default | |
/// |---|---|---|
/// | [`slow`](Self::slow) | none | the path of a request that takes a while |
/// | [`stream`](Self::stream) | none | the path of an answer that never ends |
/// | [`budget`](Self::budget) | 2 s | of the lifecycle: longer than the slow request takes |
/// | [`grace`](Self::grace) | 500 ms | of the lifecycle |
/// | [`lead`](Self::lead) | 100 ms | how long a request has to get under way before the shutdown |
#[derive(Clone, Debug)]
#[must_use = "a drill does nothing until it is run"]
pub struct Drill<F> {
    start: F,
    slow: Option<String>,
    stream: Option<String>,
    budget: Duration,
    grace: Duration,
    lead: Duration,
}

/// For a machine that has more to do than this.
const SLACK: Duration = Duration::from_secs(1);

const STUCK: &str = "stuck-in-a-drill";

impl<F> Drill<F>
where
    F: AsyncFn(&Lifecycle) -> Result<SocketAddr, BoxError>,
{
    pub(super) const fn new(start: F) -> Self {
        Self {
            start,
            slow: None,
            stream: None,
            budget: Duration::from_secs(2),
            grace: Duration::from_millis(500),
            lead: Duration::from_millis(100),
        }
    }

    /// Tries a `GET` of this path, which must take longer than the lead, and less than the budget.
    pub fn slow(mut self, path: impl Into<String>) -> Self {
        self.slow = Some(path.into());
        self
    }

    /// Tries a `GET` of this path, whose head must come at once, and whose body never ends.
    pub fn stream(mut self, path: impl Into<String>) -> Self {
        self.stream = Some(path.into());
        self
    }

    /// The [budget](crate::lifecycle::LifecycleBuilder::budget) of the lifecycle.
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// The [grace](crate::lifecycle::LifecycleBuilder::grace) of the lifecycle.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long a request has to get under way before the shutdown begins.
    pub const fn lead(mut self, lead: Duration) -> Self {
        self.lead = lead;
        self
    }

    /// Runs it, and fails if anything was found.
    ///
    /// # Panics
    ///
    /// If something was: that is what it is for.
    pub async fn assert(self) {
        let findings = self.run().await;
        assert!(findings.is_empty(), "{findings}");
    }

    /// Runs it, and says what was found.
    pub async fn run(self) -> Findings {
        let mut findings = Findings::default();
        for scenario in [
            Scenario::Idle,
            Scenario::SlowRequest,
            Scenario::StuckTask,
            Scenario::StuckStream,
            Scenario::SecondSignal,
        ] {
            let is_given = match scenario {
                Scenario::SlowRequest => self.slow.is_some(),
                Scenario::StuckStream => self.stream.is_some(),
                _ => true,
            };
            if !is_given {
                continue;
            }
            let found = match self.play(scenario).await {
                Ok(found) => found,
                Err(why) => vec![Finding::NotStarted { why: why.to_string() }],
            };
            findings
                .found
                .extend(found.into_iter().map(|finding| (scenario, finding)));
        }
        findings
    }

    /// Starts the app and plays one scenario with it.
    async fn play(&self, scenario: Scenario) -> Result<Vec<Finding>, BoxError> {
        let life = Lifecycle::builder().budget(self.budget).grace(self.grace).build()?;
        let address = (self.start)(&life).await?;
        let handle = life.handle();
        let mut found = Vec::new();
        match scenario {
            Scenario::Idle => {
                let _silent = Client::open(address).await?;
                sleep(self.lead).await;
                handle.shutdown();
                found.extend(self.ends_clean(life.run()).await);
            }
            Scenario::SlowRequest => self.slow_request(life, address, &mut found).await?,
            Scenario::StuckTask => {
                let _stuck = stuck(&handle);
                handle.shutdown();
                found.extend(self.ends_aborted(life.run(), Some(STUCK)).await);
            }
            Scenario::StuckStream => {
                let mut stream = self.open_stream(address).await?;
                handle.shutdown();
                // Some cut their streams when the drain begins: then there is nothing to be aborted.
                found.extend(self.ends_aborted(life.run(), None).await);
                found.extend(still_open(&mut stream).await);
            }
            Scenario::SecondSignal => {
                let _stuck = stuck(&handle);
                let mut stream = self.open_stream(address).await?;
                handle.shutdown();
                let hurried = async {
                    sleep(self.lead).await;
                    handle.abort();
                };
                let allowed = self.lead + self.grace + SLACK.min(self.budget / 2);
                let (ended, ()) = tokio::join!(timeout(allowed, life.run()), hurried);
                match ended {
                    Err(_) => found.push(Finding::TooLong { allowed }),
                    Ok(report) => found.extend(fault(&report, Some(STUCK))),
                }
                found.extend(still_open(&mut stream).await);
            }
        }
        if Client::open(address).await.is_ok() {
            found.push(Finding::StillListening);
        }
        Ok(found)
    }

    async fn slow_request(&self, life: Lifecycle, address: SocketAddr, found: &mut Vec<Finding>) -> io::Result<()> {
        let mut slow = Client::get(address, self.slow.as_deref().unwrap_or_default()).await?;
        if timeout(self.lead, slow.answer()).await.is_ok() && slow.is_answered() {
            found.push(Finding::NotSlow);
        }
        life.handle().shutdown();
        let answered = timeout(self.budget + self.grace + SLACK, slow.answer());
        let (ended, _) = tokio::join!(self.ends_clean(life.run()), answered);
        found.extend(slow.fault().map(|how| Finding::NotAnswered { how }));
        found.extend(ended);
        Ok(())
    }

    /// The stream, if there is one, once its head has come.
    async fn open_stream(&self, address: SocketAddr) -> Result<Option<Client>, BoxError> {
        let Some(path) = &self.stream else { return Ok(None) };
        let mut stream = Client::get(address, path).await?;
        timeout(self.budget + SLACK, stream.head()).await?;
        if stream.is_answered() {
            return Err(format!("{path} is no stream: it ended").into());
        }
        Ok(Some(stream))
    }

    async fn ends_clean(&self, run: impl Future<Output = Report>) -> Option<Finding> {
        match self.ends(run).await {
            Err(late) => Some(late),
            Ok(report) => (!report.is_clean()).then(|| Finding::NotClean {
                report: report.to_string(),
            }),
        }
    }

    async fn ends_aborted(&self, run: impl Future<Output = Report>, stuck: Option<&str>) -> Option<Finding> {
        match self.ends(run).await {
            Err(late) => Some(late),
            Ok(report) => fault(&report, stuck),
        }
    }

    async fn ends(&self, run: impl Future<Output = Report>) -> Result<Report, Finding> {
        let allowed = self.budget + self.grace + SLACK;
        timeout(allowed, run).await.map_err(|_| Finding::TooLong { allowed })
    }
}

/// Starts what never ends.
fn stuck(handle: &Handle) -> impl Sized {
    handle.context().spawn(STUCK, std::future::pending::<()>())
}

/// What is wrong with the end of a process in which this was stuck.
fn fault(report: &Report, stuck: Option<&str>) -> Option<Finding> {
    if !report.stuck.is_empty() {
        return Some(Finding::StillAlive {
            report: report.to_string(),
        });
    }
    let is_named = |stuck: &str| report.aborted.iter().any(|ended| ended.work.name == stuck);
    stuck.filter(|stuck| !is_named(stuck)).map(|_| Finding::NotNamed)
}

async fn still_open(stream: &mut Option<Client>) -> Option<Finding> {
    let stream = stream.as_mut()?;
    let closed = timeout(SLACK, stream.closed()).await;
    closed.is_err().then_some(Finding::StillOpen)
}

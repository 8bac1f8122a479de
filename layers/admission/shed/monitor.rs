use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Weak,
    task::{Context, Poll, ready},
};

use pin_project::{pin_project, pinned_drop};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{LoadShed, policy::PERIOD};

/// Samples the signals of a [`LoadShed`] every 100 ms, in a task of your own. Made by [`LoadShed::monitor`].
///
/// Shedding works without one: then the first arrival after 100 ms takes the sample. With one it sees more: a monitor
/// is a task like those that serve the requests, so that how late it is polled is how long they wait for their turn. It
/// takes the samples off the path of requests, and moves the floor while nobody comes. When it is a period late,
/// arrivals take over.
///
/// ```
/// # async fn run() {
/// use buttress::LoadShedLayer;
///
/// let layer = LoadShedLayer::new();
/// let monitor = tokio::spawn(layer.policy().monitor());
/// # }
/// ```
///
/// It ends when the layer and its services are gone; dropping it ends it, too. It needs a runtime with a time driver.
#[must_use = "a monitor does nothing until it is polled"]
#[pin_project(PinnedDrop)]
pub struct Monitor {
    shed: Weak<LoadShed>,
    #[pin]
    sleep: Option<Sleep>,
}

impl Monitor {
    pub(super) fn new(shed: Weak<LoadShed>) -> Self {
        Self { shed, sleep: None }
    }
}

impl Future for Monitor {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            match this.sleep.as_mut().as_pin_mut() {
                // The first poll.
                None => {
                    let Some(shed) = this.shed.upgrade() else {
                        return Poll::Ready(());
                    };
                    shed.monitored();
                }
                Some(mut sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    let Some(shed) = this.shed.upgrade() else {
                        return Poll::Ready(());
                    };
                    let now = Instant::now();
                    shed.woken(now, now.saturating_duration_since(sleep.deadline()));
                }
            }
            this.sleep.set(Some(sleep_until(Instant::now() + PERIOD)));
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Monitor {
    fn drop(self: Pin<&mut Self>) {
        if self.sleep.is_some()
            && let Some(shed) = self.shed.upgrade()
        {
            shed.unmonitored();
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("running", &self.sleep.is_some())
            .finish_non_exhaustive()
    }
}

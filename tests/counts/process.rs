//! What is no call: jobs, the process and its end.

use std::future::pending;

use buttress::{BoxError, Context, Lifecycle, lifecycle::Handle};
use tokio::time::{Instant, sleep};

use super::*;

const S: Duration = Duration::from_secs(1);

fn counts(handle: &Handle) -> Vec<String> {
    let mut all = Vec::new();
    handle.measure("it", &mut |measure: &Measure<'_>| {
        if measure.value != 0.0 {
            all.push(written(measure));
        }
    });
    all
}

#[derive(Clone, Copy)]
enum Job {
    Works,
    Fails,
    Panics,
    Hangs,
}

/// A life with one worker, which is told what is to become of its jobs.
fn life(book: &Book) -> (Lifecycle, buttress::lifecycle::worker::Queue<Job>) {
    let life = Lifecycle::builder()
        .budget(8 * S)
        .observe(book.clone())
        .build()
        .unwrap();
    let worker = life.worker("it").queue(3).job_timeout(2 * S);
    let queue = worker.run(async |job| {
        sleep(S).await;
        match job {
            Job::Works => Ok(()),
            Job::Fails => Err(BoxError::from("no")),
            Job::Panics => panic!("as it is to"),
            Job::Hangs => pending().await,
        }
    });
    (life, queue.unwrap())
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn workers() {
    let always = ["task.count{kind=worker} 1", "ready 1", "worker.queue.capacity 3"];
    for (job, told, count) in [
        (Job::Works, "job of it done, Some(1s)", "worker.jobs{outcome=done} 1"),
        (
            Job::Fails,
            "job of it failed, Some(1s)",
            "worker.jobs{outcome=failed} 1",
        ),
        (
            Job::Panics,
            "job of it failed, Some(1s)",
            "worker.jobs{outcome=failed} 1",
        ),
        (
            Job::Hangs,
            "job of it failed, Some(2s)",
            "worker.jobs{outcome=failed} 1",
        ),
    ] {
        let book = Book::default();
        let (life, queue) = life(&book);
        queue.try_enqueue(job).unwrap();
        yield_now().await;
        // While it runs.
        let busy = counts(&life.handle());
        assert_eq!(
            busy,
            [
                "task.count{kind=worker} 1",
                "task.count{kind=job} 1",
                "ready 1",
                "worker.queue.capacity 3"
            ]
        );
        sleep(3 * S).await;
        assert_eq!(counts(&life.handle()), [&always[..], &[count]].concat());
        assert_eq!(book.events(), [told]);
        life.handle().shutdown();
        assert!(life.run().await.is_clean());
    }
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn what_waits_and_what_never_ran() {
    let book = Book::default();
    let (life, queue) = life(&book);
    let soon = Context::current().with_deadline(Instant::now() + S / 2);
    queue.try_enqueue(Job::Works).unwrap();
    yield_now().await;
    soon.scope(async { queue.try_enqueue(Job::Works) }).await.unwrap();
    queue.try_enqueue(Job::Works).unwrap();
    sleep(S / 2).await;
    assert_eq!(
        counts(&life.handle())[3..],
        [
            "worker.queue.depth 2",
            "worker.queue.capacity 3",
            "worker.queue.oldest.age 0.5"
        ]
    );
    sleep(2 * S).await;
    let done = "job of it done, Some(1s)";
    assert_eq!(book.events(), [done, "job of it expired, None", done]);

    let handle = life.handle();
    handle.abort();
    queue.try_enqueue(Job::Hangs).unwrap();
    yield_now().await;
    queue.try_enqueue(Job::Hangs).unwrap();
    let report = life.run().await;
    assert_eq!(report.lost, [("it", 1)]);
    let told = &book.events()[3..];
    for event in [
        "job of it failed, Some(0ns)",
        "job of it unprocessed, None",
        "aborted job it at 0ns",
    ] {
        assert!(told.iter().any(|each| each == event), "{event} is not in {told:?}");
    }
    let ended = [
        "worker.queue.capacity 3",
        "worker.jobs{outcome=done} 2",
        "worker.jobs{outcome=failed} 1",
        "worker.jobs{outcome=expired} 1",
        "worker.jobs{outcome=unprocessed} 1",
    ];
    assert_eq!(counts(&handle), ended);
}

#[tokio::test(start_paused = true, crate = "leakless")]
async fn the_end_is_told_phase_by_phase() {
    let book = Book::default();
    let builder = Lifecycle::builder().budget(8 * S).ready_delay(S).observe(book.clone());
    let life = builder.build().unwrap();
    life.critical("it", pending());
    life.on_close("it", async {
        sleep(S / 2).await;
        Ok(())
    });
    let handle = life.handle();
    drop(handle.context().spawn("stuck", pending::<()>()));
    assert_eq!(
        counts(&handle),
        ["task.count{kind=task} 1", "task.count{kind=critical} 1", "ready 1"]
    );
    handle.shutdown();
    let _ = life.run().await;
    assert_eq!(
        book.events(),
        [
            "not_ready took 1s",
            "draining took 6s",
            "workers took 0ns",
            "hooks took 500ms",
            "aborted task stuck at 7.5s",
            "aborting took 0ns",
        ]
    );
    assert_eq!(counts(&handle), [""; 0]);
}

/// Who is told may do as it likes: the books are in order all the same.
#[tokio::test(start_paused = true, crate = "leakless")]
async fn one_that_panics_when_it_is_told_breaks_nothing() {
    struct Panics;
    impl buttress::observe::Observer for Panics {
        type Call = ();
        fn began(&self, _: &buttress::observe::Began<'_>) {}
        fn ended(&self, (): (), _: &buttress::observe::Ended) {}
        fn process(&self, _: &buttress::observe::ProcessEvent<'_>) {
            panic!("when it is told");
        }
    }
    let life = Lifecycle::builder().budget(8 * S).observe(Panics).build().unwrap();
    let queue = life
        .worker("it")
        .queue(2)
        .run(async |()| Ok::<_, BoxError>(()))
        .unwrap();
    queue.try_enqueue(()).unwrap();
    queue.try_enqueue(()).unwrap();
    life.handle().shutdown();
    let report = life.run().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((queue.status().counts.done, queue.status().counts.restarts), (2, 0));
}

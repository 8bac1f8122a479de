//! That every attempt sends the same body.

use http_body_util::{BodyExt, Empty, Full};

use super::*;

const LETTERS: [&str; 3] = ["ab", "c", "def"];

fn letters() -> Vec<Step> {
    LETTERS.map(data).into()
}

fn with_trailers() -> Vec<Step> {
    letters().into_iter().chain([trailers()]).collect()
}

#[tokio::test]
async fn the_first_attempt_streams_through() {
    let (mut first, _recording) = begin(script(with_trailers()));
    assert_eq!(next(&mut first).await.unwrap().unwrap(), data("ab"));
    assert_eq!(all(&mut first).await, with_trailers()[1..]);
}

#[tokio::test]
async fn the_second_attempt_sees_the_same_frames_and_trailers() {
    for steps in [letters(), with_trailers(), vec![trailers()]] {
        for body in [
            script(steps.clone()),
            script(steps.clone()).knows_its_end().knows_its_size(),
        ] {
            let (mut first, recording) = begin(body);
            assert_eq!(all(&mut first).await, steps);
            drop(first);
            for _ in 0..3 {
                assert_eq!(all(&mut again(&recording)).await, steps);
            }
        }
    }
}

#[tokio::test]
async fn a_recorded_frame_is_not_copied() {
    let (mut first, recording) = begin(Full::new(Bytes::from(vec![7; 1_000])));
    let sent = first.frame().await.unwrap().unwrap().into_data().unwrap();
    let sent_again = again(&recording).frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(sent.as_ptr(), sent_again.as_ptr());
}

#[tokio::test]
async fn an_attempt_dropped_before_any_poll_leaves_all_to_the_next() {
    let (first, recording) = begin(script(with_trailers()));
    drop(first);
    assert_eq!(all(&mut again(&recording)).await, with_trailers());
}

#[tokio::test]
async fn an_attempt_dropped_in_the_middle_leaves_the_record_and_the_rest() {
    let (mut first, recording) = begin(script(with_trailers()));
    next(&mut first).await;
    drop(first);
    let mut second = again(&recording);
    next(&mut second).await;
    next(&mut second).await;
    drop(second);
    // One that does not come as far as the record goes.
    let mut third = again(&recording);
    next(&mut third).await;
    drop(third);
    assert_eq!(all(&mut again(&recording)).await, with_trailers());
}

#[tokio::test]
async fn a_body_that_is_still_being_sent_is_not_sent_again() {
    let (mut first, recording) = begin(script(letters()));
    assert_eq!(recording.again().unwrap_err(), NotReplayable::Uploading);
    next(&mut first).await;
    assert_eq!(recording.again().unwrap_err(), NotReplayable::Uploading);
    assert_eq!(recording.obstacle(), Some(NotReplayable::Uploading));
    drop(first);
    assert_eq!(recording.obstacle(), None);
    let _second = recording.again().unwrap();
    assert_eq!(recording.again().unwrap_err(), NotReplayable::Uploading);
}

#[tokio::test]
async fn whoever_waits_for_the_body_is_woken_when_it_is_back() {
    async fn back(recording: &Recording<Script>) {
        poll_fn(|cx| recording.poll_back(cx)).await;
    }

    let (first, recording) = begin(script(letters()));
    tokio::join!(back(&recording), async { drop(first) });
    assert_eq!(recording.obstacle(), None);

    // An attempt that is alive, and at its end.
    let (mut first, recording) = begin(script(letters()));
    tokio::join!(back(&recording), all(&mut first));
    assert_eq!(recording.obstacle(), None);

    let (mut first, recording) = begin(script([Step::Fails]));
    _ = tokio::join!(back(&recording), next(&mut first));
    assert_eq!(recording.obstacle(), Some(NotReplayable::Broken));
}

#[tokio::test]
async fn a_complete_record_has_many_readers_at_once() {
    let (mut first, recording) = begin(script(with_trailers()));
    assert!(!recording.is_complete());
    all(&mut first).await;
    assert!(recording.is_complete());
    let (mut second, mut third) = (again(&recording), again(&recording));
    for step in with_trailers() {
        assert_eq!(next(&mut second).await.unwrap().unwrap(), step);
        assert_eq!(next(&mut third).await.unwrap().unwrap(), step);
    }
    assert!(next(&mut second).await.is_none());
}

#[tokio::test]
async fn a_body_that_knows_its_end_is_complete_without_being_polled_to_none() {
    // hyper does not poll a body that is at its end.
    let (mut first, recording) = begin(script(letters()).knows_its_end());
    for _ in LETTERS {
        next(&mut first).await;
    }
    assert!(first.is_end_stream());
    assert!(recording.is_complete());
    assert_eq!(all(&mut again(&recording)).await, letters());
}

#[tokio::test]
async fn a_body_not_polled_to_its_end_is_replayed_all_the_same() {
    // One that knows its size, but not its end: hyper stops at the last byte and drops it.
    let (mut first, recording) = begin(script(letters()).knows_its_size());
    for _ in LETTERS {
        next(&mut first).await;
    }
    assert!(!recording.is_complete());
    drop(first);
    assert_eq!(all(&mut again(&recording)).await, letters());
    assert!(recording.is_complete());
}

#[tokio::test]
async fn an_error_goes_to_the_attempt_that_read_it() {
    let (mut first, recording) = begin(script([data("ab"), Step::Fails]));
    next(&mut first).await;
    let error = next(&mut first).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
    assert!(next(&mut first).await.is_none());
    assert_eq!(recording.again().unwrap_err(), NotReplayable::Broken);
}

#[tokio::test]
async fn a_body_that_panicked_is_not_polled_again() {
    let (mut first, recording) = begin(script([data("ab")]));
    let recording = &recording;
    let thrown = std::thread::scope(|scope| {
        let attempt = scope.spawn(move || {
            _ = futures_util::FutureExt::now_or_never(next(&mut first));
            panic!("as a body may");
        });
        attempt.join()
    });
    assert!(thrown.is_err());
    assert_eq!(recording.again().unwrap_err(), NotReplayable::Broken);
}

#[tokio::test]
async fn frames_of_nothing_pass_and_are_not_kept() {
    let (mut first, recording) = begin(script([data(""), data("ab"), data(""), trailers()]));
    assert_eq!(all(&mut first).await, [data(""), data("ab"), data(""), trailers()]);
    assert_eq!(all(&mut again(&recording)).await, [data("ab"), trailers()]);
}

#[tokio::test]
async fn an_empty_body_shares_nothing_and_is_always_replayed() {
    let allocated = allocation_counter::measure(|| {
        let (first, recording) = Recording::begin(Empty::<Bytes>::new(), MOST);
        assert!(first.is_end_stream() && recording.is_complete());
        let second = recording.again().unwrap();
        assert!(second.is_end_stream());
        assert_eq!(second.size_hint().exact(), Some(0));
    });
    assert_eq!(allocated.count_total, 0);
    let (mut first, recording) = begin(script([]));
    assert!(all(&mut first).await.is_empty());
    assert!(all(&mut again(&recording)).await.is_empty());
}

#[tokio::test]
async fn the_waker_of_whoever_reads_is_woken() {
    let (sender, body) = http_body_util::channel::Channel::<Bytes>::new(1);
    let (mut first, recording) = begin(body);
    assert!(futures_util::poll!(first.frame()).is_pending());
    drop(first);
    // Another task reads on.
    let second = tokio::spawn(async move { all(&mut again(&recording)).await });
    tokio::task::yield_now().await;
    let mut sender = sender;
    sender.send_data(Bytes::from_static(b"ab")).await.unwrap();
    drop(sender);
    assert_eq!(second.await.unwrap(), [data("ab")]);
}

// === sizes ===

#[tokio::test]
async fn a_replay_knows_the_size_of_the_record_and_the_rest() {
    let (mut first, recording) = begin(script(letters()).knows_its_size());
    assert_eq!(first.size_hint().exact(), Some(6));
    next(&mut first).await;
    assert_eq!(first.size_hint().exact(), Some(4));
    drop(first);
    let mut second = again(&recording);
    assert_eq!(second.size_hint().exact(), Some(6));
    all(&mut second).await;
    assert_eq!(again(&recording).size_hint().exact(), Some(6));
}

#[tokio::test]
async fn a_body_of_unknown_size_is_known_once_it_is_recorded() {
    let (mut first, recording) = begin(script(letters()));
    next(&mut first).await;
    drop(first);
    let mut second = again(&recording);
    assert_eq!((second.size_hint().lower(), second.size_hint().upper()), (2, None));
    all(&mut second).await;
    assert_eq!(again(&recording).size_hint().exact(), Some(6));
}

#[tokio::test]
async fn trailers_keep_a_body_from_knowing_a_size_that_it_did_not_know() {
    let (mut first, recording) = begin(script(with_trailers()));
    all(&mut first).await;
    let second = again(&recording);
    assert_eq!((second.size_hint().lower(), second.size_hint().upper()), (6, None));

    let (mut first, recording) = begin(script(with_trailers()).knows_its_size());
    all(&mut first).await;
    assert_eq!(again(&recording).size_hint().exact(), Some(6));
}

// === types ===

#[test]
fn a_replay_is_as_sendable_as_its_body() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<Replay<Full<Bytes>>>();
    is_sync::<Replay<Full<Bytes>>>();
    is_send::<Recording<Full<Bytes>>>();
    // `axum::body::Body` is `Send` and not `Sync`; what is shared of it is both.
    is_send::<Replay<axum::body::Body>>();
    is_sync::<Recording<axum::body::Body>>();
}

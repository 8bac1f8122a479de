//! Random bodies, and attempts that leave at random.

use futures_util::FutureExt;
use proptest::{collection::vec, prelude::*};

use super::*;

const LIMIT: usize = 6_000;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..700).prop_map(|length| Step::Data((0..=u8::MAX).cycle().take(length).collect())),
        1 => Just(Step::Pending),
    ]
}

fn body() -> impl Strategy<Value = Script> {
    (vec(step(), 0..8), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(steps, with_trailers, end, size)| {
        Script {
            steps: steps.into_iter().chain(with_trailers.then(trailers)).collect(),
            knows_its_end: end,
            knows_its_size: size,
            ended: false,
        }
    })
}

/// Bytes and trailers, whatever the frames.
fn content(steps: impl IntoIterator<Item = Step>) -> (Vec<u8>, Option<HeaderMap>) {
    let (mut bytes, mut last) = (Vec::new(), None);
    for step in steps {
        match step {
            Step::Data(data) => bytes.extend_from_slice(&data),
            Step::Trailers(trailers) => last = Some(trailers),
            Step::Fails | Step::Pending => {}
        }
    }
    (bytes, last)
}

fn now<F: Future>(future: F) -> F::Output {
    // A script that is pending has been woken.
    let mut future = std::pin::pin!(future);
    loop {
        if let Some(output) = future.as_mut().now_or_never() {
            return output;
        }
    }
}

proptest! {
    #[test]
    fn every_attempt_sends_the_same(body in body(), leaves in vec(0_usize..9, 0..6)) {
        let whole = content(body.steps.clone());
        let (mut attempt, recording) = begin(body);
        for polls in leaves {
            for _ in 0..polls {
                _ = next(&mut attempt).now_or_never();
            }
            drop(attempt);
            attempt = again(&recording);
        }
        prop_assert_eq!(content(now(all(&mut attempt))), whole.clone());
        prop_assert!(recording.is_complete());
        // And two at once.
        let (mut one, mut two) = (again(&recording), again(&recording));
        prop_assert_eq!(content(now(all(&mut one))), whole.clone());
        prop_assert_eq!(content(now(all(&mut two))), whole);
    }

    #[test]
    fn the_room_that_is_taken_is_bounded_and_given_back(
        bodies in vec((body(), 0_usize..9, 0_usize..4_000), 1..12),
    ) {
        let room = room(LIMIT);
        let mut alive = Vec::new();
        for (body, polls, most) in bodies {
            let whole = content(body.steps.clone());
            let (mut first, recording) = begin_in(room, body, most);
            for _ in 0..polls {
                let end = next(&mut first).now_or_never().is_some_and(|frame| frame.is_none());
                prop_assert!(room.used() <= LIMIT);
                if end {
                    break;
                }
            }
            drop(first);
            if let Ok(second) = recording.again() {
                let mut second = Box::pin(second);
                prop_assert_eq!(content(now(all(&mut second))), whole);
            }
            prop_assert!(room.used() <= LIMIT);
            alive.push(recording);
        }
        drop(alive);
        prop_assert_eq!(room.used(), 0);
    }
}

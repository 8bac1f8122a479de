//! That records keep to their bounds.

use futures_util::FutureExt;
use http_body_util::Full;

use super::*;

/// Gives so many frames of the same bytes.
struct Lazy {
    frames: u64,
    frame: Bytes,
    says: bool,
}

impl Body for Lazy {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        let left = self.frames.checked_sub(1);
        self.frames = left.unwrap_or(0);
        Poll::Ready(left.map(|_| Ok(Frame::data(self.frame.clone()))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.says {
            SizeHint::with_exact(self.frames * self.frame.len() as u64)
        } else {
            SizeHint::default()
        }
    }
}

fn lazy(frames: u64, frame: usize) -> Lazy {
    Lazy {
        frames,
        frame: vec![7; frame].into(),
        says: false,
    }
}

/// Reads to the end, and says how much it was.
fn drain<B>(body: &mut Pin<Box<Replay<B>>>) -> u64
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut bytes = 0;
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        bytes += frame.unwrap().into_data().unwrap().len() as u64;
    }
    bytes
}

#[test]
fn a_body_of_exactly_the_cap_is_recorded() {
    for (frames, frame) in [(1, MOST), (64, MOST / 64), (1_024, 64)] {
        let (mut first, recording) = begin(lazy(frames, frame));
        assert_eq!(drain(&mut first), MOST as u64);
        assert!(recording.is_complete());
        assert_eq!(drain(&mut again(&recording)), MOST as u64);
    }
}

#[test]
fn a_body_one_byte_over_the_cap_is_sent_once() {
    let body = script([Step::Data(vec![7; MOST].into()), data("x"), data("yz")]);
    let room = room(usize::MAX);
    let (mut first, recording) = begin_in(room, body, MOST);
    next(&mut first).now_or_never().unwrap();
    assert!(room.used() >= MOST);
    next(&mut first).now_or_never().unwrap();
    assert_eq!(recording.again().unwrap_err(), NotReplayable::TooLarge);
    assert_eq!(room.used(), 0, "the record goes at once");
    assert_eq!(drain(&mut first), 2, "and the live attempt goes on");
}

#[test]
fn a_replay_that_outgrows_the_cap_goes_on_and_is_the_last() {
    let (mut first, recording) = begin(script([Step::Data(vec![7; MOST].into()), data("x")]));
    next(&mut first).now_or_never().unwrap();
    drop(first);
    let mut second = again(&recording);
    assert_eq!(drain(&mut second), MOST as u64 + 1);
    assert_eq!(recording.obstacle(), Some(NotReplayable::TooLarge));
}

#[test]
fn a_body_that_says_that_it_is_too_large_is_not_recorded() {
    let body = || Lazy {
        says: true,
        ..lazy(2, MOST)
    };
    let made = allocation_counter::measure(|| drop(body()));
    let sent = allocation_counter::measure(|| {
        let (first, recording) = Recording::begin(body(), MOST);
        assert_eq!(first.size_hint().exact(), Some(2 * MOST as u64));
        assert_eq!(recording.again().unwrap_err(), NotReplayable::TooLarge);
        assert!(!recording.is_complete());
    });
    assert_eq!(sent.count_total, made.count_total);
    assert_eq!(drain(&mut begin(body()).0), 2 * MOST as u64);
}

#[test]
fn with_a_cap_of_nothing_only_an_empty_body_is_replayed() {
    let (_, recording) = begin_in(room(usize::MAX), lazy(1, 1), 0);
    assert_eq!(recording.obstacle(), Some(NotReplayable::TooLarge));
    let (_, recording) = begin_in(room(usize::MAX), Full::<Bytes>::default(), 0);
    assert_eq!(recording.obstacle(), None);
}

#[test]
fn the_number_of_frames_is_bounded_too() {
    let room = room(usize::MAX);
    let (mut first, recording) = begin_in(room, lazy(1_025, 1), MOST);
    let used = allocation_counter::measure(|| assert_eq!(drain(&mut first), 1_025));
    assert_eq!(recording.again().unwrap_err(), NotReplayable::TooLarge);
    assert!(used.bytes_max <= MOST as u64, "{}", used.bytes_max);
}

#[test]
fn a_body_of_one_frame_is_recorded_with_five_allocations() {
    let bytes = Bytes::from_static(&[7; 1_000]);
    let used = allocation_counter::measure(|| {
        // The attempt, what is shared, the body, the list, and the record that is complete.
        let (first, recording) = Recording::begin(Full::new(bytes.clone()), MOST);
        let mut first = std::pin::pin!(first);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(first.as_mut().poll_frame(&mut cx).is_ready() && first.is_end_stream());
        drop(recording);
    });
    assert_eq!(used.count_total, 5);
}

#[test]
fn trailers_count() {
    let mut fields = HeaderMap::new();
    fields.insert("x-proof", HeaderValue::from_bytes(&vec![b'x'; MOST]).unwrap());
    let (mut first, recording) = begin(script([Step::Trailers(fields)]));
    next(&mut first).now_or_never().unwrap();
    assert_eq!(recording.again().unwrap_err(), NotReplayable::TooLarge);
}

#[test]
fn a_body_of_ten_gigabytes_takes_no_more_memory_than_the_cap() {
    const TEN_GIB: u64 = 10 << 30;
    let (mut first, recording) = begin(lazy(TEN_GIB / 8_192, 8_192));
    let used = allocation_counter::measure(|| assert_eq!(drain(&mut first), TEN_GIB));
    assert!(used.bytes_max < MOST as u64, "{}", used.bytes_max);
    assert_eq!(recording.again().unwrap_err(), NotReplayable::TooLarge);
}

#[test]
fn a_record_that_nobody_can_ask_for_is_dropped_at_the_next_frame() {
    // The answer has come, and the upload goes on, as in a stream of both ways.
    let room = room(usize::MAX);
    let (mut first, recording) = begin_in(room, lazy(8, 1_000), MOST);
    next(&mut first).now_or_never().unwrap().unwrap().unwrap();
    assert!(room.used() > 0);
    drop(recording);
    next(&mut first).now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(room.used(), 0);
    assert_eq!(drain(&mut first), 6_000);
}

#[test]
fn an_upload_that_is_forgotten_ends_once() {
    for steps in [vec![data("ab")], vec![], vec![Step::Fails], vec![trailers()]] {
        let (mut first, recording) = begin(script(steps));
        drop(recording);
        // The script fails a test that polls it after its end.
        for _ in 0..4 {
            _ = next(&mut first).now_or_never().unwrap();
        }
        assert!(first.is_end_stream());
    }
}

// === the room of the process ===

#[test]
fn a_body_that_finds_no_room_is_sent_once() {
    let room = room(3_000);
    let (mut one, kept) = begin_in(room, lazy(1, 1_000), MOST);
    drain(&mut one);
    let (mut two, lost) = begin_in(room, lazy(3, 1_000), MOST);
    assert_eq!(drain(&mut two), 3_000);
    assert!(kept.is_complete());
    assert_eq!(lost.again().unwrap_err(), NotReplayable::TooLarge);
    drop((kept, lost));
    assert_eq!(room.used(), 0);
    // Attempts that end do not give back what a record holds.
    let (mut three, kept) = begin_in(room, lazy(1, 1_000), MOST);
    drain(&mut three);
    drop(three);
    let held = room.used();
    drain(&mut again(&kept));
    assert_eq!(room.used(), held);
}

#[test]
fn threads_that_take_room_at_once_never_take_more_than_there_is() {
    const LIMIT: usize = 20_000;
    let room = room(LIMIT);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for turn in 0..2_000 {
                    let (mut body, recording) = begin_in(room, lazy(1 + turn % 9, 1_000), MOST);
                    drain(&mut body);
                    assert!(room.used() <= LIMIT);
                    drop(recording);
                }
            });
        }
    });
    assert_eq!(room.used(), 0);
}

#[test]
fn the_limit_of_the_process_can_be_set() {
    let room = room(1_000_000);
    let (mut first, recording) = begin_in(room, lazy(1, 1_000), MOST);
    room.set_limit(0);
    drain(&mut first);
    assert_eq!(recording.again().unwrap_err(), NotReplayable::TooLarge);
}

//! A large upload that may be tried again takes no more memory than what is kept of it: over real sockets, on HTTP/1 and HTTP/2.
//!
//! `cargo bench --bench upload` sends 10 GiB.

#[path = "support/upload.rs"]
mod upload;

use buttress::{body::replay, retry::Kept};
use http::StatusCode;

use self::upload::{KEPT, Upload, Uploaded};

/// What client, server and their sockets' buffers take together, whatever is sent: half of it, as measured.
const BOTH_ENDS: u64 = 4 << 20;

/// What is counted for the frames of a record, beside their data, and rounded up.
const FRAMES: usize = 2 << 10;

fn survive(upload: Upload) {
    let mut uploaded = None;
    let memory = allocation_counter::measure(|| uploaded = Some(upload.send()));
    let Some(Uploaded {
        status,
        received,
        attempts,
        recorded,
        snapshot,
    }) = uploaded
    else {
        unreachable!("it was measured")
    };
    println!(
        "{upload:?}: {} KiB at most, {recorded} recorded",
        memory.bytes_max >> 10
    );
    assert_eq!(
        (status, received, attempts),
        (StatusCode::SERVICE_UNAVAILABLE, upload.length, 1)
    );
    assert_eq!(snapshot.kept(Kept::Body), 1);
    assert!(memory.bytes_max < BOTH_ENDS, "{upload:?}: {} bytes", memory.bytes_max);
    assert!(recorded <= KEPT + FRAMES, "{recorded}");
    assert_eq!(replay::process_usage(), 0);
}

/// One test, for the usage is the process's.
#[test]
fn a_large_upload_takes_no_more_memory_than_is_kept_of_it() {
    for http2 in [false, true] {
        for says in [false, true] {
            survive(Upload {
                http2,
                length: 1 << 30,
                says,
            });
        }
    }
}

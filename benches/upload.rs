//! 10 GiB through `RetryLayer`, over a real socket: what memory that takes, and how long.
//!
//! ```text
//! cargo bench --bench upload
//! ```
//!
//! The body is made as it is sent, frame by frame, each in memory of its own, and does not say how long it is: so a record of it is begun,
//! and dropped once it outgrows its limit. Client and server are on one thread, and *memory* is the most that both had allocated at
//! any time, their sockets' buffers included. *Recorded* is the most that the records took; the limit is 64 KiB.

#[path = "../tests/support/upload.rs"]
mod upload;

use std::{env, time::Duration};

use tokio::time::Instant;

use self::upload::Upload;

const GIB: u64 = 1 << 30;

fn main() {
    if !env::args().any(|argument| argument == "--bench") {
        println!("10 GiB twice: `cargo bench` sends them");
        return;
    }
    println!(
        "{:8}{:>10}{:>12}{:>12}{:>10}{:>10}",
        "10 GiB", "memory", "recorded", "attempts", "time", "GiB/s"
    );
    for (name, http2) in [("HTTP/1", false), ("HTTP/2", true)] {
        let (mut uploaded, mut taken) = (None, Duration::ZERO);
        let memory = allocation_counter::measure(|| {
            let start = Instant::now();
            let upload = Upload {
                http2,
                length: 10 * GIB,
                says: false,
            };
            uploaded = Some(upload.send());
            taken = start.elapsed();
        });
        let Some(uploaded) = uploaded else { continue };
        assert_eq!(uploaded.received, 10 * GIB);
        println!(
            "{name:8}{:>6} KiB{:>8} KiB{:>12}{:>8.1} s{:>10.2}",
            memory.bytes_max >> 10,
            uploaded.recorded >> 10,
            uploaded.attempts,
            taken.as_secs_f64(),
            10.0 / taken.as_secs_f64(),
        );
    }
}

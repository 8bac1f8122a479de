use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// What passes over an HTTP/1 connection, as far as it tells whether the connection has been used before. Clones are of the same
/// connection.
///
/// ```text
///          answer              request
///  NEW ──────────▶ ANSWERED ──────────▶ REUSED
///   ▲                 ▲                 │    │
///   │                 └─────────────────┘    │
///   └────────────────────────────────────────┘
///                  answer            interim answer
/// ```
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses(Arc<AtomicU8>);

/// Nothing has come that ends an exchange.
const NEW: u8 = 0;
/// What came last is an answer, or a part of one.
const ANSWERED: u8 = 1;
/// Something was sent after an answer, and nothing has come since.
const REUSED: u8 = 2;
/// It speaks HTTP/2, where many requests share a connection, and none of this means anything.
const HTTP2: u8 = 3;

/// The one writer is the connection's task, and who reads has been told by it of an error. So no ordering is needed.
impl Uses {
    /// The client is about to send this.
    #[inline]
    pub(crate) fn send(&self, bytes: &[u8]) {
        match self.0.load(Ordering::Relaxed) {
            ANSWERED => self.0.store(REUSED, Ordering::Relaxed),
            // The connection preface (RFC 9113, section 3.4).
            NEW if bytes.starts_with(b"PRI * HTTP/2.0") => self.0.store(HTTP2, Ordering::Relaxed),
            _ => {}
        }
    }

    /// The client has received this.
    #[inline]
    pub(crate) fn receive(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.0.load(Ordering::Relaxed) == HTTP2 {
            return;
        }
        // The rest of a request may follow an interim answer: 100, 103 (RFC 9110, section 15.2).
        let is_interim = bytes.starts_with(b"HTTP/1.1 1");
        self.0.store(if is_interim { NEW } else { ANSWERED }, Ordering::Relaxed);
    }

    /// Whether it had answered, was sent another request, and has not begun to answer that.
    pub(crate) fn is_reused(&self) -> bool {
        self.0.load(Ordering::Relaxed) == REUSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Pass {
        Send(&'static str),
        Receive(&'static str),
    }
    use Pass::{Receive, Send};

    const ASK: Pass = Send("GET / HTTP/1.1\r\n");
    const ANSWER: Pass = Receive("HTTP/1.1 200 OK\r\n");

    #[test]
    fn a_connection_is_reused_from_the_next_request_to_the_next_answer() {
        let table: &[(&[Pass], bool)] = &[
            (&[], false),
            (&[ASK], false),
            (&[ASK, ANSWER], false),
            (&[ASK, ANSWER, ASK], true),
            (&[ASK, ANSWER, Receive("body"), ASK, Send("body")], true),
            // The server closes it: nothing was received.
            (&[ASK, ANSWER, ASK, Receive("")], true),
            (&[ASK, ANSWER, ASK, Receive("H")], false),
            // The server has begun to act on the request.
            (&[ASK, Receive("HTTP/1.1 100 Continue\r\n"), Send("body")], false),
            (&[ASK, ANSWER, ASK, Receive("HTTP/1.1 103 \r\n"), Send("body")], false),
            (&[Send("PRI * HTTP/2.0\r\n"), Receive("\0"), Send("\0")], false),
        ];
        for (at, (passes, expected)) in table.iter().enumerate() {
            let uses = Uses::default();
            for pass in *passes {
                match pass {
                    Send(text) => uses.send(text.as_bytes()),
                    Receive(text) => uses.receive(text.as_bytes()),
                }
            }
            assert_eq!(uses.is_reused(), *expected, "row {at}");
        }
    }
}

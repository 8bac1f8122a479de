//! How an event comes to who observes the call: through the thread on which both of them are, in the same poll.
//!
//! Whoever observes begins to listen before it polls what is within, and hears afterwards what was told in between. Observers
//! within one another each hear their own. There is nothing to allocate for a call, and nothing to share between threads.

use std::cell::{Cell, RefCell};

use super::Event;

// Two words without a destructor are all that is looked at where nothing happens.
thread_local! {
    /// How many listen, one within the other.
    static LISTENERS: Cell<u32> = const { Cell::new(0) };
    /// How many events are yet to be heard.
    static TOLD: Cell<usize> = const { Cell::new(0) };
    /// Those, of the outermost listener first. As many as one poll tells of.
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
}

/// Tells of an event, if anybody listens.
#[inline]
pub(crate) fn emit(event: impl FnOnce() -> Event) {
    if LISTENERS.get() > 0 {
        tell(event());
    }
}

#[cold]
fn tell(event: Event) {
    // While a thread ends there may be nothing left to tell it to.
    let told = EVENTS.try_with(|events| {
        let mut events = events.try_borrow_mut().ok()?;
        events.push(event);
        Some(events.len())
    });
    if let Ok(Some(told)) = told {
        TOLD.set(told);
    }
}

/// Listens to what is told on this thread, until it is dropped.
#[must_use = "nothing is heard after it is dropped"]
pub(crate) struct Listening {
    from: usize,
}

impl Listening {
    #[inline]
    pub(crate) fn begin() -> Self {
        LISTENERS.set(LISTENERS.get() + 1);
        Self { from: TOLD.get() }
    }

    /// Hands out what was told since it began, in order.
    #[inline]
    pub(crate) fn hear(self, mut each: impl FnMut(&Event)) {
        if TOLD.get() > self.from {
            self.hear_all(&mut each);
        }
    }

    #[cold]
    fn hear_all(&self, each: &mut dyn FnMut(&Event)) {
        let mut next = self.from;
        // One by one: who hears may do what it likes.
        while let Some(event) = told(next) {
            each(&event);
            next += 1;
        }
    }
}

fn told(at: usize) -> Option<Event> {
    let get = |events: &RefCell<Vec<Event>>| events.try_borrow().ok()?.get(at).copied();
    EVENTS.try_with(get).ok().flatten()
}

/// What it leaves unheard is nobody's.
impl Drop for Listening {
    #[inline]
    fn drop(&mut self) {
        LISTENERS.set(LISTENERS.get().saturating_sub(1));
        if TOLD.get() > self.from {
            forget(self.from);
        }
    }
}

#[cold]
fn forget(from: usize) {
    let _ = EVENTS.try_with(|events| {
        if let Ok(mut events) = events.try_borrow_mut() {
            events.truncate(from);
        }
    });
    TOLD.set(from);
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn hedge(attempt: u32) {
        emit(|| Event::Hedged { attempt });
    }

    fn hear(listening: Listening) -> Vec<Event> {
        let mut all = Vec::new();
        listening.hear(|event| all.push(*event));
        all
    }

    fn hedges(attempts: impl IntoIterator<Item = u32>) -> Vec<Event> {
        let hedged = |attempt| Event::Hedged { attempt };
        attempts.into_iter().map(hedged).collect()
    }

    #[test]
    fn an_event_is_not_made_where_nobody_listens() {
        emit(|| unreachable!("nobody listens"));
        let listening = Listening::begin();
        assert_eq!(hear(listening), []);
        emit(|| unreachable!("nobody listens any more"));
    }

    #[test]
    fn each_listener_hears_its_own_in_order() {
        let outer = Listening::begin();
        hedge(2);
        let inner = Listening::begin();
        hedge(3);
        hedge(4);
        assert_eq!(hear(inner), hedges([3, 4]));
        hedge(5);
        assert_eq!(hear(outer), hedges([2, 5]));
        assert_eq!(TOLD.get(), 0);
    }

    #[test]
    fn who_hears_may_itself_tell_and_listen() {
        let outer = Listening::begin();
        let inner = Listening::begin();
        hedge(2);
        let mut heard = 0;
        inner.hear(|_| {
            heard += 1;
            hear(Listening::begin());
        });
        assert_eq!(heard, 1);
        assert_eq!(hear(outer), []);
    }

    #[test]
    fn a_panic_leaves_no_listener_and_no_event() {
        let panicked = catch_unwind(|| {
            let _listening = Listening::begin();
            hedge(2);
            panic!("in a poll");
        });
        assert!(panicked.is_err());
        assert_eq!((LISTENERS.get(), TOLD.get()), (0, 0));
    }
}

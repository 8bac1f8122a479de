//! What is going to happen, in order.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// One of these callers calls.
    Arrival { callers: usize },
    /// The rate of these callers has changed.
    Rate { callers: usize },
    /// The service is done with this call.
    Done { call: usize, serial: u64 },
    /// The caller of this call leaves, if it is still there.
    Leaves { call: usize, serial: u64 },
    /// Time to look how it stands.
    Sample,
}

/// Events, the next first; of those at the same time, the one that was planned first.
#[derive(Debug)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    /// Callers of one kind leave in the order in which they came; and most never do, for they are answered before.
    leaves: Vec<VecDeque<(Duration, u64, Event)>>,
    planned: u64,
}

impl Events {
    /// For so many kinds of callers.
    pub(crate) fn new(kinds: usize) -> Self {
        Self {
            heap: BinaryHeap::new(),
            leaves: vec![VecDeque::new(); kinds],
            planned: 0,
        }
    }

    pub(crate) fn plan(&mut self, at: Duration, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, event)));
    }

    /// One of these callers leaves then, which is not before any other of them does that was planned earlier.
    pub(crate) fn plan_leave(&mut self, callers: usize, at: Duration, call: usize, serial: u64) {
        self.planned += 1;
        let leaves = Event::Leaves { call, serial };
        self.leaves[callers].push_back((at, self.planned, leaves));
    }

    /// The next. Those who are no longer there do not leave.
    pub(crate) fn next(&mut self, is_there: impl Fn(usize, u64) -> bool) -> Option<(Duration, Event)> {
        for leaves in &mut self.leaves {
            while let Some((_, _, Event::Leaves { call, serial })) = leaves.front()
                && !is_there(*call, *serial)
            {
                leaves.pop_front();
            }
        }
        let fronts = self.leaves.iter_mut().filter(|leaves| !leaves.is_empty());
        let soonest = fronts.min_by_key(|leaves| leaves.front().copied());
        let first = soonest.as_ref().and_then(|leaves| leaves.front().copied());
        let next = match (first, self.heap.peek()) {
            (Some(leaves), Some(Reverse(other))) if leaves < *other => soonest?.pop_front(),
            (Some(_), None) => soonest?.pop_front(),
            _ => self.heap.pop().map(|Reverse(next)| next),
        };
        next.map(|(at, _, event)| (at, event))
    }
}

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

/// 64 MiB.
const DEFAULT: usize = 64 << 20;

/// Room is taken in such steps, so that a body of small frames does not come to the shared count for each.
const STEP: usize = 1 << 10;

static PROCESS: Room = Room::new(DEFAULT);

/// Bounds the memory that all records of the process take together, in bytes; 64 MiB by default. 0 records nothing that has data.
///
/// Records that are there already stay, so after a lower limit is set the usage may be above it until they are dropped.
pub fn set_process_limit(bytes: usize) {
    PROCESS.set_limit(bytes);
}

/// How much of that is taken now, in bytes.
pub fn process_usage() -> usize {
    PROCESS.used()
}

/// Memory for records, shared by all who keep one.
#[derive(Debug)]
pub(crate) struct Room {
    used: AtomicUsize,
    limit: AtomicUsize,
}

impl Room {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        }
    }

    /// The one that the whole process shares.
    pub(super) fn process() -> &'static Self {
        &PROCESS
    }

    pub(super) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// All or nothing. In one step: to check first and add then would let two through where there is room for one.
    fn take(&self, bytes: usize) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|&used| used <= limit)
        });
        taken.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one record has of the room. Given back when it is dropped.
pub(super) struct Share {
    room: &'static Room,
    held: usize,
}

impl Share {
    pub(super) fn new(room: &'static Room) -> Self {
        Self { room, held: 0 }
    }

    /// Whether there is room for a record that is so large now.
    pub(super) fn reach(&mut self, bytes: usize) -> bool {
        if bytes <= self.held {
            return true;
        }
        let Some(wanted) = bytes.checked_next_multiple_of(STEP) else {
            return false;
        };
        let granted = self.room.take(wanted - self.held);
        if granted {
            self.held = wanted;
        }
        granted
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.held > 0 {
            self.room.give_back(self.held);
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Share").field(&self.held).finish()
    }
}

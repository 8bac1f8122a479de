//! The service behind the policy: workers, and a line before them that no policy sees.

use std::collections::VecDeque;

/// Who is at work and who stands in line.
#[derive(Debug)]
pub(crate) struct Service {
    idle: usize,
    line: VecDeque<usize>,
}

impl Service {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            idle: workers,
            line: VecDeque::new(),
        }
    }

    /// A call comes. Whether a worker begins with it now.
    pub(crate) fn enter(&mut self, call: usize) -> bool {
        if self.idle == 0 {
            self.line.push_back(call);
            return false;
        }
        self.idle -= 1;
        true
    }

    /// A worker is done. The call that it takes up next.
    pub(crate) fn done(&mut self) -> Option<usize> {
        let next = self.line.pop_front();
        self.idle += usize::from(next.is_none());
        next
    }

    /// A call that stands in line is taken out of it.
    pub(crate) fn leave(&mut self, call: usize) {
        self.line.retain(|other| *other != call);
    }
}

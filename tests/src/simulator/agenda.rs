//! What happens when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events in the order of their moments; those of one moment in the order they were planned.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    planned: u64,
}

/// Something to do at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// The next request of a pool arrives.
    Arrival(usize),
    /// The request in this slot has waited, or hears from its provider.
    Wake(usize),
}

impl Agenda {
    /// Plans an event; `micros` count from the world's beginning.
    pub(super) fn plan(&mut self, micros: u64, event: Event) {
        self.heap.push(Reverse((micros, self.planned, event)));
        self.planned += 1;
    }

    /// Returns the next event and its moment.
    pub(super) fn next(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|Reverse((micros, _, event))| (micros, event))
    }
}

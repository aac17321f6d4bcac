//! What will happen by itself, in order: first by time, then by when it was put down.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tidegate_events::fact::Compliance;

use crate::bus::Letter;
use crate::clock::Ms;

/// One thing that will happen. Numbers are places in the world's tables.
#[derive(Debug)]
pub(crate) enum Happening {
    /// Config first says NON_COMPLIANT of a host.
    Found(u32),
    /// A host is terminated.
    Terminated(u32),
    /// A host is stopped.
    Stopped(u32),
    /// A host is back.
    Returned(u32),
    /// An agent asks for its work.
    PickedUp(u32, u32),
    /// The patches are on the host; a reboot may follow.
    Installed(u32, u32),
    /// The document has ended.
    Ended(u32, u32),
    /// Nobody picked the work up in time.
    Undelivered(u32, u32),
    /// SSM gives up on a whole command.
    Expired(u32),
    /// A runbook has ended on one of its targets.
    Executed(u32, u32),
    /// Another scanner writes the patch state of a host.
    Overwritten(u32),
    /// Config records a configuration item of a host.
    Captured(u32),
    /// A rule has judged the state of a host that was captured at `ordering`; a change is told, or not.
    Judged { host: u32, ordering: Ms, compliance: Compliance, told: bool },
    /// A rule has been evaluated again in a spoke.
    Reevaluated(u32),
    /// The aggregator has seen the verdict on a host.
    Aggregated(u32),
    /// EventBridge delivers.
    Delivered(Box<Letter>),
}

#[derive(Debug)]
struct Entry {
    at: Ms,
    number: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    /// The earliest is the greatest: the heap gives out its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// The heap of what will happen.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Entry>,
    number: u64,
}

impl Agenda {
    /// Puts something down.
    pub fn put(&mut self, at: Ms, what: Happening) {
        self.number += 1;
        self.heap.push(Entry { at, number: self.number, what });
    }

    /// The time of what comes next.
    pub fn next_at(&self) -> Option<Ms> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes what comes next, where it comes by `until`.
    pub fn take(&mut self, until: Ms) -> Option<(Ms, Happening)> {
        if self.next_at()? > until {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_once_happens_in_the_order_it_was_put_down() {
        let mut agenda = Agenda::default();
        for (at, host) in [(5, 1), (3, 2), (5, 3), (3, 4), (9, 5)] {
            agenda.put(at, Happening::Found(host));
        }
        let mut seen = Vec::new();
        while let Some((at, Happening::Found(host))) = agenda.take(5) {
            seen.push((at, host));
        }
        assert_eq!(seen, [(3, 2), (3, 4), (5, 1), (5, 3)]);
        assert_eq!(agenda.next_at(), Some(9));
    }
}

//! What was sent, counted: by the world, never by the engine.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_events::fact::Operation;

use crate::command::SendRecord;
use crate::draw::Draw;

/// Accepted commands, by what they really ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands that installed.
    pub install: u64,
    /// Commands that scanned.
    pub scan: u64,
    /// Commands that installed in order to reboot, by their marker.
    pub reboot: u64,
    /// Pairs of host and attempt that got `Operation=Install` more than once (invariant 1 of the architecture).
    pub doubled: u64,
    /// Installs that began on a host while another ran on it.
    pub overlaps: u64,
    /// Commands whose marker says another step than their `Operation`, or whose marker is not of the form
    /// `tidegate/<attempt>/<install|reboot|scan>/<generation>`; they count by their `Operation`.
    pub mismarked: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub counts: Counts,
    pub records: Vec<Arc<SendRecord>>,
    /// How many of the records were taken already.
    pub taken: usize,
    /// Accepted commands by spoke and marker, as numbers.
    accepted: HashMap<(u64, u64), u64>,
    /// How many installs a host got for one attempt, by host and attempt.
    installs: HashMap<(u64, u64), u32>,
}

impl Ledger {
    /// How many commands with this marker the spoke has accepted.
    pub fn accepted(&self, spoke: u64, marker: &str) -> u64 {
        self.accepted.get(&(spoke, number(marker))).copied().unwrap_or(0)
    }

    /// Writes an accepted command down, with the identities of its hosts.
    pub fn write(&mut self, spoke: u64, record: &Arc<SendRecord>, hosts: &[u64]) {
        *self.accepted.entry((spoke, number(&record.marker))).or_default() += 1;
        let (attempt, step) = split(&record.marker);
        match (step, record.operation) {
            (Some("install"), Operation::Install) => self.counts.install += 1,
            (Some("reboot"), Operation::Install) => self.counts.reboot += 1,
            (Some("scan"), Operation::Scan) => self.counts.scan += 1,
            (_, operation) => {
                self.counts.mismarked += 1;
                match operation {
                    Operation::Install => self.counts.install += 1,
                    Operation::Scan => self.counts.scan += 1,
                }
            }
        }
        if record.operation == Operation::Install {
            for host in hosts {
                let times = self.installs.entry((*host, number(attempt))).or_default();
                *times += 1;
                self.counts.doubled += u64::from(*times == 2);
            }
        }
        self.records.push(Arc::clone(record));
    }
}

fn number(text: &str) -> u64 {
    Draw::new(0, "marker").text(text).value()
}

/// The marker without its generation, and the step that it names.
fn split(marker: &str) -> (&str, Option<&str>) {
    let Some((attempt, _generation)) = marker.rsplit_once('/') else { return (marker, None) };
    let mut parts = attempt.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("tidegate"), Some(_), Some(step), None) => (attempt, Some(step)),
        _ => (attempt, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_an_attempt_a_step_and_a_generation() {
        assert_eq!(split("tidegate/0123456789abcdef/scan/2"), ("tidegate/0123456789abcdef/scan", Some("scan")));
        assert_eq!(split("by hand/7"), ("by hand", None));
        assert_eq!(split("by hand"), ("by hand", None));
    }
}

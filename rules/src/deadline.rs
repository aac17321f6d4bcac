//! Deadlines: by when a target must be patched, as policy data with its source and version.
//!
//! A finding alone says since when a target is non-compliant, not what it misses: then every severity that a rule names is taken to
//! be there (doubt is no). Where the missing patches are known, with severities and CVEs, [`of_patches`] is exact, and the KEV catalog
//! and a decision table such as that of BOD 26-04 speak too.

mod breach;
mod forecast;
mod kev;
mod lacking;
mod loading;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::fact::Compliance;
use tidegate_events::host::Host;
use tidegate_events::id::TargetKey;

use crate::desk::later;
use crate::exemption::selects;
use crate::policy::Selector;
use crate::state::Target;

pub(crate) use breach::apply;
pub use breach::{QUIET_SECS, look, note, tell, tightened};
pub use forecast::{Miss, Waiting, forecast};
pub use kev::{Kev, KevEntry, KevError};
pub(crate) use lacking::looked_up;
pub use lacking::{CveRules, Judged, LacksNow, Lists};
pub(crate) use loading::apply_load;
pub use loading::{ENTRIES_MAX, LoadedKev, in_force, on_loaded};
pub use table::{CveFacts, DecisionTable, Impact, Remedy, TableError, bod_26_04};
pub(crate) use table::{File as TableFile, Row as TableRow};
pub use tidegate_events::deadline::{Deadline, DeadlineStep};
pub use tidegate_events::patch::{MissingPatch, Severity};

/// One rule: so many days for whom it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sla {
    /// Its name, unique in the policy.
    pub name: String,
    /// The framework that asks for it, such as `PCI DSS 6.3.3`.
    pub framework: String,
    /// Severities of missing patches that it is about; empty means any.
    pub severities: Vec<Severity>,
    /// Targets that it is about; empty means all.
    pub select: Selector,
    /// Days of 24 hours from the first finding.
    pub days: u32,
    /// Where it is written down.
    pub source: String,
    /// Which version of that.
    pub version: String,
}

impl Sla {
    /// Whether it means this target. Tags and platform that are not known yet do not match: the target is looked up before its wave
    /// is cut, and asked again then.
    pub fn means(&self, target: &TargetKey, host: Option<&Host>, ous: &[String]) -> bool {
        self.select.is_empty() || selects(&self.select, target, host, ous)
    }

    fn deadline(&self, since: Timestamp) -> Deadline {
        let source = if self.framework.is_empty() { self.source.clone() } else { format!("{} ({})", self.source, self.framework) };
        Deadline { at: days_after(since, self.days), since, sla: self.name.clone(), source, version: self.version.clone() }
    }
}

pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

pub(crate) fn days_after(since: Timestamp, days: u32) -> Timestamp {
    later(since, i64::from(days).saturating_mul(86_400))
}

/// Whom a deadline is asked for.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The target.
    pub target: &'a TargetKey,
    /// What is known of it, where it was looked up.
    pub host: Option<&'a Host>,
    /// The organizational units above its account.
    pub ous: &'a [String],
    /// Since when it is non-compliant.
    pub since: Timestamp,
}

/// The deadline that a finding alone sets: the earliest of every rule that means the target, whatever severities it names.
pub fn of_finding(slas: &[Sla], about: &About<'_>) -> Option<Deadline> {
    earliest(slas.iter().filter(|sla| sla.means(about.target, about.host, about.ous)).map(|sla| sla.deadline(about.since)))
}

/// Data beside the policy that sets deadlines by CVE.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByCve<'a> {
    /// The KEV catalog.
    pub kev: Option<&'a Kev>,
    /// A decision table.
    pub table: Option<&'a DecisionTable>,
    /// What is known of a CVE's automation and impact; without it the strictest row that may apply counts.
    pub facts: Option<&'a std::collections::BTreeMap<String, CveFacts>>,
    /// Whether the target can be reached from the internet, where somebody knows.
    pub exposed: Option<bool>,
}

/// The earliest deadline of what a target misses, with its source: policy rules by severity, the KEV catalog's due dates, and the
/// decision table's row for each CVE. `None` where no rule speaks of any of it.
pub fn of_patches(slas: &[Sla], by_cve: &ByCve<'_>, about: &About<'_>, missing: &[MissingPatch]) -> Option<Deadline> {
    let severities: BTreeSet<Severity> = missing.iter().map(|patch| patch.severity).collect();
    let by_rule = slas
        .iter()
        .filter(|sla| sla.means(about.target, about.host, about.ous))
        .filter(|sla| !missing.is_empty() && (sla.severities.is_empty() || sla.severities.iter().any(|severity| severities.contains(severity))))
        .map(|sla| sla.deadline(about.since));
    let cves: BTreeSet<&String> = missing.iter().flat_map(|patch| &patch.cves).collect();
    let by_cve = cves.into_iter().flat_map(|cve| {
        let listed = by_cve.kev.and_then(|kev| kev.deadline(cve, about.since));
        let facts = by_cve.facts.and_then(|facts| facts.get(cve)).copied().unwrap_or_default();
        let is_listed = by_cve.kev.map(|kev| kev.get(cve).is_some());
        let row = by_cve.table.and_then(|table| table.deadline(cve, is_listed, by_cve.exposed, facts, about.since));
        listed.into_iter().chain(row)
    });
    earliest(by_rule.chain(by_cve))
}

fn earliest(deadlines: impl Iterator<Item = Deadline>) -> Option<Deadline> {
    deadlines.min_by(|a, b| (a.at, &a.sla).cmp(&(b.at, &b.sla)))
}

/// Since when a target is non-compliant without a break, as far as its facts tell.
pub fn non_compliant_since(target: &Target) -> Option<Timestamp> {
    target.facts.iter().take_while(|fact| fact.compliance == Compliance::NonCompliant).map(|fact| fact.ordering).min()
}

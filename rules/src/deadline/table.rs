//! A decision table by CVE in the manner of BOD 26-04: known to be exploited, reachable from the internet, automatable, and how
//! much an attacker gains, decide how many days there are. The table is data; what is not known of a CVE is taken for the worse.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Deadline, days_after};

/// How much an attacker gains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Some control.
    Partial,
    /// All of it.
    Total,
}

/// What is known of a CVE beside the KEV catalog, as CISA's Vulnrichment says it for about half of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CveFacts {
    /// Whether an attack can be automated.
    pub automatable: Option<bool>,
    /// The technical impact.
    pub impact: Option<Impact>,
}

/// What a row asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remedy {
    /// Days to remediate; `None` where the next upgrade of the system is soon enough.
    pub days: Option<u32>,
    /// Whether traces must be kept before patching.
    pub triage: bool,
}

impl Remedy {
    /// The stricter first: fewer days, then triage.
    fn rank(&self) -> (u32, bool) {
        (self.days.unwrap_or(u32::MAX), !self.triage)
    }
}

/// A decision table: every combination has exactly one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "File", into = "File")]
pub struct DecisionTable {
    /// What it is called.
    pub name: String,
    /// Where it comes from.
    pub source: String,
    /// Which version of that.
    pub version: String,
    rows: BTreeMap<(bool, bool, bool, Impact), Remedy>,
}

/// Why a file is no decision table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not TOML of its form.
    #[error("this is not a decision table: {0}")]
    Form(String),
    /// A combination has no row, or two.
    #[error("the decision table has {found} rows for kev = {kev}, exposed = {exposed}, automatable = {automatable}, impact = {impact:?}: expected one")]
    Rows {
        /// Known to be exploited.
        kev: bool,
        /// Reachable from the internet.
        exposed: bool,
        /// Automatable.
        automatable: bool,
        /// The impact.
        impact: Impact,
        /// How many rows there are.
        found: usize,
    },
}

/// A table as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) version: String,
    pub(crate) row: Vec<Row>,
}

/// One row of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) kev: bool,
    pub(crate) exposed: bool,
    pub(crate) automatable: bool,
    pub(crate) impact: Impact,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) days: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) triage: bool,
}

impl From<DecisionTable> for File {
    fn from(table: DecisionTable) -> Self {
        let row = |((kev, exposed, automatable, impact), remedy): ((bool, bool, bool, Impact), Remedy)| Row {
            kev,
            exposed,
            automatable,
            impact,
            days: remedy.days,
            triage: remedy.triage,
        };
        Self { name: table.name, source: table.source, version: table.version, row: table.rows.into_iter().map(row).collect() }
    }
}

impl TryFrom<File> for DecisionTable {
    type Error = TableError;

    fn try_from(file: File) -> Result<Self, TableError> {
        let mut rows = BTreeMap::new();
        for (kev, exposed, automatable, impact) in combinations() {
            let same: Vec<&Row> =
                file.row.iter().filter(|row| (row.kev, row.exposed, row.automatable, row.impact) == (kev, exposed, automatable, impact)).collect();
            let [row] = same.as_slice() else { return Err(TableError::Rows { kev, exposed, automatable, impact, found: same.len() }) };
            rows.insert((kev, exposed, automatable, impact), Remedy { days: row.days, triage: row.triage });
        }
        Ok(Self { name: file.name, source: file.source, version: file.version, rows })
    }
}

/// The table of CISA's Binding Operational Directive 26-04.
///
/// # Errors
/// Never, as a test holds; it is parsed like any other.
pub fn bod_26_04() -> Result<DecisionTable, TableError> {
    DecisionTable::parse(include_str!("../../policies/sla/bod-26-04.toml"))
}

impl DecisionTable {
    /// Reads a table from TOML: `name`, `source`, `version`, and one `[[row]]` for each of the sixteen combinations.
    ///
    /// # Errors
    /// When it is not such a file, or a combination has no row or two.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let file: File = toml::from_str(text).map_err(|error| TableError::Form(error.to_string()))?;
        Self::try_from(file)
    }

    /// What the table asks for: the strictest of all rows that what is known does not exclude.
    pub fn remedy(&self, kev: Option<bool>, exposed: Option<bool>, facts: CveFacts) -> Option<Remedy> {
        let fits = |known: Option<bool>, row: bool| known.is_none_or(|known| known == row);
        self.rows
            .iter()
            .filter(|((k, e, a, i), _)| fits(kev, *k) && fits(exposed, *e) && fits(facts.automatable, *a) && facts.impact.is_none_or(|impact| impact == *i))
            .map(|(_, remedy)| *remedy)
            .min_by_key(Remedy::rank)
    }

    /// The deadline of a CVE; `None` where the next upgrade is soon enough.
    pub fn deadline(&self, cve: &str, kev: Option<bool>, exposed: Option<bool>, facts: CveFacts, since: Timestamp) -> Option<Deadline> {
        let days = self.remedy(kev, exposed, facts)?.days?;
        Some(Deadline { at: days_after(since, days), since, sla: format!("{} {cve}", self.name), source: self.source.clone(), version: self.version.clone() })
    }

    /// Every number of days that the table knows, for people.
    pub fn all_days(&self) -> BTreeSet<u32> {
        self.rows.values().filter_map(|remedy| remedy.days).collect()
    }
}

fn combinations() -> impl Iterator<Item = (bool, bool, bool, Impact)> {
    let both = [true, false];
    both.into_iter().flat_map(move |kev| {
        both.into_iter().flat_map(move |exposed| {
            both.into_iter().flat_map(move |automatable| [Impact::Total, Impact::Partial].into_iter().map(move |impact| (kev, exposed, automatable, impact)))
        })
    })
}

//! Patches that an instance lacks, as Systems Manager names them one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::InstanceId;

/// How bad a missing patch is, in the words of Systems Manager's baselines; those of its compliance API mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Severity {
    /// Critical.
    Critical,
    /// Important, or High.
    Important,
    /// Medium, or Moderate.
    Medium,
    /// Low, Negligible, or Informational.
    Low,
    /// The vendor names none.
    Unspecified,
}

impl Severity {
    /// Every severity, the worst first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::Important, Self::Medium, Self::Low, Self::Unspecified];

    /// The name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "Critical",
            Self::Important => "Important",
            Self::Medium => "Medium",
            Self::Low => "Low",
            Self::Unspecified => "Unspecified",
        }
    }

    /// Reads the word of a patch or a compliance item. A word that nobody knows is no severity: `Unspecified`.
    pub fn from_word(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "critical" => Self::Critical,
            "important" | "high" => Self::Important,
            "medium" | "moderate" => Self::Medium,
            "low" | "negligible" | "informational" => Self::Low,
            _ => Self::Unspecified,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A patch that a target misses, as `ssm:DescribeInstancePatches` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPatch {
    /// `KBId`, or the package's name.
    pub id: String,
    /// `Severity`.
    pub severity: Severity,
    /// `CVEIds`, taken apart.
    pub cves: Vec<String>,
}

impl MissingPatch {
    /// Reads the three words of one line: `CVEIds` is one string with commas, in any case, and often empty.
    pub fn read(id: &str, severity: &str, cve_ids: &str) -> Self {
        let cves: BTreeSet<String> = cve_ids.split([',', ' ']).map(|cve| cve.trim().to_ascii_uppercase()).filter(|cve| cve.starts_with("CVE-")).collect();
        Self { id: id.to_owned(), severity: Severity::from_word(severity), cves: cves.into_iter().collect() }
    }
}

/// What one instance lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// The instance.
    pub instance: InstanceId,
    /// Its missing patches; `None` where nobody can say.
    pub missing: Option<Vec<MissingPatch>>,
}

/// What one target lacks, in short: what is kept of [`Lacking`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lacks {
    /// Missing patches by severity; severities without any are left out.
    pub severities: BTreeMap<Severity, u32>,
    /// Of these, patches for a CVE of the KEV catalog; `None` where no catalog was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploited: Option<u32>,
    /// The version of that catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kev: Option<String>,
}

pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

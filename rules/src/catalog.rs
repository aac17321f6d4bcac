//! The catalog: one file, one remediation. A finding's resource type leads to an entry, the entry says what to run and what
//! proves it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use tidegate_events::entry::RunStep;
use tidegate_events::id::SnapshotId;

/// One remediation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// Its name in a policy and in lanes: lower-case letters, digits and `-`.
    pub name: String,
    /// What it does, for people: `installs the patches ...`.
    pub title: String,
    /// AWS Config resource types whose findings it answers.
    pub resource_types: Vec<String>,
    /// The Config rules that judge it, by AWS's names; deployed names have prefixes and suffixes.
    pub config_rules: Vec<String>,
    /// The Systems Manager document that it runs.
    pub document: String,
    /// What proves success.
    pub proof: Proof,
    /// The document's parameters for each step, with `{reboot_option}` and `{snapshot}` to be filled in.
    steps: BTreeMap<Step, BTreeMap<String, String>>,
}

/// What proves that a remediation worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A scan after the install that finds nothing missing, failed or pending a reboot.
    PatchState,
}

/// [`RunStep`] as a key of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Install,
    Reboot,
    Scan,
}

impl CatalogEntry {
    /// The document's parameters for a step, as `SendCommand` takes them: every value a list. `None` for a step that the
    /// entry does not have. A scan takes no notice of `reboot_option`.
    pub fn parameters(&self, step: RunStep, reboot_option: &str, snapshot: &SnapshotId) -> Option<BTreeMap<String, Vec<String>>> {
        let step = match step {
            RunStep::Install => Step::Install,
            RunStep::Reboot => Step::Reboot,
            RunStep::Scan => Step::Scan,
        };
        let fill = |value: &String| value.replace("{reboot_option}", reboot_option).replace("{snapshot}", snapshot.as_str());
        Some(self.steps.get(&step)?.iter().map(|(key, value)| (key.clone(), vec![fill(value)])).collect())
    }
}

/// The files of the catalog.
const FILES: [&str; 1] = [include_str!("../catalog/patch.toml")];

static ENTRIES: LazyLock<Vec<CatalogEntry>> = LazyLock::new(|| FILES.iter().filter_map(|text| toml::from_str(text).ok()).collect());

/// All entries.
pub fn entries() -> &'static [CatalogEntry] {
    &ENTRIES
}

/// The entry of this name.
pub fn entry(name: &str) -> Option<&'static CatalogEntry> {
    entries().iter().find(|entry| entry.name == name)
}

/// The entry that answers findings about this AWS Config resource type.
pub fn for_resource_type(resource_type: &str) -> Option<&'static CatalogEntry> {
    entries().iter().find(|entry| entry.resource_types.iter().any(|answered| answered == resource_type))
}

/// The names of all entries.
pub fn names() -> Vec<&'static str> {
    entries().iter().map(|entry| entry.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_an_entry_of_its_own() {
        for text in FILES {
            toml::from_str::<CatalogEntry>(text).unwrap();
        }
        assert_eq!(entries().len(), FILES.len());
        for entry in entries() {
            assert!(entry.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", entry.name);
            assert_eq!(super::entry(&entry.name), Some(entry), "two entries are called `{}`", entry.name);
            for resource_type in &entry.resource_types {
                assert_eq!(for_resource_type(resource_type), Some(entry), "two entries answer {resource_type}");
            }
        }
        assert_eq!(entry("no-such"), None);
        assert_eq!(for_resource_type("AWS::S3::Bucket"), None);
    }

    #[test]
    fn parameters_are_those_of_the_document_and_leave_nothing_open() {
        let snapshot: SnapshotId = "01234567-89ab-cdef-0123-456789abcdef".parse().unwrap();
        let patch = entry("patch").unwrap();
        let shown = |step| serde_json::to_string(&patch.parameters(step, "NoReboot", &snapshot).unwrap()).unwrap();
        let id = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(shown(RunStep::Install), format!(r#"{{"Operation":["Install"],"RebootOption":["NoReboot"],"SnapshotId":["{id}"]}}"#));
        assert_eq!(shown(RunStep::Reboot), format!(r#"{{"Operation":["Install"],"RebootOption":["RebootIfNeeded"],"SnapshotId":["{id}"]}}"#));
        assert_eq!(shown(RunStep::Scan), format!(r#"{{"Operation":["Scan"],"RebootOption":["NoReboot"],"SnapshotId":["{id}"]}}"#));
        for entry in entries() {
            for step in [RunStep::Install, RunStep::Reboot, RunStep::Scan] {
                let open =
                    entry.parameters(step, "NoReboot", &snapshot).into_iter().flatten().any(|(_, values)| values.iter().any(|value| value.contains('{')));
                assert!(!open, "{}", entry.name);
            }
        }
    }
}

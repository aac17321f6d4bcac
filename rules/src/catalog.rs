//! The catalog: one file, one remediation. A finding leads to an entry, the entry says what to run, with which parameters on
//! which platform, and what proves it. Nothing else names a document.
//!
//! Entries come with Tidegate, or from a folder of the user's own: those are read by [`Catalog::with`], and a policy that names
//! one carries it whole, so that its digest covers it and a pinned campaign never depends on a file.

mod job;
mod read;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use tidegate_events::id::InstanceId;

pub use job::{Fill, Hooks, Job, JobFault, Wish};
pub use read::{CatalogError, CatalogErrors};
pub(crate) use read::{DOCUMENT_EXPECTED, is_document};

/// The resource type of the findings that Tidegate was made for.
pub const PATCH_COMPLIANCE: &str = "AWS::SSM::PatchCompliance";

/// How AWS Config names an instance as a resource of this type: what Systems Manager says of a node stands behind a prefix, whatever
/// it says; instances stand bare.
pub fn resource_id(resource_type: &str, instance: &InstanceId) -> String {
    if resource_type.ends_with("Compliance") { format!("AWS::SSM::ManagedInstanceInventory/{instance}") } else { instance.to_string() }
}

/// One remediation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What runs it.
    #[serde(default)]
    pub runner: Runner,
    /// The Systems Manager document that it runs; empty where nothing runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub document: String,
    /// What proves success.
    pub proof: Proof,
    /// How long the proof may be waited for after the run, in seconds, where Config's verdict is the proof.
    #[serde(default = "proof_within", skip_serializing_if = "is_proof_within")]
    pub proof_within_secs: u32,
    /// The runbook's parameter that takes the instance: for Automation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_parameter: Option<String>,
    /// The document's parameters for each step, with placeholders to be filled in.
    #[serde(default)]
    pub steps: BTreeMap<Step, Parameters>,
    /// What runs instead on one platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<OnPlatform, PlatformDocument>,
    /// The document that runs hooks around the install, for entries that can have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<HookSupport>,
}

/// A document's parameters, as a file writes them.
pub type Parameters = BTreeMap<String, Values>;

/// One value of a parameter, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Values {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}

/// What runs a remediation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runner {
    /// Run Command: the agent on the instance runs a Command document.
    #[default]
    Command,
    /// Automation: Systems Manager runs a runbook about the instance.
    Automation,
    /// Nothing runs: the finding goes to the owner that the policy names.
    Report,
}

/// What proves that a remediation worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A scan after the install that finds nothing missing, failed or pending a reboot.
    PatchState,
    /// AWS Config's own verdict on a state that was captured after the run had ended.
    ConfigVerdict,
}

/// A step of a remediation, as a key of the file. Only patches have more than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// What mends; `run` where nothing is installed.
    #[serde(alias = "run")]
    Install,
    /// The reboot, where it is a step of its own.
    Reboot,
    /// The scan afterwards.
    Scan,
}

/// A platform as a key of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnPlatform {
    /// Linux of any kind.
    Linux,
    /// Windows Server.
    Windows,
    /// macOS.
    Macos,
}

/// What runs instead on one platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformDocument {
    /// The document; the entry's own where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Parameters of steps; a step that is given here replaces the entry's whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<Step, Parameters>,
}

/// The document that installs with hooks, and the hooks that every policy gets from the entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSupport {
    /// The document: it takes the install's parameters and the names of three hook documents.
    pub document: String,
    /// A hook that runs where neither policy nor wave names another: before the install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre: Option<String>,
    /// After the install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// At the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exit: Option<String>,
}

impl HookSupport {
    /// The hooks that run where neither policy nor wave names others.
    pub fn defaults(&self) -> Hooks {
        Hooks { pre: self.pre.clone(), post: self.post.clone(), on_exit: self.on_exit.clone() }
    }
}

/// An hour: rules that a change triggers answer in minutes, the others when they are asked.
fn proof_within() -> u32 {
    3600
}

fn is_proof_within(secs: &u32) -> bool {
    *secs == proof_within()
}

impl CatalogEntry {
    /// Whether it answers findings about this resource type by a Config rule of this deployed name.
    ///
    /// Several rules may judge one resource type, and then the rule decides. Its deployed name may have a prefix and a suffix
    /// (organization rules, conformance packs, Security Hub), so AWS's name is looked for inside it. What is alone with its
    /// resource type needs no name.
    pub fn answers(&self, resource_type: &str, rule: Option<&str>) -> bool {
        self.resource_types.iter().any(|answered| answered == resource_type) && (!needs_rule(resource_type) || rule.is_some_and(|rule| self.is_rule(rule)))
    }

    /// Whether a deployed Config rule is one of this entry's, by its name.
    pub fn is_rule(&self, deployed: &str) -> bool {
        let folded = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        let deployed = folded(deployed);
        self.config_rules.iter().map(|rule| folded(rule)).any(|rule| {
            // Security Hub drops the end of the name.
            let hub_form = rule.strip_suffix("-status-check").unwrap_or(&rule);
            deployed.contains(&rule) || deployed.strip_prefix("securityhub-").is_some_and(|rest| rest.starts_with(hub_form))
        })
    }

    /// An entry that answers nothing and runs nothing.
    pub(crate) fn nothing() -> Self {
        Self {
            name: String::new(),
            title: "runs nothing: its catalog entry is not known".to_owned(),
            resource_types: Vec::new(),
            config_rules: Vec::new(),
            runner: Runner::Report,
            document: String::new(),
            proof: Proof::ConfigVerdict,
            proof_within_secs: proof_within(),
            target_parameter: None,
            steps: BTreeMap::new(),
            documents: BTreeMap::new(),
            hooks: None,
        }
    }

    /// Whether its commands pin a set of patches: only then can that set grow old.
    pub fn pins_patches(&self) -> bool {
        self.proof == Proof::PatchState
    }
}

/// Whether a resource type is judged by rules about quite different things, so that its name alone says nothing.
fn needs_rule(resource_type: &str) -> bool {
    matches!(resource_type, "AWS::EC2::Instance" | "AWS::SSM::ManagedInstanceInventory")
}

/// The files of the catalog that comes with Tidegate.
const FILES: [&str; 4] = [
    include_str!("../catalog/patch.toml"),
    include_str!("../catalog/association.toml"),
    include_str!("../catalog/imdsv2.toml"),
    include_str!("../catalog/unmanaged.toml"),
];

static ENTRIES: LazyLock<Vec<CatalogEntry>> = LazyLock::new(|| FILES.iter().filter_map(|text| toml::from_str(text).ok()).collect());

/// All entries that come with Tidegate.
pub fn entries() -> &'static [CatalogEntry] {
    &ENTRIES
}

/// The entry of this name that comes with Tidegate.
pub fn entry(name: &str) -> Option<&'static CatalogEntry> {
    entries().iter().find(|entry| entry.name == name)
}

/// The entry, of those that come with Tidegate, that answers findings about this AWS Config resource type where that alone
/// decides; see [`for_finding`] where it does not.
pub fn for_resource_type(resource_type: &str) -> Option<&'static CatalogEntry> {
    for_finding(resource_type, None)
}

/// The entry, of those that come with Tidegate, that answers findings of this deployed rule about this resource type.
pub fn for_finding(resource_type: &str, rule: Option<&str>) -> Option<&'static CatalogEntry> {
    entries().iter().find(|entry| entry.answers(resource_type, rule))
}

/// The entry that rolls out patches: what an adapter asks about where no policy says otherwise.
pub fn patch() -> CatalogEntry {
    entry("patch").cloned().unwrap_or_else(CatalogEntry::nothing)
}

/// The names of all entries that come with Tidegate.
pub fn names() -> Vec<&'static str> {
    entries().iter().map(|entry| entry.name.as_str()).collect()
}

/// The entries that a policy may name: those that come with Tidegate, and the user's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    own: Vec<CatalogEntry>,
}

impl Catalog {
    /// Those that come with Tidegate, and these files' (name and text of each; one entry a file).
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn with<'t>(files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<Self, CatalogErrors> {
        read::files(files).map(|own| Self { own })
    }

    /// The entry of this name.
    pub fn entry(&self, name: &str) -> Option<&CatalogEntry> {
        self.own(name).or_else(|| entry(name))
    }

    /// The user's own entry of this name: a policy that names it carries it.
    pub fn own(&self, name: &str) -> Option<&CatalogEntry> {
        self.own.iter().find(|entry| entry.name == name)
    }

    /// All names.
    pub fn names(&self) -> Vec<&str> {
        self.own.iter().map(|entry| entry.name.as_str()).chain(entries().iter().map(|entry| entry.name.as_str())).collect()
    }
}

#[cfg(test)]
mod tests;

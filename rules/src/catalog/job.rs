//! What one command or execution runs: the entry's document and parameters for a step on a platform, with what a policy, a wave
//! or a run wishes for, and every placeholder filled in. Everything that sends, searches, digests or shows it asks here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_events::entry::RunStep;
use tidegate_events::host::Platform;
use tidegate_events::id::{AccountId, Region, SnapshotId};
use tidegate_events::run::CustomDocuments;

use super::{CatalogEntry, OnPlatform, Parameters, Runner, Step};

/// Documents that run around the install, by name or ARN; none runs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Before the install; its failure keeps the install from running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre: Option<String>,
    /// After the install, before the reboot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// At the end, after the reboot, whatever came before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exit: Option<String>,
}

impl Hooks {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and where one is not named, the other's.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            pre: self.pre.clone().or_else(|| other.pre.clone()),
            post: self.post.clone().or_else(|| other.post.clone()),
            on_exit: self.on_exit.clone().or_else(|| other.on_exit.clone()),
        }
    }

    /// The parameters of `AWS-RunPatchBaselineWithHooks` for them. One that is not named is left to the document's default,
    /// which does nothing.
    fn parameters(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        [("PreInstallHookDocName", &self.pre), ("PostInstallHookDocName", &self.post), ("OnExitHookDocName", &self.on_exit)]
            .into_iter()
            .filter_map(|(key, document)| Some((key.to_owned(), vec![document.clone()?])))
    }
}

/// What a policy, a wave or a run wants otherwise than the entry says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Hooks around the install.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// A document instead of the entry's for what mends. It gets the parameters that the entry's would have got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

impl From<&CustomDocuments> for Wish {
    /// What a bulk run wants on one platform: its `PostPatch` runs last, after the reboot.
    fn from(custom: &CustomDocuments) -> Self {
        Self { hooks: Hooks { pre: custom.pre_patch.clone(), post: None, on_exit: custom.post_patch.clone() }, document: custom.patch.clone() }
    }
}

/// What placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub struct Fill<'a> {
    /// `{reboot_option}`: RebootIfNeeded or NoReboot.
    pub reboot_option: &'a str,
    /// `{snapshot}`: pins the set of approved patches.
    pub snapshot: &'a SnapshotId,
    /// `{account}`, `{region}`, and `{partition}` by it; `None` leaves them open, for what is the same in all cells.
    pub place: Option<(AccountId, &'a Region)>,
}

/// The placeholders that a file may use.
pub(super) const PLACEHOLDERS: [&str; 5] = ["{reboot_option}", "{snapshot}", "{account}", "{region}", "{partition}"];

impl Fill<'_> {
    pub(crate) fn text(&self, text: &str) -> String {
        let text = text.replace("{reboot_option}", self.reboot_option).replace("{snapshot}", self.snapshot.as_str());
        let Some((account, region)) = self.place else { return text };
        let partition = match region.as_str() {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        text.replace("{account}", &account.to_string()).replace("{region}", region.as_str()).replace("{partition}", partition)
    }
}

/// What one command or execution runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// What runs it.
    pub runner: Runner,
    /// The document or runbook.
    pub document: String,
    /// Its parameters, as the API takes them: every value a list.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// The runbook's parameter that takes the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_parameter: Option<String>,
}

/// Why there is nothing to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobFault {
    /// The entry has no such step.
    #[error("catalog entry `{entry}` has no step `{step}`")]
    NoStep {
        /// The entry.
        entry: String,
        /// The step.
        step: RunStep,
    },
    /// Hooks are asked for that nothing would run: leaving them out would skip somebody's check.
    #[error("hooks are asked for, but {what}")]
    NoHooks {
        /// Why nothing would run them.
        what: String,
    },
}

impl CatalogEntry {
    /// What runs for a step on a platform. Hooks and a document of somebody's own are about the install alone: scan and reboot
    /// run as the entry says.
    ///
    /// # Errors
    /// When the entry has no such step, or nothing of it would run the hooks that are asked for.
    pub fn job(&self, step: RunStep, platform: Platform, wish: &Wish, fill: &Fill<'_>) -> Result<Job, JobFault> {
        let key = match step {
            RunStep::Install => Step::Install,
            RunStep::Reboot => Step::Reboot,
            RunStep::Scan => Step::Scan,
            // The policy's own: no entry has it.
            RunStep::Backup => return Err(JobFault::NoStep { entry: self.name.clone(), step }),
        };
        let platform = match platform {
            Platform::Linux => OnPlatform::Linux,
            Platform::Windows => OnPlatform::Windows,
            Platform::MacOS => OnPlatform::Macos,
        };
        let special = self.documents.get(&platform);
        let given: Option<&Parameters> = special.and_then(|special| special.steps.get(&key)).or_else(|| self.steps.get(&key));
        let given = given.ok_or_else(|| JobFault::NoStep { entry: self.name.clone(), step })?;
        let mut parameters: BTreeMap<String, Vec<String>> =
            given.iter().map(|(key, values)| (key.clone(), values.iter().map(|value| fill.text(value)).collect())).collect();
        let own = special.and_then(|special| special.document.clone());
        let hooks = self.hooks.as_ref().map_or_else(|| wish.hooks.clone(), |support| wish.hooks.or(&support.defaults()));
        let instead = wish.document.clone().filter(|_| step == RunStep::Install).or(own);
        let document = match (&self.hooks, instead) {
            (_, Some(document)) if step != RunStep::Install || hooks.is_empty() => document,
            (_, Some(document)) => return Err(JobFault::NoHooks { what: format!("document `{document}` stands in the place of the one that runs hooks") }),
            (_, None) if step != RunStep::Install || hooks.is_empty() => self.document.clone(),
            (Some(support), None) => {
                parameters.extend(hooks.parameters());
                support.document.clone()
            }
            (None, None) => return Err(JobFault::NoHooks { what: format!("catalog entry `{}` has no document that runs them", self.name) }),
        };
        Ok(Job { runner: self.runner, document: fill.text(&document), parameters, target_parameter: self.target_parameter.clone() })
    }
}

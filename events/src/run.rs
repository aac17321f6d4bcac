//! A bulk run as somebody asked for it: which hosts, in which order, what is done to them. One form for every way to write it
//! down (the `wire` module reads them); what it means for a fleet is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::{Host, Platform};
use crate::id::{AccountId, Digest, InstanceId, Region};

/// A bulk run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkRun {
    /// What people call it: `executionName`, or `waveId` of the flat form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Everything is decided and shown, and nothing is sent to any spoke: no command, no scan.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether a wave over its failure budget halts the run. Absent in the input means true.
    pub abort_on_issues: bool,
    /// Whether people are asked, where the input says: it can ask for approvals that the policy does not, never do without those
    /// that it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_required: Option<bool>,
    /// Why, in the asker's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// An SNS topic that gets the run's notices too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Who is told by mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_email: Option<String>,
    /// A Bedrock agent that may add a paragraph to the approval request; advisory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bedrock: Option<BedrockAgent>,
    /// The asker wants the hosts' state collected before anything is done to them (`preCollect.enabled`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pre_collect: bool,
    /// SSM documents run instead of the catalog entry's own, by platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom_documents: BTreeMap<Platform, CustomDocuments>,
    /// The waves, strictly one after the other; never empty.
    pub waves: Vec<RunWave>,
}

/// A Bedrock agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BedrockAgent {
    /// `agentId`
    pub agent_id: String,
    /// `agentAliasId`
    pub agent_alias_id: String,
}

/// Documents of one platform's steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomDocuments {
    /// `PrePatch`: runs first; its failure keeps the patch from running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_patch: Option<String>,
    /// `Patch`: runs instead of the catalog entry's document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// `PostPatch`: runs last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_patch: Option<String>,
}

/// One wave of a bulk run: which hosts, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunWave {
    /// Its name, unique in the run; made (`wave1`) where the input has none.
    pub name: String,
    /// Accounts; never empty.
    pub accounts: BTreeSet<AccountId>,
    /// Regions; never empty.
    pub regions: BTreeSet<Region>,
    /// Every key must be there with one of its values; none asks for nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, BTreeSet<String>>,
    /// Platforms; empty means Linux and Windows.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub platforms: BTreeSet<Platform>,
    /// Just these instances; empty means whoever matches.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub instances: BTreeSet<InstanceId>,
    /// Install or only look.
    pub operation: Operation,
    /// Whether the command may reboot; the policy's own word where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot: Option<RebootOption>,
    /// At most so many of the wave at once (`maxConcurrency`): feeds the blast radius, never above the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<RunAmount>,
    /// Failures that the wave survives (`maxErrors`), never above the policy's budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<RunAmount>,
    /// How long the wave is watched before the next one, in seconds (`wavePauseSeconds`): a bake, never shorter than the policy's
    /// where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_after_secs: Option<u32>,
}

/// `ssm.operation`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operation {
    /// Install what is missing.
    #[default]
    Install,
    /// Scan, and install nothing.
    Scan,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Install => "Install",
            Self::Scan => "Scan",
        })
    }
}

/// `ssm.rebootOption`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RebootOption {
    /// Where a patch asks for it.
    RebootIfNeeded,
    /// Never by this command.
    NoReboot,
}

/// `10%` or `3`: a share in basis points, or a count. No floats decide anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunAmount {
    /// So many targets.
    Count(u64),
    /// Such a share of the wave, in basis points.
    ShareBps(u32),
}

impl BulkRun {
    /// The digest over the canonical JSON of every field.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

impl RunWave {
    /// Why a host is not of this wave; `None` where it is.
    pub fn leaves_out(&self, account: AccountId, region: &Region, host: &Host) -> Option<LeftOut> {
        if !self.accounts.contains(&account) {
            return Some(LeftOut::OtherAccount);
        }
        if !self.regions.contains(region) {
            return Some(LeftOut::OtherRegion);
        }
        if !self.instances.is_empty() && !self.instances.contains(&host.instance) {
            return Some(LeftOut::NotNamed);
        }
        let meant = if self.platforms.is_empty() { host.platform != Platform::MacOS } else { self.platforms.contains(&host.platform) };
        if !meant {
            return Some(LeftOut::OtherPlatform);
        }
        let tagged = self.tags.iter().all(|(key, values)| host.tags.get(key).is_some_and(|value| values.contains(value)));
        if tagged { None } else { Some(LeftOut::NoMatchingTag) }
    }
}

/// Why a host of the inventory is in no wave. The last variants stand for the closer miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Its account is in no wave.
    OtherAccount,
    /// Its Region is in no wave of its account.
    OtherRegion,
    /// The waves name instances, and not this one.
    NotNamed,
    /// No wave of its account and Region takes its platform.
    OtherPlatform,
    /// No wave of its account and Region takes its tags.
    NoMatchingTag,
    /// An exemption of the policy covers it.
    Exempt,
    /// Systems Manager does not know it, or its agent does not answer.
    Unreachable,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherAccount => "account not in the run",
            Self::OtherRegion => "Region not in the run",
            Self::NotNamed => "not among the named instances",
            Self::OtherPlatform => "other platform",
            Self::NoMatchingTag => "no matching tag",
            Self::Exempt => "exempt",
            Self::Unreachable => "unreachable",
        })
    }
}

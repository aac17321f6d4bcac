//! What a world is made of: accounts, hosts, their troubles, and the faults of everything between. Data that a test writes by
//! hand, a generator writes in bulk, and the world's log keeps as its first line.
//!
//! Times in a spec are seconds after the world's start, so that one spec fits any start.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use tidegate_events::host::Platform;
use tidegate_events::id::{AccountId, TargetKey};

use crate::alarm::AlarmSpec;
use crate::faults::Faults;
use crate::patch::PatchSpec;
use crate::setup::Rival;

/// The Config rule that every account has (aws-facts 1.2).
pub const RULE: &str = "ec2-managedinstance-patch-compliance-status-check";

/// A world before its first moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Decides every outcome that nothing else decides.
    pub seed: u64,
    /// How badly calls and events fare. What befalls single hosts and accounts is written at them.
    #[serde(default)]
    pub faults: Faults,
    /// The model's own delays are divided by this: at 60, minutes of an installation are seconds. What AWS or the caller counts
    /// (time-outs, limits per minute, daily recording) and the times of this spec stay as they are.
    #[serde(default, skip_serializing_if = "Tempo::is_real")]
    pub tempo: Tempo,
    /// Whether SSM's own `Configuration Compliance State Change` events are forwarded too (aws-facts 2.1).
    #[serde(default)]
    pub ssm_compliance_events: bool,
    /// The rule that judges every host, where it is another than that of the patches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleSpec>,
    /// Documents and runbooks of the customer's own, which AWS does not come with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<String>,
    /// Change calendars by name or ARN: when each is closed, as seconds from the start. One that is not here is not known.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub calendars: std::collections::BTreeMap<String, Vec<(u64, u64)>>,
    /// CloudWatch alarms in the hub.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<AlarmSpec>,
    /// Whether the hub's role may not read them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alarms_denied: bool,
    /// The accounts of the organization.
    pub accounts: Vec<AccountSpec>,
    /// The hosts.
    pub hosts: Vec<HostSpec>,
}

/// A Config rule about something else than patches. What it finds wrong with a host are the host's missing patches, under another
/// name: one thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Its name.
    pub name: String,
    /// The resource type that it judges: one whose resources are instances.
    pub resource_type: String,
    /// The document or runbook that mends what it finds; no other does.
    pub mended_by: String,
}

/// How many times faster than in AWS the model's own delays pass: 1 at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tempo(NonZeroU32);

impl Default for Tempo {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

impl Tempo {
    /// So many times faster; 0 counts as 1.
    pub fn times(tempo: u32) -> Self {
        Self(NonZeroU32::new(tempo).unwrap_or(NonZeroU32::MIN))
    }

    /// How many times.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    fn is_real(&self) -> bool {
        self.get() == 1
    }
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// Its id.
    pub id: AccountId,
    /// The organizational units above it, from the root down.
    #[serde(default)]
    pub ous: Vec<String>,
    /// Whether the hub may enter.
    #[serde(default)]
    pub role: Role,
    /// Whether it is in use.
    #[serde(default)]
    pub state: AccountState,
    /// How Config records in it.
    #[serde(default)]
    pub recording: Recording,
    /// Its Config rules of the managed patch check, the first of which the API answers for. Each of them emits every change:
    /// organization rules, conformance packs and Security Hub judge the same configuration item (aws-facts 1.3).
    #[serde(default = "standard_rules")]
    pub rules: Vec<String>,
    /// Who else patches in it, in every Region. They are there to be found: none of them does anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<Rival>,
    /// Platforms for which it has no default patch baseline.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without_baseline: BTreeSet<Platform>,
    /// Whether the role may not put or delete remediation exceptions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exceptions_denied: bool,
}

pub(crate) fn standard_rules() -> Vec<String> {
    vec![RULE.to_owned()]
}

impl AccountSpec {
    /// An account that works: active, with the role, recording continuously.
    pub fn new(id: AccountId) -> Self {
        Self {
            id,
            ous: vec!["root".to_owned()],
            role: Role::Ok,
            state: AccountState::Active,
            recording: Recording::Continuous,
            rules: standard_rules(),
            rivals: Vec::new(),
            without_baseline: BTreeSet::new(),
            exceptions_denied: false,
        }
    }
}

/// The spoke role, as `sts:AssumeRole` finds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is there and trusts the hub.
    #[default]
    Ok,
    /// It is not there.
    Missing,
    /// It does not trust the hub.
    WrongTrust,
    /// It trusts the hub, whether or not that says an external id.
    Unguarded,
}

/// An account's state in the organization (aws-facts 4: `State`, not the retired `Status`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// In use.
    #[default]
    Active,
    /// Suspended or closed: no role in it can be assumed, the aggregator no longer shows it.
    Suspended,
}

/// How Config records patch compliance (aws-facts 1.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// A configuration item minutes after each report.
    #[default]
    Continuous,
    /// At most one a day.
    Daily,
    /// None.
    Off,
}

/// One managed instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// Which.
    pub key: TargetKey,
    /// Its platform.
    pub platform: Platform,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Patches that its baseline approves and it does not have.
    #[serde(default)]
    pub missing: u32,
    /// The first of these by name, with severities and CVEs; the others are drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<PatchSpec>,
    /// When Config first says NON_COMPLIANT, in seconds after the start. `None` for a compliant host, and for one whose finding
    /// is fed from outside: then Config, and its aggregator, know nothing of it before our own first report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding_after_secs: Option<u64>,
    /// Whether that is told by an event; otherwise only the aggregator knows.
    #[serde(default)]
    pub announce: bool,
    /// What is wrong with it, beyond missing patches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Trouble>,
}

impl HostSpec {
    /// A healthy, patched, untagged host.
    pub fn new(key: TargetKey, platform: Platform) -> Self {
        Self { key, platform, tags: BTreeMap::new(), missing: 0, patches: Vec::new(), finding_after_secs: None, announce: false, troubles: Vec::new() }
    }

    /// Lacks so many patches; nobody says so yet.
    #[must_use]
    pub fn missing(mut self, patches: u32) -> Self {
        self.missing = patches;
        self
    }

    /// Lacks this patch, beside those that it is said to lack before.
    #[must_use]
    pub fn lacks(mut self, patch: PatchSpec) -> Self {
        self.missing = self.missing.saturating_add(1);
        self.patches.push(patch);
        self
    }

    /// Config says NON_COMPLIANT so many seconds after the start, by an event.
    #[must_use]
    pub fn found_after(mut self, secs: u64) -> Self {
        self.finding_after_secs = Some(secs);
        self.announce = true;
        self
    }

    /// Has a tag.
    #[must_use]
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.tags.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Has a trouble.
    #[must_use]
    pub fn trouble(mut self, trouble: Trouble) -> Self {
        self.troubles.push(trouble);
        self
    }

    /// Whether its baseline would call it NON_COMPLIANT at the start.
    pub(crate) fn is_dirty(&self) -> bool {
        self.missing > 0 || self.troubles.contains(&Trouble::RejectedPatch)
    }
}

/// What can be wrong with a host. Troubles of installs (`InstallFails`, `FalseSuccess`, `FalseFailure`, `Partial`) are used up
/// one install after the other, in the order of the list; after them installs work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// So many installs end with an error, and nothing is installed.
    InstallFails {
        /// How many.
        times: u32,
    },
    /// Every install ends with an error, and nothing is installed.
    InstallFailsAlways,
    /// So many installs end with exit code 0, and nothing is installed.
    FalseSuccess {
        /// How many.
        times: u32,
    },
    /// So many installs end with an error, and everything is installed.
    FalseFailure {
        /// How many.
        times: u32,
    },
    /// So many installs leave some patches failed: the scan afterwards lists them.
    Partial {
        /// How many.
        times: u32,
    },
    /// The hook before the install fails so many times, and nothing is installed.
    PreHookFails {
        /// How many.
        times: u32,
    },
    /// So many backups of it fail: runbooks of the customer's own that mend nothing.
    BackupFails {
        /// How many.
        times: u32,
    },
    /// No backup of it ever ends by itself.
    BackupHangs,
    /// The first reboot that an install does is the agent's end: nothing is heard of it again.
    RebootNeverReturns,
    /// The agent does not answer from `from_secs` on, for good where there is no end. The patches of the host stay as they are.
    Offline {
        /// Seconds after the start.
        from_secs: u64,
        /// Seconds after the start.
        until_secs: Option<u64>,
    },
    /// The instance is stopped in EC2: as offline, and look-ups do not return it (aws-facts 3.4).
    Stopped {
        /// Seconds after the start.
        from_secs: u64,
        /// Seconds after the start.
        until_secs: Option<u64>,
    },
    /// The agent comes and goes: silent for `down_secs` out of every `period_secs`.
    Flaps {
        /// How long one round takes.
        period_secs: u64,
        /// How much of it is silence.
        down_secs: u64,
    },
    /// After so many of our scans, another scanner with another baseline overwrites the patch state within seconds.
    OverwrittenByOtherScanner {
        /// How many.
        times: u32,
    },
    /// A rejected patch is installed: no install ever mends that.
    RejectedPatch,
    /// The instance is terminated.
    TerminatedAt {
        /// Seconds after the start.
        after_secs: u64,
    },
    /// Config records nothing of it (after the finding that announces it, where one does).
    ConfigNotRecording,
    /// Systems Manager does not know it.
    NotRegistered,
}

impl Trouble {
    /// The agent never answers.
    pub const OFFLINE_ALWAYS: Self = Self::Offline { from_secs: 0, until_secs: None };

    /// The agent answers from so many seconds after the start on.
    pub fn offline_until(secs: u64) -> Self {
        Self::Offline { from_secs: 0, until_secs: Some(secs) }
    }
}

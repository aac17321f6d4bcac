//! Policy as data: what a person writes in TOML, parsed and checked once. No setting changes a decision; a policy does, and
//! its digest stands in every sealed wave.
//!
//! [`parse`] makes a policy or says everything that is wrong with it, [`lint`] says what is legal but unwise, [`explain`]
//! says in plain English what it does.

mod defaults;
mod explain;
mod lint;
mod parse;
mod read;
mod stricter;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::host::Platform;
use tidegate_events::id::{AccountId, Digest, InstanceId, LaneId, PersonId, Region};

pub use crate::backup::BackupRule;
use crate::catalog::{self, CatalogEntry, Hooks, Wish};
pub use crate::deadline::CveRules;
use crate::deadline::Sla;
pub use crate::exemption::ExemptionTerms;
pub use crate::group::{Group, Span};
use crate::health::HealthRule;
use crate::schedule::Schedule;
use crate::window::{self, Opening, WindowError};

pub use explain::explain;
pub use lint::{Lint, lint, lint_at};
pub use parse::{parse, parse_with};
pub use read::{PolicyError, PolicyErrors};

/// The policies that come with Tidegate, by name.
pub const BUILTIN_NAMES: [&str; 4] = ["default", "accelerated", "slow-roll", "emergency"];

/// The commented TOML of a policy that comes with Tidegate.
pub fn builtin(name: &str) -> Option<&'static str> {
    match name {
        "default" => Some(include_str!("../policies/default.toml")),
        "accelerated" => Some(include_str!("../policies/accelerated.toml")),
        "slow-roll" => Some(include_str!("../policies/slow-roll.toml")),
        "emergency" => Some(include_str!("../policies/emergency.toml")),
        _ => None,
    }
}

/// The policy that applies where nobody wrote one.
///
/// # Errors
/// Never, as a test holds; it is parsed like any other.
pub fn default_policy() -> Result<Policy, PolicyErrors> {
    parse(include_str!("../policies/default.toml"), "default.toml")
}

/// A share in basis points (hundredths of a percent); no floats decide anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShareBps(pub u32);

impl ShareBps {
    /// All of it.
    pub const ALL: Self = Self(10_000);

    /// This share of `total`, rounded down.
    pub fn of(self, total: u64) -> u64 {
        u64::try_from(u128::from(total) * u128::from(self.0) / 10_000).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for ShareBps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 100 {
            0 => write!(f, "{}%", self.0 / 100),
            part if part % 10 == 0 => write!(f, "{}.{}%", self.0 / 100, part / 10),
            part => write!(f, "{}.{part:02}%", self.0 / 100),
        }
    }
}

/// A limit: a plain count, or a share of the inventory it limits. Written `25` or `"10%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many targets.
    Count(u64),
    /// Such a share of them.
    Share(ShareBps),
    /// Whichever of the two is smaller. Nobody writes this: it comes from [`Amount::min`].
    Least {
        /// At most so many.
        count: u64,
        /// And at most such a share.
        share: ShareBps,
    },
}

impl Amount {
    /// The limit as a count: a share rounds down but never below one, so that small fleets move at all.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => share.of(total).max(1),
            Self::Least { count, share } => count.min(share.of(total).max(1)),
        }
    }

    /// The smaller limit, whatever the total turns out to be: `a.min(b).of(n)` is the smaller of `a.of(n)` and `b.of(n)`.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        let parts = |amount| match amount {
            Self::Count(count) => (Some(count), None),
            Self::Share(share) => (None, Some(share)),
            Self::Least { count, share } => (Some(count), Some(share)),
        };
        let ((count, share), (counts, shares)) = (parts(self), parts(other));
        let count = count.into_iter().chain(counts).min();
        let share = share.into_iter().chain(shares).min();
        match (count, share) {
            (Some(count), Some(share)) => Self::Least { count, share },
            (Some(count), None) => Self::Count(count),
            (None, Some(share)) => Self::Share(share),
            (None, None) => self,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{share}"),
            Self::Least { count, share } => write!(f, "{count} or {share}, whichever is less"),
        }
    }
}

/// What a policy is for; only lints depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Lints are strict.
    Production,
    /// Lints are milder.
    Staging,
    /// Lints are mildest.
    Development,
}

/// A whole policy. Fields are private to nobody: a value comes from [`parse`](crate::policy::parse) and is never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// What it is for.
    pub environment: Environment,
    /// The catalog entry that it rolls out.
    pub remediation: String,
    /// How findings are collected.
    pub collect: Collect,
    /// The waves, in order; never empty, and the last takes whoever is left.
    pub waves: Vec<Wave>,
    /// Who must say yes.
    pub approval: ApprovalRule,
    /// At most so many targets at once.
    pub blast_radius: BlastRadius,
    /// Targets that serve together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Failures (unknown included) that a wave survives; one more halts the lane.
    pub failure_budget: Amount,
    /// When targets may be touched; none means always.
    pub windows: Vec<Window>,
    /// Windows of which one must be open *as well*; none asks for nothing. Nobody writes these: they come from
    /// [`Policy::stricter`], where pinned and current policy name different windows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_windows: Vec<Window>,
    /// When nothing may be touched.
    pub freezes: Vec<Freeze>,
    /// SSM Change Calendars that must be open.
    pub calendars: Vec<String>,
    /// What happens after a failed attempt.
    pub retry: Retry,
    /// What happens about reboots.
    pub reboot: RebootMode,
    /// Targets that are left alone.
    pub exemptions: Vec<Exemption>,
    /// What is done about exemptions besides.
    #[serde(default, skip_serializing_if = "ExemptionTerms::is_default")]
    pub exemption_terms: ExemptionTerms,
    /// What a bulk run may not exceed.
    pub belts: Belts,
    /// Bulk runs that begin by the calendar.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// By when targets must be patched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slas: Vec<Sla>,
    /// What missing patches, CVE by CVE, say about that; `None` reads none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_cve: Option<CveRules>,
    /// How long the patch document may run on one instance, in seconds.
    pub execution_timeout_secs: u32,
    /// The digest of the bulk run whose terms these are. Nobody writes this: it comes from
    /// [`policy_for`](crate::bulk::policy_for), and the waves are that run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk_run: Option<Digest>,
    /// Documents that run around the install.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// The backup before each install; `None` takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupRule>,
    /// What is asked about the health of what a wave has touched, before the next one starts; `None` asks nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthRule>,
    /// The catalog entry that it rolls out, where that is one of the user's own: pinned and digested with the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_entry: Option<Box<CatalogEntry>>,
}

impl Policy {
    /// The digest over the canonical JSON of every field.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_json().as_bytes())
    }

    /// The canonical JSON: what is pinned beside the digest.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The lane that this policy drives: catalog entry and policy name.
    ///
    /// # Errors
    /// When the two names do not make a lane's name, which parsing has excluded.
    pub fn lane(&self) -> Result<LaneId, tidegate_events::id::IdError> {
        format!("{}-{}", self.remediation, self.name).parse()
    }

    /// The catalog entry that it rolls out.
    pub fn entry(&self) -> &CatalogEntry {
        static NOTHING: LazyLock<CatalogEntry> = LazyLock::new(CatalogEntry::nothing);
        match &self.custom_entry {
            Some(own) => own,
            // A pinned policy may name an entry that a later version does not come with: then nothing runs.
            None => catalog::entry(&self.remediation).unwrap_or(&NOTHING),
        }
    }

    /// What it wants otherwise than its catalog entry says, in a wave of this name.
    pub fn wish_for(&self, wave: &str, platform: Platform) -> Wish {
        let Some(known) = self.waves.iter().find(|known| known.name == wave) else { return Wish { hooks: self.hooks.clone(), document: None } };
        let asked = known.documents.get(&platform).cloned().unwrap_or_default();
        // A document instead of the install runs no hooks: what was asked for it says so.
        let hooks = if asked.document.is_some() { asked.hooks } else { asked.hooks.or(&known.hooks).or(&self.hooks) };
        Wish { hooks, document: asked.document }
    }

    /// Live approvals that a campaign needs: four eyes means at least two people.
    pub fn approvals_needed(&self) -> u32 {
        self.approval.needed()
    }

    /// How the windows stand at `now`: ours, and those that must be open as well.
    ///
    /// # Errors
    /// When a cron or a zone is wrong, which parsing has excluded.
    pub fn opening(&self, now: Timestamp) -> Result<Opening, WindowError> {
        window::look_both(&self.windows, &self.also_windows, now)
    }
}

/// How findings are collected into a campaign. All in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collect {
    /// Without a window: how long after its first finding a campaign closes.
    pub gather_secs: u32,
    /// With windows: how long before the next opening it closes, so that approvers have time.
    pub close_lead_secs: u32,
    /// Emergency: closes after `gather_secs` even where windows exist.
    pub emergency: bool,
}

/// One ordered share of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// Its name.
    pub name: String,
    /// Who may be in it; empty means anyone who is left.
    pub select: Selector,
    /// Instances that are named for it. With neither `select` nor `share` they are all that a wave takes, unless it is the last.
    pub instances: Vec<InstanceId>,
    /// Which share of the whole campaign it takes of those; `None` takes them all.
    pub share: Option<ShareBps>,
    /// How long it is watched after its last member ended, in seconds.
    pub bake_secs: u32,
    /// Its own failure budget.
    pub failure_budget: Option<Amount>,
    /// At most so many of its targets at once.
    pub at_once: Option<Amount>,
    /// Hooks of its own; the policy's where one is not named.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// Alarms of its own, asked beside the policy's while it runs and bakes and before the next wave starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// Documents that a bulk run brings, by platform. Nobody writes these: they come from [`policy_for`](crate::bulk::policy_for).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<Platform, Wish>,
}

/// Who is meant. Every key that is given must match; within a key, any value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Tag key to accepted values.
    pub tags: BTreeMap<String, Vec<String>>,
    /// Accounts.
    pub accounts: Vec<AccountId>,
    /// Regions.
    pub regions: Vec<Region>,
    /// Platforms.
    pub platforms: Vec<Platform>,
    /// Organizational units, by id (`ou-...`) or path; an account below one matches.
    pub ous: Vec<String>,
}

impl Selector {
    /// Whether it names nothing, and so means anyone.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.accounts.is_empty() && self.regions.is_empty() && self.platforms.is_empty() && self.ous.is_empty()
    }
}

/// Who must say yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRule {
    /// How many; 0 means none is asked.
    pub quorum: u32,
    /// At least two different people, whatever the quorum.
    pub four_eyes: bool,
    /// Ask for every wave instead of once for the campaign.
    pub per_wave: bool,
    /// How long a yes lives until its wave starts, in seconds.
    pub expires_secs: u32,
    /// Who may; empty means anyone who can reach the engine.
    pub approvers: Vec<PersonId>,
    /// Whether a yes needs a comment (a no always does).
    pub comment_required: bool,
}

impl ApprovalRule {
    /// Live approvals that are needed: four eyes means at least two people.
    pub fn needed(&self) -> u32 {
        match (self.quorum, self.four_eyes) {
            (0, _) => 0,
            (quorum, true) => quorum.max(2),
            (quorum, false) => quorum,
        }
    }
}

/// At most so many targets at once, everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlastRadius {
    /// In one wave.
    pub wave: Amount,
    /// In one account.
    pub account: Amount,
    /// In one Region.
    pub region: Amount,
    /// In all.
    pub organization: Amount,
    /// Among targets that share a value of one tag.
    pub tag: Option<TagLimit>,
}

/// A limit among targets that share a tag's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagLimit {
    /// The tag's key.
    pub key: String,
    /// At most so many of one value.
    pub limit: Amount,
}

/// When targets may be touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// AWS cron, six fields, `cron(...)` optional: minutes hours day-of-month month day-of-week year.
    pub cron: String,
    /// IANA time zone in which the cron is read.
    pub time_zone: String,
    /// How long it is open, in seconds of real time.
    pub duration_secs: u32,
    /// How long before its end nothing may start any more, in seconds.
    pub cutoff_secs: u32,
}

/// When nothing may be touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Its name.
    pub name: String,
    /// First instant.
    pub from: Timestamp,
    /// First instant after it.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

/// What happens after a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included; then quarantine.
    pub attempts_max: u32,
    /// Wait before the second attempt, in seconds; doubles each time.
    pub backoff_secs: u32,
    /// Longest wait, in seconds.
    pub backoff_max_secs: u32,
    /// Who looks after a quarantined target.
    pub owner: String,
}

impl Retry {
    /// The wait after this many failed attempts (1 or more), in seconds.
    pub fn backoff(&self, attempts: u32) -> u32 {
        let doublings = attempts.saturating_sub(1).min(16);
        self.backoff_secs.saturating_mul(1 << doublings).min(self.backoff_max_secs)
    }
}

/// What happens about reboots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebootMode {
    /// The patch command reboots (`RebootIfNeeded`).
    InCommand,
    /// Install with `NoReboot`; the reboot is its own gated step afterwards.
    Separate,
    /// Install with `NoReboot`; somebody else reboots.
    Never,
}

/// Targets that are left alone, by a named owner, until a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// Who is meant.
    pub select: Selector,
    /// Instances that are named.
    pub instances: Vec<InstanceId>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// First instant after it.
    pub until: Timestamp,
}

/// What a bulk run may not exceed; above it the run is refused, not cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belts {
    /// At most so many targets in one run.
    pub targets_max: u64,
    /// At most such a share of the inventory; from 50 known instances on.
    pub share_max: ShareBps,
}

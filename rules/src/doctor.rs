//! Whether a spoke is ready for its first wave, and what to do where it is not: what was read of it, judged. Nothing here calls
//! anybody; `handlers/engine/src/probe.rs` reads.
//!
//! Doubt is never `ok`: what could not be read is `unknown`, and a spoke with anything unknown is not proven.

pub mod facts;
mod mend;
mod recorder;
mod rival;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_events::host::SpokeFault;

use crate::catalog;
use facts::{DefaultBaseline, Nodes, RuleSeen, Session, SpokeFacts};
use mend::{quoted, shown};
use rival::Work;

pub use rival::is_patching;
pub use system::system;

/// What the patch rule judges (aws-facts 1.2).
pub const RESOURCE_TYPE: &str = "AWS::SSM::PatchCompliance";

/// Regions without the managed patch rule (aws-facts 1.2): findings come from Systems Manager's own events there.
const WITHOUT_RULE: [&str; 4] = ["ap-northeast-3", "eu-south-1", "ap-east-2", "ca-west-1"];
/// A clock that is further off is told of, in milliseconds.
const SKEW_WARN: u64 = 60_000;
/// A clock that is further off is no good: AWS refuses signatures that are five minutes off, and a send is signed once.
const SKEW_FAIL: u64 = 240_000;
/// Fewer agents online are told of, in basis points.
const ONLINE_WARN: u64 = 9_000;
/// With fewer agents online a wave would mostly wait.
const ONLINE_FAIL: u64 = 5_000;
/// Names that one line lists.
const LISTED_MAX: usize = 5;

/// What is looked at, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// The hub may enter.
    Trust,
    /// Only who says the external id may.
    ExternalId,
    /// Our clock agrees with AWS's.
    Clock,
    /// A Config rule judges patch compliance.
    Rule,
    /// Config records patch compliance.
    Recorder,
    /// Config records it as it happens.
    Frequency,
    /// Agents answer.
    Agents,
    /// Each operating system has a default patch baseline.
    Baselines,
    /// No patch policy of Quick Setup patches here.
    PatchPolicies,
    /// No State Manager association does.
    Associations,
    /// No maintenance window does.
    MaintenanceWindows,
}

impl Topic {
    /// All, in the order in which they are looked at.
    pub const ALL: [Self; 11] = [
        Self::Trust,
        Self::ExternalId,
        Self::Clock,
        Self::Rule,
        Self::Recorder,
        Self::Frequency,
        Self::Agents,
        Self::Baselines,
        Self::PatchPolicies,
        Self::Associations,
        Self::MaintenanceWindows,
    ];

    /// As JSON writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::ExternalId => "external_id",
            Self::Clock => "clock",
            Self::Rule => "rule",
            Self::Recorder => "recorder",
            Self::Frequency => "frequency",
            Self::Agents => "agents",
            Self::Baselines => "baselines",
            Self::PatchPolicies => "patch_policies",
            Self::Associations => "associations",
            Self::MaintenanceWindows => "maintenance_windows",
        }
    }
}

/// What came of a look. The order is that of weight: of several findings the heaviest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Waves can run, and somebody should know of this.
    Warn,
    /// It could not be seen: no proof of anything.
    Unknown,
    /// A wave would not do what it should.
    Fail,
}

impl Outcome {
    /// Whether a wave may be opened on this alone.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Ok | Self::Warn)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
        })
    }
}

/// One look at a spoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was looked at.
    pub name: Topic,
    /// What came of it.
    pub outcome: Outcome,
    /// What was found, in one sentence.
    pub found: String,
    /// What mends it: commands for a shell with credentials of the spoke's account, in their order. A line that begins with `#`
    /// is a remark.
    pub mend: Vec<String>,
}

impl Check {
    fn new(name: Topic, outcome: Outcome, found: impl Into<String>, mend: Vec<String>) -> Self {
        Self { name, outcome, found: found.into(), mend }
    }

    fn ok(name: Topic, found: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, found, Vec::new())
    }
}

/// Judges everything that was read of a spoke: one check of each [`Topic`], in their order.
pub fn examine(facts: &SpokeFacts) -> Vec<Check> {
    let entered = facts.session.is_ok();
    // Where nobody gets in, all else follows from that, and is not told eleven times.
    let read = |name: Topic, judge: &dyn Fn() -> Result<Check, SpokeFault>| match judge() {
        Ok(check) => check,
        Err(_) if !entered => Check::new(name, Outcome::Unknown, "not looked at: the spoke can't be entered", Vec::new()),
        Err(fault) => unread(facts, name, &fault),
    };
    Topic::ALL
        .into_iter()
        .map(|name| match name {
            Topic::Trust => trust(facts),
            Topic::ExternalId => read(name, &|| facts.session.clone().map(|session| external_id(facts, &session))),
            Topic::Clock => read(name, &|| facts.session.clone().map(|session| clock(&session))),
            Topic::Rule => read(name, &|| facts.rules.as_deref().map(|rules| rule(facts, rules)).map_err(Clone::clone)),
            Topic::Recorder => read(name, &|| facts.recorder.as_ref().map(|seen| recorder::records(facts, seen.as_ref())).map_err(Clone::clone)),
            Topic::Frequency => read(name, &|| facts.recorder.as_ref().map(|seen| recorder::frequency(facts, seen.as_ref())).map_err(Clone::clone)),
            Topic::Agents => read(name, &|| facts.nodes.as_deref().map(|nodes| agents(facts, nodes)).map_err(Clone::clone)),
            Topic::Baselines => read(name, &|| match (&facts.nodes, &facts.baselines) {
                (Ok(nodes), Ok(known)) => Ok(baselines(facts, nodes, known)),
                (Err(fault), _) | (_, Err(fault)) => Err(fault.clone()),
            }),
            Topic::PatchPolicies => read(name, &|| associations(facts, name, true)),
            Topic::Associations => read(name, &|| associations(facts, name, false)),
            Topic::MaintenanceWindows => read(name, &|| windows(facts)),
        })
        .collect()
}

/// What a call answered that was to be read.
fn unread(facts: &SpokeFacts, name: Topic, fault: &SpokeFault) -> Check {
    let found = format!("could not be read: {}", shown(&fault.to_string()));
    let mend = match fault {
        SpokeFault::RoleDenied(_) => mend::permission(facts, name),
        SpokeFault::Throttled | SpokeFault::NoAnswer(_) => vec!["# this may pass by itself: look again in a minute".to_owned()],
        SpokeFault::AccountSuspended | SpokeFault::AccountUnknown => Vec::new(),
    };
    Check::new(name, Outcome::Unknown, found, mend)
}

fn trust(facts: &SpokeFacts) -> Check {
    let (name, role, account) = (Topic::Trust, &facts.hub.spoke_role, facts.account);
    let fail = |found: String, mend| Check::new(name, Outcome::Fail, found, mend);
    match &facts.session {
        Ok(session) if session.account != account => {
            let found = format!("the session is in account {}, not in {account}", session.account);
            fail(found, vec![format!("# check TIDEGATE_SPOKE_ROLE (`{}`) and the endpoint of STS", shown(role))])
        }
        Ok(session) if session.is_own => Check::ok(name, "the hub's own account, entered with the hub's own credentials"),
        Ok(_) => Check::ok(name, format!("the role `{}` lets the hub in", shown(role))),
        Err(SpokeFault::RoleDenied(why)) => {
            fail(format!("the role `{}` is not there, or does not let the hub in: {}", shown(role), shown(why)), mend::trust(facts))
        }
        Err(fault @ SpokeFault::AccountSuspended) => fail(fault.to_string(), vec!["# leave the account out of the run, or reopen it".to_owned()]),
        Err(fault @ SpokeFault::AccountUnknown) => {
            let list = "aws organizations list-accounts --query 'Accounts[].[Id,State]' --output text".to_owned();
            fail(fault.to_string(), vec!["# in the hub:".to_owned(), list])
        }
        Err(fault @ (SpokeFault::Throttled | SpokeFault::NoAnswer(_))) => unread(facts, name, fault),
    }
}

fn external_id(facts: &SpokeFacts, session: &Session) -> Check {
    let name = Topic::ExternalId;
    if session.is_own {
        return Check::ok(name, "none is needed in the hub's own account");
    }
    if !facts.hub.says_external_id {
        let mend = vec!["# in the hub: set TIDEGATE_EXTERNAL_ID".to_owned()].into_iter().chain(mend::trust(facts)).collect();
        return Check::new(name, Outcome::Warn, "the hub says none: the role must be guarded by the hub's ARN and the organization alone", mend);
    }
    match session.opens_without_external_id {
        Some(false) => Check::ok(name, "the role lets in only who says the external id"),
        Some(true) => Check::new(name, Outcome::Fail, "the role lets the hub in without the external id, too", mend::trust(facts)),
        None => Check::new(name, Outcome::Unknown, "it could not be tried whether the role asks for the external id", Vec::new()),
    }
}

fn clock(session: &Session) -> Check {
    let name = Topic::Clock;
    let Some(skew) = session.skew_millis else { return Check::new(name, Outcome::Unknown, "AWS said no time to compare with", Vec::new()) };
    // AWS says whole seconds: less than one is nothing.
    let off = skew.unsigned_abs();
    let way = if skew < 0 { "behind" } else { "ahead of" };
    let outcome = match off {
        off if off > SKEW_FAIL => Outcome::Fail,
        off if off > SKEW_WARN => Outcome::Warn,
        _ => return Check::ok(name, if off < 2_000 { "agrees with AWS's".to_owned() } else { format!("{} s {way} AWS's", off / 1_000) }),
    };
    let found = format!("{} s {way} AWS's, which refuses what is signed five minutes off", off / 1_000);
    Check::new(name, outcome, found, vec!["# on the machine that runs tidegate:".to_owned(), "sudo chronyc makestep".to_owned()])
}

/// AWS's identifiers of the managed rules that judge patch compliance, by their usual names.
fn managed_rules() -> impl Iterator<Item = (String, String)> {
    let names = catalog::for_resource_type(RESOURCE_TYPE).map(|entry| entry.config_rules.clone()).unwrap_or_default();
    names.into_iter().map(|name| (name.to_ascii_uppercase().replace('-', "_"), name))
}

fn rule(facts: &SpokeFacts, rules: &[RuleSeen]) -> Check {
    let (name, region) = (Topic::Rule, facts.region.as_str());
    let managed: Vec<(String, String)> = managed_rules().collect();
    let ours: Vec<&RuleSeen> = rules.iter().filter(|rule| managed.iter().any(|(identifier, _)| *identifier == rule.identifier)).collect();
    let active: Vec<&str> = ours.iter().filter(|rule| rule.is_active).map(|rule| rule.name.as_str()).collect();
    if !active.is_empty() {
        return Check::ok(name, format!("judged by {}", list(&active)));
    }
    if ours.is_empty() && WITHOUT_RULE.contains(&region) {
        let found = "AWS has no such managed rule in this Region: findings come from Systems Manager's events alone, and nothing is ever confirmed by Config";
        return Check::new(name, Outcome::Warn, found, Vec::new());
    }
    let put = |(identifier, rule): &(String, String)| {
        let rule = serde_json::json!({ "ConfigRuleName": rule, "Source": { "Owner": "AWS", "SourceIdentifier": identifier }, "Scope": { "ComplianceResourceTypes": [RESOURCE_TYPE] } });
        format!("aws configservice put-config-rule --region {region} --config-rule {}", quoted(&rule.to_string()))
    };
    let found = match ours.as_slice() {
        [] => "no Config rule judges patch compliance: nothing is ever found".to_owned(),
        some => format!("{} is being deleted, or is not active", list(&some.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>())),
    };
    Check::new(name, Outcome::Fail, found, managed.iter().map(put).collect())
}

fn agents(facts: &SpokeFacts, nodes: &[Nodes]) -> Check {
    let (name, region) = (Topic::Agents, facts.region.as_str());
    let online: u64 = nodes.iter().map(|nodes| nodes.online).sum();
    let total = nodes.iter().fold(online, |sum, nodes| sum.saturating_add(nodes.silent));
    if total == 0 {
        let mend = vec![
            "# give instances a profile with AmazonSSMManagedInstanceCore, or switch Default Host Management on:".to_owned(),
            format!(
                "aws ssm update-service-setting --region {region} --setting-id /ssm/managed-instance/default-ec2-instance-management-role --setting-value service-role/AWSSystemsManagerDefaultEC2InstanceManagementRole"
            ),
        ];
        return Check::new(name, Outcome::Warn, "no managed instance runs here: there is nothing to patch", mend);
    }
    let share = u64::try_from(u128::from(online) * 10_000 / u128::from(total)).unwrap_or(0);
    let found = format!("{online} of {total} running instances answer ({}.{:02} %)", share / 100, share % 100);
    let outcome = match share {
        share if share < ONLINE_FAIL => Outcome::Fail,
        share if share < ONLINE_WARN => Outcome::Warn,
        _ => return Check::ok(name, found),
    };
    let silent = format!(
        "aws ssm describe-instance-information --region {region} --filters Key=PingStatus,Values=ConnectionLost,Inactive --query 'InstanceInformationList[].[InstanceId,LastPingDateTime,AgentVersion]' --output text"
    );
    Check::new(name, outcome, found, vec![silent, "# on each of them:".to_owned(), "sudo systemctl restart amazon-ssm-agent".to_owned()])
}

fn baselines(facts: &SpokeFacts, nodes: &[Nodes], known: &[DefaultBaseline]) -> Check {
    let (name, region) = (Topic::Baselines, facts.region.as_str());
    let systems: BTreeSet<&str> = nodes.iter().filter_map(|nodes| system(nodes.platform, &nodes.name, &nodes.version)).collect();
    let strange: BTreeSet<String> = nodes
        .iter()
        .filter(|nodes| system(nodes.platform, &nodes.name, &nodes.version).is_none())
        .map(|nodes| format!("{} {}", nodes.name, nodes.version))
        .collect();
    let default_of: BTreeMap<&str, &DefaultBaseline> = known.iter().map(|baseline| (baseline.system.as_str(), baseline)).collect();
    let without: Vec<&str> = systems.iter().copied().filter(|system| !default_of.contains_key(system)).collect();
    if !without.is_empty() {
        let mend = |system: &&str| {
            let predefined = format!(
                "aws ssm describe-patch-baselines --region {region} --filters Key=OWNER,Values=AWS Key=OPERATING_SYSTEM,Values={system} --query 'BaselineIdentities[0].BaselineId' --output text"
            );
            format!("aws ssm register-default-patch-baseline --region {region} --baseline-id \"$({predefined})\"")
        };
        return Check::new(name, Outcome::Fail, format!("no default patch baseline for {}", without.join(", ")), without.iter().map(mend).collect());
    }
    if !strange.is_empty() {
        let names: Vec<&str> = strange.iter().map(String::as_str).collect();
        let found = format!("whether Patch Manager patches {} is not known here", list(&names));
        return Check::new(name, Outcome::Unknown, found, vec!["# leave these instances out, by tag or by exemption".to_owned()]);
    }
    let named: Vec<String> = systems.iter().filter_map(|system| Some(format!("{system} by {}", shown(&default_of.get(system)?.name)))).collect();
    Check::ok(name, if named.is_empty() { "no instance needs one".to_owned() } else { named.join(", ") })
}

/// What rivals are found to do, heaviest first.
#[derive(Default)]
struct Rivals {
    found: Vec<(Outcome, String, Vec<String>)>,
    scans: usize,
}

impl Rivals {
    fn add(&mut self, what: &str, work: Work, mend: Vec<String>) {
        let (outcome, says) = match work {
            // Somebody must look for what is missing: this is welcome.
            Work::Scan => {
                self.scans += 1;
                return;
            }
            Work::ForeignScan => (Outcome::Warn, "scans by a baseline of its own, and overwrites what our scans find"),
            Work::Install => (Outcome::Fail, "installs outside of every wave and gate"),
            Work::Unclear => (Outcome::Unknown, "patches, and whether it installs is not known"),
        };
        self.found.push((outcome, format!("{what} {says}"), mend));
    }

    fn check(mut self, name: Topic, none: &str) -> Check {
        self.found.sort_by_key(|(outcome, ..)| std::cmp::Reverse(*outcome));
        let Some((worst, ..)) = self.found.first() else {
            let scans = if self.scans == 0 { String::new() } else { format!("; {} only scan by the instances' own baseline", self.scans) };
            return Check::ok(name, format!("{none}{scans}"));
        };
        let worst = *worst;
        let mut said: Vec<String> = self.found.iter().take(LISTED_MAX).map(|(_, says, _)| says.clone()).collect();
        if self.found.len() > LISTED_MAX {
            said.push(format!("and {} more", self.found.len() - LISTED_MAX));
        }
        let mut mends: Vec<String> = Vec::new();
        for line in self.found.into_iter().flat_map(|(_, _, mend)| mend) {
            if !mends.contains(&line) {
                mends.push(line);
            }
        }
        Check::new(name, worst, said.join("; "), mends)
    }
}

/// State Manager associations: those of patch policies, or all others.
fn associations(facts: &SpokeFacts, name: Topic, of_policies: bool) -> Result<Check, SpokeFault> {
    let mut rivals = Rivals::default();
    for seen in facts.associations.as_deref().map_err(Clone::clone)? {
        let Some(work) = rival::work(&seen.document, seen.parameters.as_ref()) else { continue };
        if rival::is_of_patch_policy(&seen.name, &seen.document, seen.parameters.as_ref()) != of_policies {
            continue;
        }
        let named = if seen.name.is_empty() { shown(&seen.id) } else { shown(&seen.name) };
        let mend = if of_policies { mend::patch_policy(facts) } else { mend::association(facts, &seen.id) };
        rivals.add(&format!("`{named}`"), work, mend);
    }
    Ok(rivals.check(name, if of_policies { "none" } else { "none installs" }))
}

fn windows(facts: &SpokeFacts) -> Result<Check, SpokeFault> {
    let mut rivals = Rivals::default();
    for window in facts.windows.as_deref().map_err(Clone::clone)? {
        for task in &window.tasks {
            let Some(work) = rival::work(&task.document, task.parameters.as_ref()) else { continue };
            let mend = mend::task(facts, &window.id, &task.id);
            if window.is_enabled {
                rivals.add(&format!("`{}`", shown(&window.name)), work, mend);
            } else if work != Work::Scan {
                rivals.found.push((Outcome::Warn, format!("`{}` would patch, and is disabled", shown(&window.name)), mend));
            }
        }
    }
    Ok(rivals.check(Topic::MaintenanceWindows, "none installs"))
}

/// A few names, in words.
fn list(names: &[&str]) -> String {
    let mut text: Vec<String> = names.iter().take(LISTED_MAX).map(|name| format!("`{}`", shown(name))).collect();
    if names.len() > LISTED_MAX {
        text.push(format!("{} more", names.len() - LISTED_MAX));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests;

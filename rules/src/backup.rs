//! A backup before the install: a runbook of Systems Manager Automation that copies what a host has on its disks, as the first step of
//! every batch that installs. A host whose backup does not succeed is not patched.
//!
//! Not called a snapshot, which is what Systems Manager calls a pinned set of patches.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::entry::{Count, Outcome, RunStep, Standing};
use tidegate_events::fact::{InvocationStatus, Verdict};
use tidegate_events::id::{BatchId, InstanceId};
use tidegate_events::{Action, Entry, Hold};

use crate::batch::{fail_all, policy_of, release};
use crate::book::{Book, batch_mut, target_mut};
use crate::catalog::{Fill, Job, Runner};
use crate::desk::{Desk, Missing, secs_between};
use crate::gate;
use crate::key::Key;
use crate::open;
use crate::policy::Policy;
use crate::state::{Backup, Batch, BatchPhase};

/// What a policy says about backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRule {
    /// The runbook, by name or ARN.
    pub document: String,
    /// Its parameter that takes the instance.
    pub target_parameter: String,
    /// Its other parameters; `{account}`, `{region}` and `{partition}` are filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Vec<String>>,
    /// How long it may take before it is given up on, in seconds.
    pub timeout_secs: u32,
    /// A backup that is no older than this serves another attempt, too, in seconds.
    pub reuse_secs: u32,
}

impl BackupRule {
    /// What runs.
    pub fn job(&self, fill: &Fill<'_>) -> Job {
        let filled = |values: &Vec<String>| values.iter().map(|value| fill.text(value)).collect();
        Job {
            runner: Runner::Automation,
            document: fill.text(&self.document),
            parameters: self.parameters.iter().map(|(key, values)| (key.clone(), filled(values))).collect(),
            target_parameter: Some(self.target_parameter.clone()),
        }
    }
}

/// What must fit before a window's cutoff when a batch begins with this step, in seconds: what it runs, and what follows it.
pub fn room_secs(policy: &Policy, step: RunStep) -> i64 {
    let backup = policy.backup.as_ref().filter(|_| step == RunStep::Backup).map_or(0, |rule| rule.timeout_secs);
    i64::from(backup).saturating_add(i64::from(policy.execution_timeout_secs))
}

/// Who of these must be backed up before they are installed: all of whom no backup is known that is young enough.
///
/// # Errors
/// When something is not loaded.
pub(crate) fn due(desk: &Desk<'_>, policy: &Policy, batch: &BatchId, instances: &[InstanceId]) -> Result<Vec<InstanceId>, Missing> {
    let Some(rule) = &policy.backup else { return Ok(Vec::new()) };
    let is_young = |at: Timestamp| secs_between(at, desk.now()) < i64::from(rule.reuse_secs);
    let mut due = Vec::new();
    for instance in instances {
        let known = desk.target(&batch.target(instance))?.and_then(|target| target.backed_up_at);
        if !known.is_some_and(is_young) {
            due.push(instance.clone());
        }
    }
    Ok(due)
}

/// The hold where too little time is left for a backup and the install after it: a backup that nothing can follow helps nobody.
pub(crate) fn too_late(policy: &Policy, now: Timestamp) -> Option<Hold> {
    policy.backup.as_ref().and_then(|_| gate::too_late(policy, room_secs(policy, RunStep::Backup), now))
}

/// The runbook has ended, or was given up on. Who was backed up goes on to the install.
///
/// # Errors
/// When something is not loaded.
pub(crate) fn ended(desk: &mut Desk<'_>, batch: &Batch) -> Result<(), Missing> {
    let policy = policy_of(desk, batch)?;
    let (mut taken, mut stopped, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    for member in batch.present() {
        let instance = member.member.instance.clone();
        match member.backup {
            None => {}
            Some(Backup::Ended(InvocationStatus::Success)) => taken.push(instance),
            // Nothing was installed, and nobody but the stop cord is why.
            Some(_) if member.killed || member.cancelled => stopped.push(instance),
            Some(Backup::Ended(status)) => {
                let why = format!("its backup ended as `{status}`: nothing was installed");
                outcomes.extend(fail_all(desk, policy, batch, &[instance], Verdict::Failed, &why)?);
            }
            Some(Backup::Due) => {
                let why = "its backup did not end in time: nothing was installed";
                outcomes.extend(fail_all(desk, policy, batch, &[instance], Verdict::Failed, why)?);
            }
        }
    }
    let back = Standing::Enrolled { campaign: batch.id.cell.wave.campaign.clone() };
    let why = "the stop cord ended its backup";
    outcomes.extend(stopped.into_iter().map(|instance| Outcome { instance, verdict: None, to: back.clone(), count: Count::Again, why: why.into() }));
    go_on(desk, batch, taken, outcomes)
}

/// Lets go who can't be installed, and sends the rest.
///
/// # Errors
/// When something is not loaded.
pub(crate) fn go_on(desk: &mut Desk<'_>, batch: &Batch, taken: Vec<InstanceId>, outcomes: Vec<Outcome>) -> Result<(), Missing> {
    let stay = batch.present().any(|member| !outcomes.iter().any(|outcome| outcome.instance == member.member.instance));
    let keys: Vec<Key> = taken.iter().map(|instance| Key::target(&batch.id.target(instance))).collect();
    desk.need(&keys)?;
    // Whoever leaves leaves a batch that is not on its way any more: the backup is over before anything else is said.
    desk.record(Entry::BackedUp { batch: batch.id.clone(), members: taken })?;
    if !outcomes.is_empty() {
        release(desk, &batch.id, outcomes)?;
    }
    if stay {
        desk.ask(Action::Send { batch: batch.id.clone(), step: batch.step });
    }
    Ok(())
}

/// The backup of a batch is over: those named have one, and whoever is still in the batch is ready for the install.
pub(crate) fn apply(book: &mut impl Book, id: &BatchId, members: &[InstanceId], at: Timestamp) -> Result<(), Missing> {
    open::ended(book, id)?;
    for instance in members {
        target_mut(book, &id.target(instance))?.backed_up_at = Some(at);
    }
    let batch = batch_mut(book, id)?;
    batch.phase = BatchPhase::Ready { step: batch.step, at, hold: None, put_off: 0 };
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidegate_events::host::Platform;

    use super::*;
    use crate::policy::{explain, parse};
    use crate::sending::jobs_of;

    const TEXT: &str = "name = \"t\"\n[backup]\ndocument = \"Acme-Backup\"\ntarget_parameter = \"Instance\"\nparameters = { Role = \"arn:{partition}:iam::{account}:role/b\", \
                        Kinds = [\"root\", \"data\"] }\ntimeout_secs = 1800\nreuse_secs = 0\n";

    fn policy(text: &str) -> Policy {
        parse(text, "t.toml").unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn the_runbook_gets_its_parameters_in_the_hosts_own_account() {
        let policy = policy(TEXT);
        let snapshot = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let region = "cn-north-1".parse().unwrap();
        let fill = Fill { reboot_option: "NoReboot", snapshot: &snapshot, place: Some(("111122223333".parse().unwrap(), &region)) };
        let job = policy.backup.as_ref().unwrap().job(&fill);
        assert_eq!((job.runner, job.target_parameter.as_deref()), (Runner::Automation, Some("Instance")));
        assert_eq!(job.parameters["Role"], ["arn:aws-cn:iam::111122223333:role/b"]);
        assert_eq!(job.parameters["Kinds"], ["root", "data"]);
        assert_eq!((room_secs(&policy, RunStep::Backup), room_secs(&policy, RunStep::Install)), (1800 + 3600, 3600));
    }

    #[test]
    fn who_approves_sees_the_backup_first() {
        let snapshot = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let steps: Vec<RunStep> = jobs_of(&policy(TEXT), "canary", Platform::Linux, &snapshot).unwrap().into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [RunStep::Backup, RunStep::Install, RunStep::Scan]);
        let said = explain(&policy(TEXT)).join(" ");
        assert!(said.contains("the Automation runbook `Acme-Backup` backs the instance up, in at most 30 minutes."), "{said}");
        let said = explain(&policy("name = \"t\"\n[backup]\ndocument = \"Acme-Backup\"\n")).join(" ");
        assert!(said.contains("in at most 1 hour, unless one that is younger than 1 day is there"), "{said}");
    }

    #[test]
    fn a_backup_that_either_policy_asks_for_is_taken_and_the_pinned_ones_first() {
        let (with, without) = (policy(TEXT), policy("name = \"t\"\n"));
        assert_eq!(with.stricter(&without).backup, with.backup);
        assert_eq!(without.stricter(&with).backup, with.backup);
        let other = policy("name = \"t\"\n[backup]\ndocument = \"Acme-Other\"\n");
        assert_eq!(with.stricter(&other).backup, with.backup);
    }

    #[test]
    fn a_policy_without_a_backup_is_digested_as_ever() {
        assert!(!policy("name = \"t\"\n").to_json().contains("backup"));
    }
}

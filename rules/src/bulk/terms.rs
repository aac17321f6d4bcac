//! The terms of a bulk run: the policy that it was asked under, with the run's waves in place of the policy's. Pinned like any
//! policy, so that budgets, bakes and limits are found where they always are, and the digest covers the whole run.

use tidegate_events::run::{BulkRun, Operation, RebootOption, RunAmount, RunWave};

use crate::catalog::Wish;
use crate::policy::{Amount, Policy, RebootMode, Selector, ShareBps, Wave};
use crate::state::Campaign;

/// The policy that a bulk run runs under.
///
/// * Its waves are the run's, in order. Whoever is in them is decided by the run's own filters, not by the policy's.
/// * `maxConcurrency` and `maxErrors` bound a wave beside the policy's own limits: the smaller applies.
/// * `wavePauseSeconds` is the bake; without it the bake of the policy's wave of that name, or else of that place. A scan changes
///   nothing that could be watched: without a pause it has no bake.
/// * `approvalRequired` may ask for an approval that the policy does not ask for, never do without one.
pub fn policy_for(policy: &Policy, run: &BulkRun) -> Policy {
    let mut terms = policy.clone();
    terms.bulk_run = Some(run.digest());
    // A run starts no runs.
    terms.schedules = Vec::new();
    terms.waves = run.waves.iter().enumerate().map(|(place, wave)| wave_for(policy, run, wave, place)).collect();
    if run.approval_required == Some(true) {
        terms.approval.quorum = terms.approval.quorum.max(1);
    }
    terms
}

fn wave_for(policy: &Policy, run: &BulkRun, wave: &RunWave, place: usize) -> Wave {
    let theirs = policy.waves.iter().find(|theirs| theirs.name == wave.name).or_else(|| policy.waves.get(place)).or(policy.waves.last());
    let errors = if run.abort_on_issues { wave.max_errors.map(amount) } else { None };
    Wave {
        name: wave.name.clone(),
        select: Selector::default(),
        instances: Vec::new(),
        share: None,
        bake_secs: wave.pause_after_secs.unwrap_or_else(|| theirs.filter(|_| wave.operation == Operation::Install).map_or(0, |theirs| theirs.bake_secs)),
        failure_budget: Some(errors.map_or(policy.failure_budget, |errors| errors.min(policy.failure_budget))),
        at_once: wave.max_concurrency.map(amount),
        hooks: theirs.map(|theirs| theirs.hooks.clone()).unwrap_or_default(),
        alarms: theirs.map(|theirs| theirs.alarms.clone()).unwrap_or_default(),
        documents: run.custom_documents.iter().map(|(platform, own)| (*platform, Wish::from(own))).collect(),
    }
}

/// A run's amount as a policy's.
pub fn amount(amount: RunAmount) -> Amount {
    match amount {
        RunAmount::Count(count) => Amount::Count(count),
        RunAmount::ShareBps(share) => Amount::Share(ShareBps(share)),
    }
}

/// What happens about reboots in a wave of a run: a run may ask for none, and never for one that the policy would not do.
pub fn reboot_mode(policy: &Policy, asked: Option<RebootOption>) -> RebootMode {
    match (policy.reboot, asked) {
        (_, Some(RebootOption::NoReboot)) => RebootMode::Never,
        (mode, _) => mode,
    }
}

/// The `RebootOption` of a wave's commands.
pub fn reboot_option(mode: RebootMode, operation: Operation) -> &'static str {
    match (mode, operation) {
        (RebootMode::InCommand, Operation::Install) => "RebootIfNeeded",
        _ => "NoReboot",
    }
}

/// What a wave's batches do: install and whether they reboot, or only scan. A campaign of findings installs as its policy says.
pub fn orders(policy: &Policy, campaign: &Campaign, wave: u16) -> Orders {
    let asked = campaign.bulk.as_ref().zip(campaign.wave(wave)).and_then(|(bulk, wave)| bulk.wave(&wave.name));
    let operation = asked.map_or(Operation::Install, |asked| asked.operation);
    let reboot = reboot_mode(policy, asked.and_then(|asked| asked.reboot));
    Orders { operation, reboot, reboot_option: reboot_option(reboot, operation) }
}

/// What a wave's batches do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orders {
    /// Install or only scan.
    pub operation: Operation,
    /// What happens about reboots.
    pub reboot: RebootMode,
    /// The `RebootOption` of their first command.
    pub reboot_option: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::plan::tests::{run, wave};

    fn policy() -> Policy {
        crate::policy::parse(
            "name = \"t\"\nfailure_budget = \"5%\"\n[approval]\nquorum = 0\n[[wave]]\nname = \"a\"\nshare = \"5%\"\nbake_secs = 60\n[[wave]]\nname = \"b\"\n",
            "t.toml",
        )
        .unwrap()
    }

    #[test]
    fn a_run_asks_for_more_care_and_never_for_less() {
        let mut asked = run(vec![RunWave { max_errors: Some(RunAmount::ShareBps(5_000)), max_concurrency: Some(RunAmount::Count(3)), ..wave("one") }]);
        asked.approval_required = Some(true);
        let terms = policy_for(&policy(), &asked);
        assert_eq!(terms.approvals_needed(), if terms.approval.four_eyes { 2 } else { 1 });
        assert_eq!(terms.waves[0].failure_budget.unwrap().of(100), 5, "the policy's 5 % are less than the run's 50 %");
        assert_eq!(terms.waves[0].at_once, Some(Amount::Count(3)));
        asked.waves[0].max_errors = Some(RunAmount::Count(0));
        assert_eq!(policy_for(&policy(), &asked).waves[0].failure_budget.unwrap().of(100), 0);
        // Its own budget does not abort it then, so that the policy's is what is left.
        asked.abort_on_issues = false;
        assert_eq!(policy_for(&policy(), &asked).waves[0].failure_budget.unwrap().of(100), 5);
        asked.approval_required = Some(false);
        let strict = crate::policy::default_policy().unwrap();
        assert_eq!(policy_for(&strict, &asked).approvals_needed(), strict.approvals_needed());
    }

    #[test]
    fn a_pause_is_a_bake_and_without_one_the_policys_bake_stays() {
        let scan = RunWave { operation: Operation::Scan, ..wave("scan") };
        let asked = run(vec![wave("one"), RunWave { pause_after_secs: Some(5), ..wave("two") }, wave("a"), scan]);
        let bakes: Vec<u32> = policy_for(&policy(), &asked).waves.iter().map(|wave| wave.bake_secs).collect();
        assert_eq!(bakes, [60, 5, 60, 0]);
    }

    #[test]
    fn no_run_makes_a_policy_reboot() {
        use RebootOption::{NoReboot, RebootIfNeeded};
        let of = |mode, option| {
            let policy = Policy { reboot: mode, ..policy() };
            reboot_mode(&policy, option)
        };
        assert_eq!(of(RebootMode::InCommand, Some(RebootIfNeeded)), RebootMode::InCommand);
        assert_eq!(of(RebootMode::InCommand, Some(NoReboot)), RebootMode::Never);
        assert_eq!(of(RebootMode::Separate, Some(RebootIfNeeded)), RebootMode::Separate);
        assert_eq!(of(RebootMode::Never, Some(RebootIfNeeded)), RebootMode::Never);
        assert_eq!(of(RebootMode::Separate, None), RebootMode::Separate);
    }

    #[test]
    fn the_digest_of_the_terms_covers_the_run() {
        let one = run(vec![wave("one")]);
        let mut other = one.clone();
        other.waves[0].tags.insert("Env".into(), ["prod".to_owned()].into());
        assert_ne!(policy_for(&policy(), &one).digest(), policy_for(&policy(), &other).digest());
        assert_ne!(policy_for(&policy(), &one).digest(), policy().digest());
    }
}

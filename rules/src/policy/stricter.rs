//! The stricter of two policies. If a policy changes while a campaign runs, what was pinned and approved stays (waves,
//! document, reboot), and of every limit the stricter one applies.

use crate::health;

use super::{Amount, ApprovalRule, Belts, BlastRadius, Policy, Retry, TagLimit, Wave};

impl Policy {
    /// What applies while a campaign under this (pinned) policy runs and `other` is current.
    ///
    /// * Waves stay ours, in order, selection and share. A wave of theirs bears on ours of the same name, or else of the same
    ///   place: the longer bake, the smaller budget and the smaller limit apply.
    /// * Of a bulk run's waves only the budget is bounded by theirs: they are other targets' waves.
    /// * Limits, budgets, belts and attempts: the smaller, whatever total they turn out to be taken of; quorum, waits: the
    ///   larger; four eyes, per-wave approval, comments: if either asks. Approvers must be on both lists, where both have one.
    ///   Two lists without a common name would leave nobody, which could not be told from "anyone": then theirs applies.
    /// * Backup: ours, or else theirs.
    /// * Health: all alarms, of waves too; the smaller limits; a halt if either asks for it.
    /// * Windows: ours, and theirs as well where they differ ([`Policy::also_windows`]). Freezes, calendars and exemptions: all.
    /// * Groups: all, and of two on one tag both hold.
    /// * The tag limit stays on our tag: targets carry that tag's value since their wave was cut.
    /// * Schedules, deadlines and what is done about exemptions besides bear on no campaign: they are asked of the current policy
    ///   alone, and stay ours here.
    /// * Name, remediation, collecting, reboot and time-out stay ours: they were approved.
    ///
    /// Ask the pinned policy each time: the answer to a third policy replaces the windows that came from a second.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        let (windows, also_windows) = match (self.windows.is_empty(), other.windows.is_empty()) {
            (_, true) => (self.windows.clone(), self.also_windows.clone()),
            (true, _) => (other.windows.clone(), self.also_windows.clone()),
            _ if self.windows == other.windows => (self.windows.clone(), self.also_windows.clone()),
            _ => (self.windows.clone(), other.windows.clone()),
        };
        Self {
            waves: self.waves.iter().enumerate().map(|(place, wave)| stricter_wave(self, wave, other, place)).collect(),
            approval: stricter_approval(&self.approval, &other.approval),
            blast_radius: stricter_radius(&self.blast_radius, &other.blast_radius),
            groups: union(&self.groups, &other.groups),
            failure_budget: self.failure_budget.min(other.failure_budget),
            windows,
            also_windows,
            freezes: union(&self.freezes, &other.freezes),
            calendars: union(&self.calendars, &other.calendars),
            retry: Retry {
                attempts_max: self.retry.attempts_max.min(other.retry.attempts_max),
                backoff_secs: self.retry.backoff_secs.max(other.retry.backoff_secs),
                backoff_max_secs: self.retry.backoff_max_secs.max(other.retry.backoff_max_secs),
                owner: self.retry.owner.clone(),
            },
            exemptions: union(&self.exemptions, &other.exemptions),
            belts: Belts { targets_max: self.belts.targets_max.min(other.belts.targets_max), share_max: self.belts.share_max.min(other.belts.share_max) },
            // A backup takes nothing from anybody: asked for by either, it is taken, and ours where both do.
            backup: self.backup.clone().or_else(|| other.backup.clone()),
            health: health::stricter(self.health.as_ref(), other.health.as_ref()),
            ..self.clone()
        }
    }
}

fn stricter_wave(pinned: &Policy, wave: &Wave, current: &Policy, place: usize) -> Wave {
    if pinned.bulk_run.is_some() {
        // The waves of a bulk run are its own: a policy's wave of the same place means other targets. Its budget bears on all.
        return Wave { failure_budget: wave.failure_budget.map(|ours| ours.min(current.failure_budget)), ..wave.clone() };
    }
    let Some(theirs) = current.waves.iter().find(|theirs| theirs.name == wave.name).or_else(|| current.waves.get(place)) else {
        return wave.clone();
    };
    // Where neither has a budget of its own, the policies' budgets meet in the policy.
    let failure_budget = match (wave.failure_budget, theirs.failure_budget) {
        (None, None) => None,
        (ours, theirs) => Some(ours.unwrap_or(pinned.failure_budget).min(theirs.unwrap_or(current.failure_budget))),
    };
    Wave {
        bake_secs: wave.bake_secs.max(theirs.bake_secs),
        failure_budget,
        at_once: smaller(wave.at_once, theirs.at_once),
        alarms: health::together(&wave.alarms, &theirs.alarms),
        ..wave.clone()
    }
}

fn smaller(ours: Option<Amount>, theirs: Option<Amount>) -> Option<Amount> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
        (ours, theirs) => ours.or(theirs),
    }
}

fn stricter_approval(ours: &ApprovalRule, theirs: &ApprovalRule) -> ApprovalRule {
    let approvers = match (ours.approvers.is_empty(), theirs.approvers.is_empty()) {
        (_, true) => ours.approvers.clone(),
        (true, _) => theirs.approvers.clone(),
        _ => {
            let both: Vec<_> = ours.approvers.iter().filter(|person| theirs.approvers.contains(person)).cloned().collect();
            // INVARIANT (doubt is no): an empty list means anyone, so it must never come from two that are not.
            if both.is_empty() { theirs.approvers.clone() } else { both }
        }
    };
    ApprovalRule {
        quorum: ours.quorum.max(theirs.quorum),
        four_eyes: ours.four_eyes || theirs.four_eyes,
        per_wave: ours.per_wave || theirs.per_wave,
        expires_secs: ours.expires_secs.min(theirs.expires_secs),
        approvers,
        comment_required: ours.comment_required || theirs.comment_required,
    }
}

fn stricter_radius(ours: &BlastRadius, theirs: &BlastRadius) -> BlastRadius {
    let tag = match (&ours.tag, &theirs.tag) {
        (Some(one), Some(other)) if one.key == other.key => Some(TagLimit { key: one.key.clone(), limit: one.limit.min(other.limit) }),
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    BlastRadius {
        wave: ours.wave.min(theirs.wave),
        account: ours.account.min(theirs.account),
        region: ours.region.min(theirs.region),
        organization: ours.organization.min(theirs.organization),
        tag,
    }
}

/// Ours, then those of theirs that are not among ours.
fn union<T: Clone + PartialEq>(ours: &[T], theirs: &[T]) -> Vec<T> {
    ours.iter().chain(theirs.iter().filter(|item| !ours.contains(item))).cloned().collect()
}

#[cfg(test)]
mod tests;

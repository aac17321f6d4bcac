//! What is legal in a policy but unwise. Nothing here stops a policy; it is for whoever reviews one.

use jiff::{Span, Timestamp, tz};

use super::text::seconds;
use super::{Amount, Environment, Policy, RebootMode, ShareBps};
use crate::desk::secs_between;
use crate::window::Calendar;

/// Something unwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// The name of the rule, such as `no-canary`.
    pub rule: &'static str,
    /// What is unwise, and what would be better.
    pub message: String,
}

/// A first wave of more than this is no canary.
const CANARY_MAX: ShareBps = ShareBps(2_500);

/// A budget of more than this stops nothing in time.
const BUDGET_MAX: ShareBps = ShareBps(2_000);

/// More than this at once is the estate, not a part of it.
const ORGANIZATION_MAX: ShareBps = ShareBps(5_000);

/// Beside the execution time-out, a start needs this much before the cutoff, in seconds: SSM's shortest delivery time-out.
const DELIVERY_SECS: u32 = 30;

/// What is unwise in a policy, whatever the date. What depends on the environment: approvals and windows are asked of
/// production alone, canaries and bakes of staging too.
pub fn lint(policy: &Policy) -> Vec<Lint> {
    let mut found = Vec::new();
    let mut say = |rule: &'static str, message: String| found.push(Lint { rule, message });
    let (is_production, is_development) = (policy.environment == Environment::Production, policy.environment == Environment::Development);
    if !is_development {
        waves(policy, &mut say);
    }
    if is_production {
        match (policy.approval.quorum, policy.approval.four_eyes) {
            (0, _) => say("no-approval", "nobody is asked before production is patched: set `approval.quorum` to 2".to_owned()),
            (1, false) => say("no-four-eyes", "one person alone can approve in production: set `approval.four_eyes`, or a quorum of 2".to_owned()),
            _ => {}
        }
        if policy.windows.is_empty() && !policy.collect.emergency {
            say("no-window", "production is patched at any time of the day: add a `[[window]]`".to_owned());
        }
    }
    budgets(policy, &mut say);
    if is_above(policy.blast_radius.organization, ORGANIZATION_MAX) {
        let limit = policy.blast_radius.organization;
        say(
            "wide-blast-radius",
            format!("{limit} of all targets may be touched at once: an `organization` limit of {ORGANIZATION_MAX} or less keeps most of it serving"),
        );
    }
    if policy.retry.attempts_max == 1 {
        say("one-attempt", "one failed attempt, a lost connection included, quarantines a target: allow two or three".to_owned());
    }
    approval_expiry(policy, &mut say);
    if policy.collect.emergency && !policy.windows.is_empty() {
        say(
            "emergency-waits",
            "an emergency policy with windows collects fast and then waits for a window all the same: remove the windows, or `emergency`".to_owned(),
        );
    }
    if policy.by_cve.as_ref().is_some_and(|rules| rules.table.is_some() && !rules.kev) {
        say(
            "table-without-kev",
            "the decision table does not know which CVEs are exploited: every one is taken to be, and gets the strictest row: set `kev` in `[by_cve]`"
                .to_owned(),
        );
    }
    for window in &policy.windows {
        let usable = window.duration_secs.saturating_sub(window.cutoff_secs);
        let backup = policy.backup.as_ref().map_or(0, |rule| rule.timeout_secs);
        let needed = policy.execution_timeout_secs.saturating_add(backup).saturating_add(DELIVERY_SECS);
        if usable < needed {
            let (usable, needed) = (seconds(usable), seconds(needed));
            let what = if backup > 0 { "a backup and its patch" } else { "a patch" };
            say(
                "short-window",
                format!("window `{}` leaves {usable} before its cutoff, but {what} may run {needed}: nothing can ever start in it", window.name),
            );
        }
    }
    if policy.exemption_terms.mirror && policy.exemptions.is_empty() {
        say(
            "mirrors-nothing",
            "`mirror` in `[exemptions]` tells AWS Config of exemptions, and there is none: keep it while some that were withdrawn may still be known there"
                .to_owned(),
        );
    }
    if policy.reboot == RebootMode::Never {
        say("never-reboots", "nothing reboots: instances whose patches need a reboot stay non-compliant until somebody else reboots and scans them".to_owned());
    }
    found
}

/// What is unwise in a policy at this time: all of [`lint`], and what the date tells.
pub fn lint_at(policy: &Policy, now: Timestamp) -> Vec<Lint> {
    let mut found = lint(policy);
    let mut say = |rule: &'static str, message: String| found.push(Lint { rule, message });
    let in_a_year = now.to_zoned(tz::TimeZone::UTC).saturating_add(Span::new().years(1)).timestamp();
    for exemption in &policy.exemptions {
        let (owner, until) = (&exemption.owner, exemption.until);
        if until <= now {
            say("past-exemption", format!("the exemption that `{owner}` answers for ended at {until}: remove it"));
        } else if until > in_a_year {
            say("long-exemption", format!("the exemption that `{owner}` answers for lasts until {until}, more than a year: end it sooner and look again"));
        }
    }
    for freeze in policy.freezes.iter().filter(|freeze| freeze.until <= now) {
        say("past-freeze", format!("freeze `{}` ended at {}: remove it", freeze.name, freeze.until));
    }
    for schedule in policy.schedules.iter().filter(|schedule| schedule.enabled) {
        let Ok(next) = schedule.next_occurrences(now, 2) else { continue };
        match next.as_slice() {
            [] => say("past-schedule", format!("schedule `{}` does not fire any more within ten years: change its times or remove it", schedule.name)),
            [first, second] if secs_between(*first, *second) < i64::from(schedule.catch_up_secs) => {
                let late = seconds(schedule.catch_up_secs);
                say(
                    "long-catch-up",
                    format!("schedule `{}` may fire {late} late, but its next occurrence comes sooner: shorten `catch_up_secs`", schedule.name),
                );
            }
            _ => {}
        }
    }
    if let Ok(calendar) = Calendar::new(&policy.windows)
        && let Some(wait) = longest_wait(&calendar, now)
    {
        for sla in policy.slas.iter().filter(|sla| i64::from(sla.days).saturating_mul(86_400) < wait) {
            let wait = seconds(u32::try_from(wait).unwrap_or(u32::MAX));
            say(
                "sla-before-window",
                format!("`{}` gives {} days, but up to {wait} pass between two maintenance windows: who is found after one breaks it", sla.name, sla.days),
            );
        }
    }
    for window in &policy.windows {
        if Calendar::new(std::slice::from_ref(window)).is_ok_and(|calendar| calendar.next_opening(now).is_none()) {
            say("past-window", format!("window `{}` does not open any more within ten years: change its cron or remove it", window.name));
        }
    }
    found
}

/// The longest time between two openings of the next few, in seconds; `None` without windows.
fn longest_wait(calendar: &Calendar, now: Timestamp) -> Option<i64> {
    let first = calendar.next_opening(now)?;
    let openings = std::iter::successors(Some(first), |at| calendar.next_opening(*at)).take(14);
    let openings: Vec<Timestamp> = openings.collect();
    openings.windows(2).filter_map(|pair| Some(secs_between(*pair.first()?, *pair.last()?))).max()
}

fn is_above(amount: Amount, max: ShareBps) -> bool {
    matches!(amount, Amount::Share(share) | Amount::Least { share, .. } if share > max)
}

fn waves(policy: &Policy, say: &mut impl FnMut(&'static str, String)) {
    match policy.waves.as_slice() {
        [] => {}
        [only] => say("no-canary", format!("`{}` is the only wave and takes everything: add a canary of 5% before it", only.name)),
        [first, ..] => {
            if let Some(share) = first.share.filter(|share| *share > CANARY_MAX) {
                say("no-canary", format!("the first wave `{}` takes {share}: a canary of {CANARY_MAX} or less finds the same faults at less cost", first.name));
            }
        }
    }
    for wave in policy.waves.iter().rev().skip(1).rev().filter(|wave| wave.bake_secs == 0) {
        say("no-bake", format!("wave `{}` is not watched before the next one opens: set `bake_secs` to 3600", wave.name));
    }
}

fn budgets(policy: &Policy, say: &mut impl FnMut(&'static str, String)) {
    let own = policy.waves.iter().filter_map(|wave| Some((format!("wave `{}`", wave.name), wave.failure_budget?)));
    for (whose, budget) in std::iter::once(("the policy".to_owned(), policy.failure_budget)).chain(own) {
        if is_above(budget, ShareBps(9_999)) {
            say("no-budget", format!("the failure budget of {whose} is {budget}: no failure ever stops it; {BUDGET_MAX} or less would"));
        } else if is_above(budget, BUDGET_MAX) {
            say(
                "loose-budget",
                format!("the failure budget of {whose} is {budget}: a bad patch reaches many targets before it is stopped; {BUDGET_MAX} or less is usual"),
            );
        }
    }
}

/// A yes must live until its wave starts: through the wait for the window and, where one yes is for all waves, their bakes.
fn approval_expiry(policy: &Policy, say: &mut impl FnMut(&'static str, String)) {
    if policy.approval.quorum == 0 {
        return;
    }
    let waits = !policy.windows.is_empty() && !policy.collect.emergency;
    let lead = if waits { policy.collect.close_lead_secs } else { 0 };
    let baked = policy.waves.iter().rev().skip(1).map(|wave| wave.bake_secs);
    let bakes = if policy.approval.per_wave { 0 } else { baked.fold(0, u32::saturating_add) };
    let needed = lead.saturating_add(bakes);
    if policy.approval.expires_secs <= needed {
        let (expires, needed) = (seconds(policy.approval.expires_secs), seconds(needed));
        say(
            "early-expiry",
            format!("an approval expires after {expires}, but closing early and baking alone take {needed}: it will be asked for again and again"),
        );
    }
}

#[cfg(test)]
mod tests;

//! Parts of sentences.

use tidegate_events::entry::{ClearanceRecord, Count, Lag, Outcome, Standing};
use tidegate_events::event::{Approval, Subject, Word};
use tidegate_events::id::InstanceId;
use tidegate_events::patch::Lacks;

use crate::words::{count, list, number, plain, when};

/// What became of a member.
pub(crate) fn fate(outcome: &Outcome) -> String {
    let verdict = outcome.verdict.map(|verdict| format!(", verdict {verdict}")).unwrap_or_default();
    let counted = match outcome.count {
        Count::Ok => "; the wave counts it as patched",
        Count::Bad => "; the wave counts it as failed",
        Count::Dropped | Count::Again | Count::Counted => "",
    };
    format!("{}{verdict}{}{counted}", standing(&outcome.to), because(&outcome.to, &outcome.why))
}

/// Where a target stands, after its name.
pub(crate) fn standing(to: &Standing) -> String {
    match to {
        Standing::Compliant => "is compliant".to_owned(),
        Standing::Enrolled { campaign } => format!("is on the roster of campaign {campaign}"),
        Standing::Retrying { not_before } => format!("is tried again, not before {}", when(*not_before)),
        Standing::Running { batch } => format!("runs in batch {batch}"),
        Standing::Verifying { batch } => format!("is being scanned in batch {batch}"),
        Standing::PendingReboot { .. } => "waits for its reboot".to_owned(),
        Standing::PatchedUnconfirmed { lag: None, .. } => "is patched, and Config has not confirmed it yet".to_owned(),
        Standing::PatchedUnconfirmed { lag: Some(Lag::ConfigLagging), .. } => "is patched, and Config did not confirm it in time".to_owned(),
        Standing::PatchedUnconfirmed { lag: Some(Lag::NotRecorded), .. } => "is patched, and Config does not record it".to_owned(),
        Standing::Exempt { until, owner, reason } => format!("is exempt until {} by {}{}", when(*until), plain(owner), after_colon(reason)),
        Standing::Quarantined { owner, why } => format!("is quarantined: {} must look at it{}", plain(owner), after_colon(why)),
        Standing::Unreachable { why, look_at, .. } => format!("can't be reached{} (it is looked at again at {})", after_colon(why), when(*look_at)),
        Standing::Unmanaged { why } => format!("is not managed by Systems Manager{}", after_colon(why)),
        Standing::Gone => "is gone".to_owned(),
    }
}

/// The reason beside a standing, where the standing does not give it already.
pub(crate) fn because(to: &Standing, why: &str) -> String {
    let said = match to {
        Standing::Quarantined { why, .. } | Standing::Unreachable { why, .. } | Standing::Unmanaged { why } => why.as_str(),
        Standing::Exempt { reason, .. } => reason.as_str(),
        _ => "",
    };
    if plain(why) == plain(said) { String::new() } else { after_colon(why) }
}

pub(crate) fn lag_words(lag: Lag) -> &'static str {
    match lag {
        Lag::ConfigLagging => "Config did not confirm it in time",
        Lag::NotRecorded => "Config does not record it",
    }
}

pub(crate) fn counts(outcomes: &[Outcome]) -> String {
    let of = |wanted: Count| outcomes.iter().filter(|outcome| outcome.count == wanted).count();
    let parts = [
        (Count::Ok, "proven patched"),
        (Count::Bad, "failed or unknown"),
        (Count::Dropped, "not touched"),
        (Count::Again, "to come again"),
        (Count::Counted, "counted before"),
    ];
    let told: Vec<String> = parts.into_iter().filter(|(wanted, _)| of(*wanted) > 0).map(|(wanted, name)| format!("{} {name}", of(wanted))).collect();
    told.join(", ")
}

pub(crate) fn word_of(approval: &Approval) -> String {
    let Approval { subject, digest, word, by, comment, .. } = approval;
    let did = match word {
        Word::Approve => "approved",
        Word::Reject => "rejected",
        Word::Revoke => "took back the approval of",
    };
    format!("{by} {did} {} (digest {}){}", subject_name(subject), digest.short(), quoted(comment))
}

pub(crate) fn subject_name(subject: &Subject) -> String {
    match subject {
        Subject::Campaign(id) => format!("campaign {id}"),
        Subject::Wave(id) => format!("wave {id}"),
    }
}

pub(crate) fn approvers(clearance: &ClearanceRecord) -> String {
    if clearance.approved_by.is_empty() { "with no approval needed".to_owned() } else { format!("approved by {}", list(&clearance.approved_by)) }
}

pub(crate) fn after_colon(why: &str) -> String {
    let why = plain(why);
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

pub(crate) fn quoted(comment: &str) -> String {
    let comment = plain(comment);
    if comment.is_empty() { String::new() } else { format!(": “{comment}”") }
}

pub(crate) fn times(n: u64, verb: &str) -> String {
    if n == 1 { format!("{verb} once") } else { format!("{verb} {} times", number(n)) }
}

pub(crate) fn plural(n: usize, what: &str) -> String {
    if n == 1 { what.to_owned() } else { format!("{what}s") }
}

pub(crate) fn named(instances: &[InstanceId]) -> String {
    let names: Vec<String> = instances.iter().take(5).map(ToString::to_string).collect();
    and_more(&names, instances.len())
}

pub(crate) fn and_more(names: &[String], all: usize) -> String {
    match all.saturating_sub(names.len()) {
        0 => names.join(", "),
        more => format!("{} and {} more", names.join(", "), number(more as u64)),
    }
}

/// What it lacks.
pub(crate) fn lacking(lacks: &Lacks) -> String {
    let total = lacks.severities.values().map(|n| u64::from(*n)).fold(0, u64::saturating_add);
    let parts: Vec<String> = lacks.severities.iter().map(|(severity, n)| format!("{n} {severity}")).collect();
    let exploited = match (lacks.exploited, &lacks.kev) {
        (Some(n), Some(version)) => {
            format!(", {} of them for a CVE of the KEV catalog, version {}", if n == 0 { "none".to_owned() } else { number(u64::from(n)) }, plain(version))
        }
        _ => String::new(),
    };
    format!("it lacks {} ({}){exploited}", count(total, "patch").replace("patchs", "patches"), parts.join(", "))
}

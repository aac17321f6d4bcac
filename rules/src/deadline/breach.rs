//! Deadlines in a target's own item: set by its finding, tightened when it is looked up, broken once. Operators are told in
//! company: what broke since the last word is one notice, however many targets it is.

use jiff::Timestamp;
use tidegate_events::Entry;
use tidegate_events::action::NoticeKind;
use tidegate_events::host::Host;
use tidegate_events::id::TargetKey;

use super::{About, Deadline, DeadlineStep, Kev, loading, non_compliant_since, of_finding};
use crate::book::{Book, target_mut};
use crate::campaign::notice;
use crate::desk::{Desk, Missing, secs_between};
use crate::key::Key;
use crate::state::Target;

/// How long after a word about broken deadlines the next one waits, in seconds.
pub const QUIET_SECS: i64 = 900;

/// A finding was taken in: an open target without a deadline gets one, where the policy has a rule for it.
///
/// # Errors
/// When something is not loaded.
pub fn note(desk: &mut Desk<'_>, key: &TargetKey) -> Result<(), Missing> {
    if desk.policy().slas.is_empty() {
        return Ok(());
    }
    let Some(target) = desk.target(key)? else { return Ok(()) };
    let Some(since) = non_compliant_since(target).filter(|_| target.deadline.is_none() && target.owes_a_patch()) else { return Ok(()) };
    match of_finding(&desk.policy().slas, &About { target: key, host: None, ous: &[], since }) {
        Some(deadline) => desk.record(Entry::Deadline { target: key.clone(), step: DeadlineStep::Set { deadline } }),
        None => Ok(()),
    }
}

/// A target was looked up: its tags may mean an earlier deadline than its finding alone did. Gives that one, and none where the known
/// one stays.
pub fn tightened(desk: &Desk<'_>, target: &Target, host: &Host, ous: &[String]) -> Option<Deadline> {
    let since = target.deadline.as_ref().map(|deadline| deadline.since).or_else(|| non_compliant_since(target))?;
    let found = of_finding(&desk.policy().slas, &About { target: &target.key, host: Some(host), ous, since })?;
    target.deadline.as_ref().is_none_or(|known| found.at < known.at).then_some(found)
}

/// Time has come for a target: a deadline that it broke is written down, once.
///
/// # Errors
/// When something is not loaded.
pub fn look(desk: &mut Desk<'_>, target: &Target) -> Result<(), Missing> {
    match target.deadline_due() {
        Some(at) if at <= desk.now() => desk.record(Entry::Deadline { target: target.key.clone(), step: DeadlineStep::Breached { at } }),
        _ => Ok(()),
    }
}

/// Tells operators how many deadlines were broken since they were last told: ten thousand are one notice.
///
/// # Errors
/// When something is not loaded.
pub fn tell(desk: &mut Desk<'_>) -> Result<(), Missing> {
    if desk.policy().slas.is_empty() && desk.policy().by_cve.is_none() {
        return Ok(());
    }
    let organization = desk.organization()?;
    let (told, told_at) = organization.breaches.map_or((0, None), |(count, at)| (count, Some(at)));
    let count = desk.count(&Key::breaches())?;
    let is_quiet = told_at.is_some_and(|at: Timestamp| secs_between(at, desk.now()) < QUIET_SECS);
    if count <= told || is_quiet {
        return Ok(());
    }
    let new = count - told;
    let targets = if new == 1 { "1 target is".to_owned() } else { format!("{new} targets are") };
    let kev = if desk.policy().by_cve.is_some() { desk.count(&Key::kev_breaches())? } else { organization.kev_breaches };
    let by_kev = match (kev.saturating_sub(organization.kev_breaches), new) {
        (0, _) => String::new(),
        (_, 1) => kev_words(desk, "by a due date")?,
        (some, _) => kev_words(desk, &format!("{some} of them by a due date"))?,
    };
    let message = format!("{targets} past the deadline of the policy and not patched{by_kev} ({count} in all so far)");
    desk.ask(notice(NoticeKind::DeadlineBreach, &desk.policy().name, message, desk.now()));
    desk.record(Entry::BreachesTold { count, kev })
}

fn kev_words(desk: &Desk<'_>, by: &str) -> Result<String, Missing> {
    let version = loading::version(desk)?.map(|version| format!(", now version {version}")).unwrap_or_default();
    Ok(format!(", {by} of CISA's KEV catalog{version}"))
}

/// What a step makes true.
pub(crate) fn apply(book: &mut impl Book, key: &TargetKey, step: &DeadlineStep) -> Result<(), Missing> {
    let target = target_mut(book, key)?;
    match step {
        DeadlineStep::Set { deadline } => target.deadline = Some(deadline.clone()),
        DeadlineStep::Breached { at } => {
            target.breached = Some(*at);
            let by_kev = target.deadline.as_ref().is_some_and(Kev::set);
            book.add(Key::breaches(), 1, None);
            if by_kev {
                book.add(Key::kev_breaches(), 1, None);
            }
        }
    }
    Ok(())
}

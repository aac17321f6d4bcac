//! Exemptions: targets that their owner takes responsibility for, until a date.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::Entry;
use tidegate_events::action::NoticeKind;
use tidegate_events::control::ExemptionEnding;
use tidegate_events::entry::Standing;
use tidegate_events::host::Host;
use tidegate_events::id::{Digest, TargetKey};

use crate::apply::Book;
use crate::desk::{Desk, Missing, secs_between};
use crate::key::Key;
use crate::policy::{Exemption, Policy, Selector};
use crate::state::State;

/// The exemption in force for a target, as the standing that it gives. Without `host` (its tags and platform are not known
/// yet) only exemptions that need neither can match: the others are looked at again when the host has been looked up.
/// `ous` are the organizational units above the account.
pub fn of(exemptions: &[Exemption], target: &TargetKey, host: Option<&Host>, ous: &[String], now: Timestamp) -> Option<Standing> {
    exemptions
        .iter()
        .filter(|exemption| now < exemption.until)
        .filter(|exemption| exemption.instances.contains(&target.instance) || (!exemption.select.is_empty() && selects(&exemption.select, target, host, ous)))
        .max_by_key(|exemption| exemption.until)
        .map(|exemption| Standing::Exempt { until: exemption.until, owner: exemption.owner.clone(), reason: exemption.reason.clone() })
}

/// The exemption that a target stands under, if the policy still has it and its accounts, Regions and instances mean the target.
/// Tags, platform and units are not at hand and count as they did.
pub fn behind<'e>(exemptions: &'e [Exemption], target: &TargetKey, standing: &Standing) -> Option<&'e Exemption> {
    let Standing::Exempt { until, owner, reason } = standing else { return None };
    let means = |select: &Selector| {
        !select.is_empty()
            && (select.accounts.is_empty() || select.accounts.contains(&target.account))
            && (select.regions.is_empty() || select.regions.contains(&target.region))
    };
    exemptions.iter().find(|exemption| {
        let is_it = exemption.until == *until && exemption.owner == *owner && exemption.reason == *reason;
        is_it && (exemption.instances.contains(&target.instance) || means(&exemption.select))
    })
}

/// Exemptions announced in one decision at most; the next tick goes on.
const AT_ONCE_MAX: usize = 10;

/// What is done about exemptions besides leaving their targets alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExemptionTerms {
    /// How long before its end an exemption is announced, in seconds.
    pub announce_secs: u32,
    /// Whether AWS Config is told of it, as a remediation exception.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirror: bool,
}

impl Default for ExemptionTerms {
    fn default() -> Self {
        Self { announce_secs: 7 * 86_400, mirror: false }
    }
}

impl ExemptionTerms {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What was done about exemptions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Those whose end was announced, until it comes.
    pub announced: BTreeMap<Digest, Timestamp>,
    /// Digest of the exemptions under which everybody who is exempt was looked at last, where AWS Config is told of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Digest>,
}

/// Names an exemption: the digest of all that it says.
pub fn name(exemption: &Exemption) -> Digest {
    Digest::of(&serde_json::to_vec(exemption).unwrap_or_default())
}

/// Exemptions of a policy that end soon, and have not ended.
fn ending(policy: &Policy, now: Timestamp) -> impl Iterator<Item = &Exemption> {
    let soon = i64::from(policy.exemption_terms.announce_secs);
    policy.exemptions.iter().filter(move |exemption| now < exemption.until && secs_between(now, exemption.until) <= soon)
}

/// Tells once of each exemption that it ends soon: afterwards its targets are patched like any other.
///
/// # Errors
/// When something is not loaded.
pub fn announce(desk: &mut Desk<'_>) -> Result<(), Missing> {
    let policy = desk.policy();
    let mut ending = ending(policy, desk.now()).peekable();
    if ending.peek().is_none() {
        return Ok(());
    }
    let told = match desk.item(&Key::exemptions())? {
        Some(State::Exemptions(told)) => told.clone(),
        None => Told::default(),
        Some(_) => return Err(strange()),
    };
    for (digest, exemption) in ending.map(|exemption| (name(exemption), exemption)).filter(|(digest, _)| !told.announced.contains_key(digest)).take(AT_ONCE_MAX)
    {
        let (owner, reason, ticket, until) = (exemption.owner.clone(), exemption.reason.clone(), exemption.ticket.clone(), exemption.until);
        let named = ticket.as_ref().map(|ticket| format!(", {ticket}")).unwrap_or_default();
        let message = format!("the exemption that {owner} answers for ({reason}{named}) ends at {until}: from then on its targets are patched");
        desk.record(Entry::ExemptionEnding(ExemptionEnding { exemption: digest, owner, reason, ticket, until }))?;
        desk.ask(crate::campaign::notice(NoticeKind::ExemptionEnding, &policy.name, message, desk.now()));
    }
    Ok(())
}

/// Writes down that an exemption was announced, and forgets those that have ended since.
pub(crate) fn announced(book: &mut impl Book, at: Timestamp, ending: &ExemptionEnding) -> Result<(), Missing> {
    if book.state(&Key::exemptions())?.is_none() {
        book.put(Key::exemptions(), State::Exemptions(Told::default()))?;
    }
    let Some(State::Exemptions(told)) = book.state(&Key::exemptions())? else { return Err(strange()) };
    told.announced.retain(|_, until| *until > at);
    told.announced.insert(ending.exemption, ending.until);
    Ok(())
}

fn strange() -> Missing {
    Missing::Corrupt(format!("the item stored under `{}` is of another kind", Key::exemptions()))
}

/// Whether a selector means this target. What is not known does not match.
pub fn selects(selector: &Selector, target: &TargetKey, host: Option<&Host>, ous: &[String]) -> bool {
    let tags = || host.map(|host| &host.tags);
    (selector.accounts.is_empty() || selector.accounts.contains(&target.account))
        && (selector.regions.is_empty() || selector.regions.contains(&target.region))
        && (selector.platforms.is_empty() || host.is_some_and(|host| selector.platforms.contains(&host.platform)))
        && (selector.ous.is_empty() || selector.ous.iter().any(|ou| ous.contains(ou)))
        && selector.tags.iter().all(|(key, values)| tags().and_then(|tags| tags.get(key)).is_some_and(|value| values.contains(value)))
}

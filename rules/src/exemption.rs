//! Exemptions: targets that their owner takes responsibility for, until a date.

use jiff::Timestamp;
use tidegate_events::entry::Standing;
use tidegate_events::host::Host;
use tidegate_events::id::TargetKey;

use crate::policy::{Exemption, Selector};

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

/// Whether a selector means this target. What is not known does not match.
pub fn selects(selector: &Selector, target: &TargetKey, host: Option<&Host>, ous: &[String]) -> bool {
    let tags = || host.map(|host| &host.tags);
    (selector.accounts.is_empty() || selector.accounts.contains(&target.account))
        && (selector.regions.is_empty() || selector.regions.contains(&target.region))
        && (selector.platforms.is_empty() || host.is_some_and(|host| selector.platforms.contains(&host.platform)))
        && (selector.ous.is_empty() || selector.ous.iter().any(|ou| ous.contains(ou)))
        && selector.tags.iter().all(|(key, values)| tags().and_then(|tags| tags.get(key)).is_some_and(|value| values.contains(value)))
}

//! What percentages are percentages of, by the inventory: for whoever cuts a campaign and whoever plans a run.

use std::collections::BTreeMap;

use tidegate_events::host::SpokeFault;
use tidegate_rules::plan::Counts;
use tidegate_rules::policy::Policy;

use crate::ports::{Cloud, Inventory};

/// Counts as this policy's limits need them: one inventory, and one more for each group whose tag is another.
///
/// # Errors
/// When one of them can't be read: without counts there are no limits, so nothing is cut.
pub async fn count<C: Cloud>(cloud: &C, policy: &Policy) -> Result<Counts, SpokeFault> {
    let tag_key = policy.blast_radius.tag.as_ref().map(|tag| tag.key.as_str());
    let inventory = cloud.inventory(tag_key).await?;
    let Inventory { total, by_account, by_region, by_tag, ous, .. } = inventory.as_ref().clone();
    let mut by_group = BTreeMap::new();
    for group in &policy.groups {
        cloud.inventory(Some(&group.tag)).await?.each_tagged(|account, region, value, count| {
            let known: &mut u64 = by_group.entry(group.scope_of(account, region, value)).or_default();
            *known = known.saturating_add(count);
        });
    }
    Ok(Counts { total, by_account, by_region, by_tag, by_group, ous })
}

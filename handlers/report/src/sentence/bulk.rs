//! What is said of bulk runs.

use tidegate_events::bulk::BulkEntry;
use tidegate_events::id::TargetKey;

use super::phrases::and_more;
use super::{Level, here};
use crate::words::{count, number, plain};

pub(super) fn level(entry: &BulkEntry) -> Level<'_> {
    match entry {
        BulkEntry::Opened { .. } => Level::Campaign,
        BulkEntry::Listed { .. } | BulkEntry::Freed { .. } => Level::Targets,
        BulkEntry::ErrorsPassed { .. } => Level::Wave,
    }
}

/// The entry as a sentence; with `about`, from that target's side, where it concerns it.
pub(super) fn sentence(entry: &BulkEntry, about: Option<&TargetKey>) -> Option<String> {
    Some(match (entry, about) {
        (BulkEntry::Opened { campaign, policy, asked, spokes }, _) => {
            let name = asked.run.name.as_deref().map(|name| format!(" `{}`", plain(name))).unwrap_or_default();
            let dry = if asked.run.dry_run { "a dry run" } else { "a bulk run" };
            let spokes = count(u64::from(*spokes), "account and Region");
            format!(
                "campaign {campaign} was opened as {dry}{name} for {}, under terms {}; the nodes of {spokes} are listed",
                plain(asked.by.as_str()),
                policy.short()
            )
        }
        (BulkEntry::Listed { campaign, account, region, hosts, left_out, .. }, Some(about)) => {
            if (*account, region) != (about.account, &about.region) {
                return None;
            }
            if let Some((_, why)) = left_out.iter().find(|(instance, _)| *instance == about.instance) {
                return Some(format!("bulk run {campaign} left it out: {}", plain(why)));
            }
            hosts.iter().find(|host| host.instance == about.instance)?;
            format!("bulk run {campaign} named it")
        }
        (BulkEntry::Listed { campaign, account, region, fault: Some(fault), .. }, None) => {
            format!("bulk run {campaign} goes on without {account}/{region}: {}", plain(fault))
        }
        (BulkEntry::Listed { campaign, account, region, hosts, left_out, passed_over, .. }, None) => {
            let names: Vec<String> = left_out.iter().take(5).map(|(instance, why)| format!("{instance} ({})", plain(why))).collect();
            let others: u64 = passed_over.values().sum();
            let without = if names.is_empty() { String::new() } else { format!(", without {}", and_more(&names, left_out.len())) };
            format!("bulk run {campaign} takes {} of {account}/{region}{without}; its filters pass over {}", count(hosts.len() as u64, "host"), number(others))
        }
        (BulkEntry::ErrorsPassed { why, .. }, _) => plain(why).to_string(),
        (BulkEntry::Freed { cell, members }, Some(about)) => {
            if !here(cell, about) || !members.contains(&about.instance) {
                return None;
            }
            format!("bulk run {} ended before it was touched; no finding is open about it", cell.wave.campaign)
        }
        (BulkEntry::Freed { cell, members }, None) => {
            format!("{} of cell {cell} left untouched when the bulk run ended, with no open finding", count(members.len() as u64, "target"))
        }
    })
}

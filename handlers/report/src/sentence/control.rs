//! What named people did with the controls, as sentences.

use tidegate_events::control::{Cancelling, ExemptionEnding, Retried, Retry, Steer, Steered};
use tidegate_events::kev::KevLoad;

use super::phrases::quoted;
use crate::words::{count, plain, when};

pub(super) fn steered(steer: &Steer) -> String {
    let on = match &steer.on {
        Steered::Lane(lane) => format!("lane {lane}"),
        Steered::Campaign(campaign) => format!("campaign {campaign}"),
    };
    let did = if steer.go { format!("let {on} go on") } else { format!("paused {on}") };
    format!("{} {did}{}", steer.by, quoted(&steer.comment))
}

pub(super) fn retried(retry: &Retry) -> String {
    let whom = match &retry.what {
        Retried::Target(target) => target.to_string(),
        Retried::Campaign(campaign) => format!("everybody who failed in campaign {campaign}"),
    };
    format!("{} gave {whom} another attempt{}", retry.by, quoted(&retry.comment))
}

pub(super) fn ending(ending: &ExemptionEnding) -> String {
    let ticket = ending.ticket.as_ref().map(|ticket| format!(", {}", plain(ticket))).unwrap_or_default();
    format!("the exemption that {} answers for ({}{ticket}) ends at {}", plain(&ending.owner), plain(&ending.reason), when(ending.until))
}

pub(super) fn cancelling(asked: &Cancelling) -> String {
    let part = |n: usize, what: &str| (n > 0).then(|| format!("{} {what}", count(n as u64, "invocation")));
    let parts: Vec<String> = [part(asked.undelivered.len(), "not delivered"), part(asked.running.len(), "running")].into_iter().flatten().collect();
    format!("the stop cord cancels the command of batch {}: {}", asked.batch, parts.join(", "))
}

pub(super) fn loaded(load: &KevLoad) -> String {
    let force = if load.force { ", although it is older or smaller than the one before" } else { "" };
    let entries = count(load.due.len() as u64, "CVE");
    format!("{} loaded the KEV catalog, version {}, with {entries}{force}{}", load.by, plain(&load.version), quoted(&load.comment))
}

//! The stop cord and the quarantine, as `status` shows them.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_events::entry::Standing;
use tidegate_rules::apply::Fold;
use tidegate_rules::{Key, State};

use crate::line;
use crate::screen::{BAD, GOOD, WARN};

/// The stop cord while it is pulled.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Stop {
    /// Who pulled it.
    pub pulled_by: String,
    /// When.
    pub pulled_at: String,
    /// Whether what runs is cancelled too.
    pub kill: bool,
    /// Why.
    pub comment: String,
    /// Commands that were sent, or may have been, and have not ended.
    pub open_intents: u64,
    /// When the send of a command last began.
    pub last_send_at: Option<String>,
    /// When invocations were last cancelled.
    pub last_cancel_at: Option<String>,
    /// Whether nothing is open any more.
    pub complete: bool,
}

/// A target that is out of attempts.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Quarantined {
    /// `account/region/instance-id`
    pub target: String,
    /// Who must look.
    pub owner: String,
    /// Why.
    pub why: String,
    /// Failed attempts.
    pub attempts: u32,
}

/// An account and Region where AWS Config does not let us tell it of exemptions. They hold all the same.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct MirrorRefused {
    /// `account/region`
    pub at: String,
    /// What it said.
    pub why: String,
    /// Targets of which it was not told.
    pub waiting: u64,
    /// When it is tried again.
    pub again_at: Option<String>,
}

pub(super) fn mirror_refused_of(fold: &Fold) -> Vec<MirrorRefused> {
    let each = fold.items.iter().filter_map(|(key, state)| match state {
        State::Mirror(mirror) => Some(MirrorRefused {
            at: key.as_str().strip_prefix(Key::MIRRORS)?.to_owned(),
            why: mirror.refused.clone()?,
            waiting: mirror.pending.len() as u64,
            again_at: mirror.again_at.map(|at| at.to_string()),
        }),
        _ => None,
    });
    each.collect()
}

pub(super) fn stop_of(fold: &Fold) -> Option<Stop> {
    let Some(State::Organization(organization)) = fold.items.get(&Key::organization()) else { return None };
    let (by, pull) = (organization.cord.as_ref()?, organization.pull.as_ref()?);
    let open = || {
        fold.items.values().filter_map(|state| match state {
            State::Open(open) => Some(open),
            _ => None,
        })
    };
    let open_intents = open().map(|open| open.batches.len() as u64).sum();
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    Some(Stop {
        pulled_by: by.to_string(),
        pulled_at: pull.at.to_string(),
        kill: pull.kill,
        comment: pull.comment.clone(),
        open_intents,
        last_send_at: text(open().filter_map(|open| open.sent_at).max()),
        last_cancel_at: text(open().filter_map(|open| open.cancelled_at).max().filter(|at| *at >= pull.at)),
        complete: open_intents == 0,
    })
}

pub(super) fn quarantine_of(fold: &Fold) -> Vec<Quarantined> {
    let each = fold.items.values().filter_map(|state| match state {
        State::Target(target) => match &target.standing {
            Standing::Quarantined { owner, why } => {
                Some(Quarantined { target: target.key.to_string(), owner: owner.clone(), why: why.clone(), attempts: target.attempts })
            }
            _ => None,
        },
        _ => None,
    });
    each.collect()
}

pub(super) fn say_stop(text: &mut String, stop: &Stop) {
    let kill = if stop.kill { ", and cancels what runs" } else { "" };
    let why = if stop.comment.is_empty() { String::new() } else { format!(": {}", stop.comment) };
    line!(text, "{BAD}the stop cord is pulled{BAD:#} by {} since {}{kill}{why}", stop.pulled_by, stop.pulled_at);
    let never = || "never".to_owned();
    let (sent, cancelled) = (stop.last_send_at.clone().unwrap_or_else(never), stop.last_cancel_at.clone().unwrap_or_else(never));
    match stop.open_intents {
        0 => line!(text, "  {GOOD}nothing is open any more{GOOD:#}; last send begun {sent}, last cancelled {cancelled}"),
        open => line!(text, "  {WARN}{open} commands still open{WARN:#}; last send begun {sent}, last cancelled {cancelled}"),
    }
    line!(text, "  release it: tidegate resume --all --comment \"...\"");
}

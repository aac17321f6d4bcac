//! Open intents: commands whose send has begun and whose end is not known. They are written down by account and Region in the
//! commit that begins a send, so that whoever pulls the stop cord lists all of them strongly, in a few reads, and through no
//! index that lags. A scan changes nothing on a host and is not among them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::control::Cancelling;
use tidegate_events::entry::RunStep;
use tidegate_events::id::{BatchId, PersonId};

use crate::book::{Book, batch_mut, strange};
use crate::desk::Missing;
use crate::key::Key;
use crate::state::{BatchPhase, Organization, State};

/// The open intents of one account and Region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Batches whose backup, install or reboot is being sent, or runs.
    pub batches: BTreeSet<BatchId>,
    /// When such a send last began here.
    pub sent_at: Option<Timestamp>,
    /// When invocations were last cancelled here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Timestamp>,
}

/// A pull of the stop cord.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// When it was first pulled.
    pub at: Timestamp,
    /// Whether what runs is cancelled too.
    pub kill: bool,
    /// Why.
    pub comment: String,
}

/// The cord moved. Pulled again it may only become stricter.
pub(crate) fn cord_moved(organization: &mut Organization, pulled: bool, by: &PersonId, kill: bool, comment: &str, at: Timestamp) {
    organization.cord_epoch = organization.cord_epoch.saturating_add(1);
    if !pulled {
        organization.cord = None;
        organization.pull = None;
        return;
    }
    organization.cord.get_or_insert_with(|| by.clone());
    let before = organization.pull.take();
    organization.pull = Some(Pull {
        at: before.as_ref().map_or(at, |pull| pull.at),
        kill: kill || before.as_ref().is_some_and(|pull| pull.kill),
        comment: if comment.is_empty() { before.map(|pull| pull.comment).unwrap_or_default() } else { comment.to_owned() },
    });
}

fn open_mut<'b>(book: &'b mut impl Book, id: &BatchId) -> Result<&'b mut Open, Missing> {
    let key = Key::open(id.cell.account, &id.cell.region);
    if book.state(&key)?.is_none() {
        book.put(key.clone(), State::Open(Open::default()))?;
    }
    match book.state(&key)? {
        Some(State::Open(open)) => Ok(open),
        _ => Err(strange(&key)),
    }
}

/// A send begins.
pub(crate) fn begun(book: &mut impl Book, id: &BatchId, step: RunStep, at: Timestamp) -> Result<(), Missing> {
    if step != RunStep::Scan {
        let open = open_mut(book, id)?;
        open.batches.insert(id.clone());
        open.sent_at = open.sent_at.max(Some(at));
    }
    Ok(())
}

/// Whatever was sent of a batch has ended, or was proven not to have been sent.
pub(crate) fn ended(book: &mut impl Book, id: &BatchId) -> Result<(), Missing> {
    let is_open = matches!(batch_mut(book, id)?.phase, BatchPhase::Sending { step, .. } | BatchPhase::Sent { step, .. } if step != RunStep::Scan);
    if is_open {
        open_mut(book, id)?.batches.remove(id);
    }
    Ok(())
}

/// Invocations of a batch are being cancelled.
pub(crate) fn cancelling(book: &mut impl Book, asked: &Cancelling, at: Timestamp) -> Result<(), Missing> {
    for member in &mut batch_mut(book, &asked.batch)?.members {
        member.cancelled |= asked.undelivered.contains(&member.member.instance);
        member.killed |= asked.running.contains(&member.member.instance);
    }
    open_mut(book, &asked.batch)?.cancelled_at = Some(at);
    Ok(())
}

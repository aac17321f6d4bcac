//! What named people say, as events of our own: approvals, the stop cord, pause and resume, another attempt.
//!
//! These move machines, so their details are read strictly: a key that we do not know is refused, not skipped.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Retried, Retry, Steer, Steered};
use crate::event::{Approval, Event, Subject, Word};
use crate::id::{LaneId, PersonId};

use super::envelope::{Envelope, ours};
use super::reader::{Object, Stop, quoted};

pub(super) const APPROVAL: &str = "Tidegate Approval";
pub(super) const LANE_RESUMED: &str = "Tidegate Lane Resumed";
pub(super) const CORD: &str = "Tidegate Cord";
pub(super) const PAUSED: &str = "Tidegate Paused";
pub(super) const RESUMED: &str = "Tidegate Resumed";
pub(super) const RETRY: &str = "Tidegate Retry";

/// A person's word on one digest.
pub(super) fn approval(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    detail.only(&["subject", "digest", "word", "by", "comment"])?;
    let comment = detail.optional_text("comment")?.unwrap_or_default();
    let word = detail.word("word", "approve, reject or revoke")?;
    if word == Word::Reject && comment.trim().is_empty() {
        return Err(Stop::Rejected(format!("{} is missing: a rejection must say why", detail.path_of("comment"))));
    }
    let (subject, digest, by) = (subject(detail)?, detail.id("digest")?, detail.id("by")?);
    Ok(Event::Approval(Approval { subject, digest, word, by, at: envelope.time, comment: comment.to_owned() }))
}

/// `"patch-default.1"`, or the tagged form that journals use: `{"campaign":"patch-default.1"}`.
fn subject(detail: &Object<'_>) -> Result<Subject, Stop> {
    const EXPECTED: &str = "a campaign such as `patch-default.1`, or a wave such as `patch-default.1.w0`";
    if let Some(tagged @ Value::Object(_)) = detail.get("subject") {
        return Subject::deserialize(tagged).map_err(|error| detail.wrong("subject", format_args!("{error}: expected {EXPECTED}")));
    }
    let text = detail.text("subject")?;
    Subject::parse(text).map_err(|_| detail.wrong("subject", format_args!("{} is neither a campaign nor a wave: expected {EXPECTED}", quoted(text))))
}

/// A named person lets a halted lane go on, and says why.
pub(super) fn lane_resumed(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    detail.only(&["lane", "by", "comment"])?;
    Ok(Event::LaneResumed { lane: detail.id("lane")?, by: detail.id("by")?, comment: detail.text("comment")?.to_owned() })
}

/// A named person pulled the stop cord, or released it.
pub(super) fn cord(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    detail.only(&["pulled", "kill", "by", "comment"])?;
    let pulled = detail.flag("pulled")?;
    let kill = if detail.get("kill").is_some() { detail.flag("kill")? } else { false };
    let comment = detail.optional_text("comment")?.unwrap_or_default();
    if !pulled && comment.trim().is_empty() {
        return Err(Stop::Rejected(format!("{} is missing: a release must say why", detail.path_of("comment"))));
    }
    Ok(Event::Cord { pulled, kill, by: detail.id("by")?, comment: comment.to_owned() })
}

/// A named person paused a lane or a campaign.
pub(super) fn paused(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let (on, by, comment) = steered(&envelope.detail)?;
    Ok(Event::Steer(Steer { on, go: false, by, comment }))
}

/// A named person lets a lane or a campaign go on.
pub(super) fn resumed(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    Ok(match steered(&envelope.detail)? {
        (Steered::Lane(lane), by, comment) => Event::LaneResumed { lane, by, comment },
        (on, by, comment) => Event::Steer(Steer { on, go: true, by, comment }),
    })
}

fn steered(detail: &Object<'_>) -> Result<(Steered, PersonId, String), Stop> {
    detail.only(&["subject", "by", "comment"])?;
    let text = detail.text("subject")?;
    let expected = "a campaign such as `patch-default.1`, or a lane such as `patch-default`";
    let on =
        Steered::parse(text).map_err(|_| detail.wrong("subject", format_args!("{} is neither a campaign nor a lane: expected {expected}", quoted(text))))?;
    Ok((on, detail.id("by")?, detail.text("comment")?.to_owned()))
}

/// A named person gives targets another attempt.
pub(super) fn retry(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    detail.only(&["subject", "by", "comment"])?;
    let text = detail.text("subject")?;
    let expected = "a target such as `111122223333/eu-west-1/i-0123456789abcdef0`, or a campaign such as `patch-default.1`";
    let what =
        Retried::parse(text).map_err(|_| detail.wrong("subject", format_args!("{} is neither a target nor a campaign: expected {expected}", quoted(text))))?;
    Ok(Event::Retry(Retry { what, by: detail.id("by")?, comment: detail.text("comment")?.to_owned() }))
}

/// An approval in its wire form; [`super::parse`] gives it back unchanged. Its time is the envelope's.
pub fn approval_to_json(approval: &Approval) -> Value {
    let mut detail = json!({ "subject": approval.subject.to_string(), "digest": approval.digest, "word": approval.word, "by": approval.by });
    if let (Value::Object(map), false) = (&mut detail, approval.comment.is_empty()) {
        map.insert("comment".into(), approval.comment.as_str().into());
    }
    ours(APPROVAL, approval.at, detail)
}

/// A resumed lane in its wire form; [`super::parse`] gives it back if the comment says something.
pub fn lane_resumed_to_json(lane: &LaneId, by: &PersonId, comment: &str, at: Timestamp) -> Value {
    ours(LANE_RESUMED, at, json!({ "lane": lane, "by": by, "comment": comment }))
}

/// The stop cord, pulled or released, in its wire form. A release says why.
pub fn cord_to_json(pulled: bool, kill: bool, by: &PersonId, comment: &str, at: Timestamp) -> Value {
    let mut detail = json!({ "pulled": pulled, "by": by });
    if let Value::Object(map) = &mut detail {
        if kill {
            map.insert("kill".into(), true.into());
        }
        if !comment.is_empty() {
            map.insert("comment".into(), comment.into());
        }
    }
    ours(CORD, at, detail)
}

/// A pause, or its end, in its wire form; [`super::parse`] gives it back if the comment says something.
pub fn steer_to_json(steer: &Steer, at: Timestamp) -> Value {
    ours(if steer.go { RESUMED } else { PAUSED }, at, json!({ "subject": steer.on.to_string(), "by": steer.by, "comment": steer.comment }))
}

/// Another attempt in its wire form; [`super::parse`] gives it back if the comment says something.
pub fn retry_to_json(retry: &Retry, at: Timestamp) -> Value {
    ours(RETRY, at, json!({ "subject": retry.what.to_string(), "by": retry.by, "comment": retry.comment }))
}

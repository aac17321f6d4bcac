//! Bytes to events, once, at the edge.
//!
//! What comes in is an EventBridge envelope (AWS's own events and ours), alone or in company: an array, JSON Lines, an SQS
//! batch. Each piece becomes a [`Parsed`]: an event, or *ignored* (understood, not ours), or *rejected* (not understood, or it
//! contradicts itself) with a reason for the person who must act. Of a Security Hub event, each finding is one. AWS adds fields without notice, so
//! unknown fields change nothing in its events; in our own events an unknown key is a typing error and is refused.

mod approval;
mod automation;
mod batch;
mod calendar_state;
mod command_change;
mod compliance_state;
mod config_change;
mod envelope;
mod inspector;
mod instance_state;
mod reader;
pub mod run_input;
mod schedule;
mod security_hub;
mod tick;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::Value;

pub use approval::{approval_to_json, cord_to_json, lane_resumed_to_json, retry_to_json, steer_to_json};
pub use tick::tick_to_json;

use crate::event::Event;
use crate::id::{AccountId, Region};
use envelope::Envelope;
use reader::{Object, Stop, quoted};

/// The most bytes that one event may have. Source: EventBridge takes entries below 1 MB, SQS and SNS messages up to 1 MiB.
pub const EVENT_BYTES_MAX: usize = 1_048_576;

/// What one piece of input turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// An event that the engine handles.
    Event {
        /// The event.
        event: Event,
        /// The account that the envelope names; always there in AWS's events.
        account: Option<AccountId>,
        /// The Region that the envelope names; always there in AWS's events.
        region: Option<Region>,
        /// The envelope's time.
        at: Timestamp,
        /// The envelope's id. It tells nothing about the fact: two rules that judge one resource send two ids.
        id: Option<String>,
    },
    /// Understood, but nothing that the engine handles.
    Ignored {
        /// Why.
        why: String,
    },
    /// Not understood, or it contradicts itself.
    Rejected {
        /// Why, with the path of the field at fault.
        why: String,
    },
}

/// One event read from an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The place of its event in the input, from 0. Findings that came in one event have the same.
    pub index: usize,
    /// What it turned out to be.
    pub parsed: Parsed,
}

/// Splits an input and parses each piece, in order.
///
/// Takes a single event (pretty-printed or not, several in a row too), a JSON array of events, JSON Lines, or the batch that
/// SQS hands to a Lambda function (`{"Records":[{"body":"…"}]}`, also inside an array), with or without an SNS notification
/// around each body. A record of a batch always has exactly one index, which names the message to report as failed; only an
/// event with several findings has several reads under it (AWS sends one finding in an event). An input that is empty, or white space only, is one rejected piece; an empty array or batch is none.
///
/// Never loses the neighbours of a broken piece: JSON Lines are taken up again at each newline, and of a truncated array the
/// elements before the break count. Runs in linear time; memory is some hundred bytes for each piece, so a caller that takes input
/// from strangers limits its size.
pub fn read(bytes: &[u8]) -> Vec<Read> {
    match checked(bytes) {
        Ok(bytes) => batch::split(bytes),
        Err(stop) => vec![Read { index: 0, parsed: Parsed::from(Err(stop)) }],
    }
}

/// Parses one event. One that holds several findings is rejected: [`read`] takes it apart.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut all = unless_stopped(checked(bytes).and_then(|bytes| event(bytes, "")));
    match (all.pop(), all.len()) {
        (Some(only), 0) => only,
        (_, more) => Parsed::from(Err(Stop::Rejected(format!("the event holds {} findings: expected one", more + 1)))),
    }
}

/// The pieces of an event, or the one reason why there are none.
fn unless_stopped(read: Result<Vec<Parsed>, Stop>) -> Vec<Parsed> {
    read.unwrap_or_else(|stop| vec![Parsed::from(Err(stop))])
}

/// The input without its byte order mark, if it is text that can hold an event at all.
fn checked(bytes: &[u8]) -> Result<&[u8], Stop> {
    // Windows PowerShell redirects as UTF-16 (and UTF-8 with a mark), which would otherwise fail once for each newline byte.
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Stop::Rejected("the input is UTF-16: expected UTF-8".into()));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Stop::Rejected("the input is empty: expected an event, a JSON array of events, JSON Lines or an SQS batch".into()));
    }
    Ok(bytes)
}

/// One event, or what SNS wraps around one. `path` is where the text was found, if not in the input itself.
fn event(bytes: &[u8], path: &str) -> Result<Vec<Parsed>, Stop> {
    let value = json(bytes).map_err(|stop| if path.is_empty() { stop } else { stop.inside(path) })?;
    match notification(&value) {
        Some(message) => in_envelope(&json(message.as_bytes()).map_err(|stop| stop.inside("Message"))?),
        None => in_envelope(&value),
    }
}

/// The message of an SNS notification. Source: SNS developer guide, HTTP/JSON notification format.
fn notification(value: &Value) -> Option<&str> {
    let is_notification = value.get("Type").and_then(Value::as_str) == Some("Notification") && value.get("detail-type").is_none();
    value.get("Message").and_then(Value::as_str).filter(|_| is_notification)
}

fn json(bytes: &[u8]) -> Result<Value, Stop> {
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(Stop::Rejected(format!("the event has {} bytes: expected at most {EVENT_BYTES_MAX}, EventBridge's limit", bytes.len())));
    }
    serde_json::from_slice(bytes).map_err(|error| Stop::Rejected(reader::not_json(&error, error.line(), error.column())))
}

fn in_envelope(value: &Value) -> Result<Vec<Parsed>, Stop> {
    let root =
        Object::at(String::new(), value).ok_or_else(|| Stop::Rejected(format!("expected an event, which is a JSON object, got {}", reader::kind_of(value))))?;
    if root.get("messageType").is_some() && root.get("source").is_none() && root.get("detail-type").is_none() {
        return Err(Stop::Rejected(
            "this is the form that AWS Config sends to an SNS topic: expected an EventBridge envelope with `source`, `detail-type` and `detail`; \
             forward Config's events with an EventBridge rule instead"
                .into(),
        ));
    }
    let envelope = Envelope::read(&root)?;
    let found = match (envelope.source, envelope.detail_type) {
        ("aws.securityhub", "Security Hub Findings - Imported") => security_hub::imported(&envelope)?,
        ("aws.securityhub", "Findings Imported V2") => security_hub::imported_v2(&envelope)?,
        _ => vec![in_detail(&envelope)],
    };
    let with_envelope = |event| Parsed::Event { event, account: envelope.account, region: envelope.region.clone(), at: envelope.time, id: envelope.id.clone() };
    Ok(found.into_iter().map(|event| Parsed::from(event.map(with_envelope))).collect())
}

/// Who reads which detail. AWS reserves sources that begin with `aws.`, so the source is as good as a signature; a
/// detail type alone is not.
fn in_detail(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    match (envelope.source, envelope.detail_type) {
        ("aws.config", "Config Rules Compliance Change") => config_change::compliance(envelope),
        ("aws.config", "Config Rules Re-evaluation Status") => config_change::reevaluation(envelope),
        ("aws.config", "Config Configuration Item Change") => config_change::configuration_item(envelope),
        ("aws.ssm", "Configuration Compliance State Change") => compliance_state::compliance(envelope),
        ("aws.ssm", "EC2 Command Status-change Notification") => command_change::command(envelope),
        ("aws.ssm", "EC2 Command Invocation Status-change Notification") => command_change::invocation(envelope),
        ("aws.ssm", "EC2 Automation Execution Status-change Notification") => automation::execution(envelope),
        ("aws.ssm", "EC2 Automation Step Status-change Notification") => automation::step(envelope),
        ("aws.ssm", "Calendar State Change") => calendar_state::calendar(envelope),
        ("aws.ec2", "EC2 Instance State-change Notification") => instance_state::instance(envelope),
        ("aws.inspector2", "Inspector2 Finding") => inspector::finding(envelope),
        (envelope::OURS, approval::APPROVAL) => approval::approval(envelope),
        (envelope::OURS, approval::LANE_RESUMED) => approval::lane_resumed(envelope),
        (envelope::OURS, approval::CORD) => approval::cord(envelope),
        (envelope::OURS, approval::PAUSED) => approval::paused(envelope),
        (envelope::OURS, approval::RESUMED) => approval::resumed(envelope),
        (envelope::OURS, approval::RETRY) => approval::retry(envelope),
        (envelope::OURS, tick::TICK) => tick::tick(envelope),
        (envelope::OURS, schedule::RUN) => schedule::run(envelope),
        (envelope::OURS, other) => Err(Stop::Rejected(format!(
            "detail-type: {} is not an event of Tidegate's own: expected `{}`, `{}`, `{}`, `{}`, `{}`, `{}` or `{}`",
            quoted(other),
            approval::APPROVAL,
            approval::LANE_RESUMED,
            approval::CORD,
            approval::PAUSED,
            approval::RESUMED,
            approval::RETRY,
            tick::TICK
        ))),
        (source, other) => Err(Stop::Ignored(format!("understood, not handled: {} of {}", quoted(other), quoted(source)))),
    }
}

impl From<Result<Self, Stop>> for Parsed {
    fn from(read: Result<Self, Stop>) -> Self {
        match read {
            Ok(parsed) => parsed,
            Err(Stop::Ignored(why)) => Self::Ignored { why: printable(why) },
            Err(Stop::Rejected(why)) => Self::Rejected { why: printable(why) },
        }
    }
}

/// Reasons quote the input, and end up in terminals and logs: control characters are written out.
fn printable(why: String) -> String {
    if !why.contains(char::is_control) {
        return why;
    }
    why.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

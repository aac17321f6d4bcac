//! Bodies that are events: read, counted, decided on, and refused to where people find them.

use jiff::Timestamp;
use tidegate_engine::ports::Cloud;
use tidegate_events::Event;
use tidegate_events::wire::{self, Parsed};
use tidegate_rules::decide::Outcome;

use crate::batch::Record;
use crate::log::Metrics;
use crate::post::{Bin, Refused};
use crate::shell::{Fresh, Post, Shell};

pub use tidegate_engine::door::Door;

/// What came of a record that is not a task of ours: its ticks, which the caller has to act on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Times of ticks in it.
    pub ticks: Vec<Timestamp>,
}

/// Reads a record's body as events and decides on each. A piece that is refused goes to the bin with its reason, and the record is done.
///
/// # Errors
/// When something could not be stored, handed on or put into the bin: the record comes again.
pub async fn take<S: Fresh, C: Cloud, P: Post>(
    shell: &Shell<S, C, P>,
    bin: &impl Bin,
    door: Door,
    record: &Record,
    now: Timestamp,
    metrics: &mut Metrics,
) -> Result<Taken, String> {
    let mut taken = Taken::default();
    for read in wire::read(record.body.as_bytes()) {
        let refused = match read.parsed {
            Parsed::Rejected { why } => Some(why),
            Parsed::Ignored { why } => {
                metrics.count("EventsIgnored");
                tracing::info!(message_id = %record.id, index = read.index, %why, "ignored");
                None
            }
            Parsed::Event { event, id, account, .. } => {
                if let Some(why) = door.refuses(&event) {
                    Some(why.to_owned())
                } else if let Event::Tick { at } = event {
                    taken.ticks.push(at);
                    None
                } else {
                    let outcome = shell.take(&event, now).await.map_err(|error| words(&error))?;
                    let account = account.map(|account| account.to_string());
                    tracing::info!(message_id = %record.id, event_id = id, account, outcome = outcome.name(), why = outcome.why(), "event");
                    metrics.count(match outcome {
                        Outcome::Accepted => "EventsAccepted",
                        Outcome::Duplicate => "EventsDuplicate",
                        Outcome::Stale { .. } => "EventsStale",
                        Outcome::Ignored { .. } => "EventsIgnored",
                        Outcome::Rejected { .. } => "EventsRejected",
                    });
                    match outcome {
                        Outcome::Rejected { why } => Some(why),
                        _ => None,
                    }
                }
            }
        };
        if let Some(reason) = refused {
            refuse(bin, record, read.index, reason, metrics).await?;
        }
    }
    Ok(taken)
}

/// Puts a record into the bin.
///
/// # Errors
/// When the bin does not take it: the record comes again.
pub async fn refuse(bin: &impl Bin, record: &Record, index: usize, reason: String, metrics: &mut Metrics) -> Result<(), String> {
    tracing::warn!(message_id = %record.id, index, %reason, "refused");
    metrics.count("RecordsRefused");
    bin.refuse(Refused { body: crate::execution::without_token(&record.body), reason, message_id: record.id.clone(), index }).await
}

/// An error with everything that caused it, on one line.
pub fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

//! Systems Manager Automation: an execution changed its status.
//!
//! Source: Systems Manager user guide, "EventBridge event examples", Automation; the words from the SSM API model
//! (`AutomationExecutionStatus`). Times in the detail are in no standard's form: the envelope's is the one that counts.

use crate::event::Event;
use crate::id::ExecutionId;

use super::envelope::Envelope;
use super::reader::{Stop, quoted};

/// `EC2 Automation Execution Status-change Notification`.
pub(super) fn execution(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let (account, region) = envelope.place()?;
    let detail = &envelope.detail;
    Ok(Event::AutomationChanged { account, region, execution: detail.id("ExecutionId")?, status: detail.id("Status")? })
}

/// `EC2 Automation Step Status-change Notification`.
pub(super) fn step(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    let (execution, step): (ExecutionId, _) = (detail.id("ExecutionId")?, detail.text("StepName")?);
    Err(Stop::Ignored(format!("step {} of automation execution {execution}: the execution's own end is what counts", quoted(step))))
}

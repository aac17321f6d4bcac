//! Systems Manager's own compliance event: a second trigger that needs no Config recorder.
//!
//! Source: Systems Manager user guide, "EventBridge event examples", Compliance. It has no time of capture and names no rule.

use crate::event::Event;
use crate::fact::{Compliance, Fact, FactSource};

use super::envelope::Envelope;
use super::reader::{Stop, quoted};

/// `Configuration Compliance State Change`: a node's patch or association compliance changed.
pub(super) fn compliance(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    let compliance_type = detail.text("compliance-type")?;
    if compliance_type != "Patch" {
        return Err(Stop::Ignored(format!("understood, not handled: compliance of type {}, only `Patch`", quoted(compliance_type))));
    }
    let resource_type = detail.text("resource-type")?;
    if resource_type != "managed-instance" {
        return Err(Stop::Ignored(format!("understood, not handled: resources of type {}, only `managed-instance`", quoted(resource_type))));
    }
    // Lower case here, upper case in Config's events: two services, two vocabularies.
    let compliance = match detail.text("compliance-status")? {
        "compliant" => Compliance::Compliant,
        "non_compliant" => Compliance::NonCompliant,
        other => return Err(detail.unknown("compliance-status", other, "compliant or non_compliant")),
    };
    let fact = Fact { compliance, ordering: envelope.time, recorded: envelope.time, source: FactSource::SsmCompliance };
    Ok(Event::Finding { target: envelope.target(detail.instance("resource-id")?)?, fact })
}

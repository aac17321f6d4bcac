//! Amazon Inspector: a vulnerability on an instance. Read, so that its reason is the right one, and never taken as a verdict.
//!
//! A CVE is no patch state. Whether its fix is one that the instance's baseline approves is not in the finding, and an Install
//! brings no other; taken as a finding it would be installed for again and again, and stay. What the baseline approves and
//! the instance lacks is what AWS Config and Systems Manager say. `docs/decisions/0010-a-cve-is-no-patch-state.md`.
//!
//! Source: Inspector user guide, "EventBridge schema for Inspector events". Its times are in no standard's form: none is read.

use crate::event::Event;
use crate::id::AccountId;

use super::envelope::Envelope;
use super::reader::{Object, Stop, kind_of, quoted};

/// `Inspector2 Finding`.
pub(super) fn finding(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    let (account, said): (AccountId, AccountId) = (envelope.place()?.0, detail.id("awsAccountId")?);
    if said != account {
        return Err(Stop::Ignored(format!("an Inspector finding about {said}, sent by {account}: only what an account says of itself counts")));
    }
    let kind = detail.text("type")?;
    if kind != "PACKAGE_VULNERABILITY" {
        return Err(Stop::Ignored(format!("understood, not handled: Inspector findings of type {}, only `PACKAGE_VULNERABILITY`", quoted(kind))));
    }
    let cve = detail.object("packageVulnerabilityDetails")?.text("vulnerabilityId")?;
    let state = match detail.text("status")? {
        "ACTIVE" if detail.optional_text("fixAvailable")? == Some("NO") => "no fix is available",
        "ACTIVE" => "it may have a fix",
        "SUPPRESSED" => "it is suppressed",
        "CLOSED" => "it is closed",
        other => return Err(detail.unknown("status", other, "ACTIVE, SUPPRESSED or CLOSED")),
    };
    Err(Stop::Ignored(format!(
        "Inspector names {} on {} ({state}): no catalog entry answers a CVE; what a baseline approves and an instance lacks is AWS Config's and Systems Manager's to say",
        quoted(cve),
        where_found(detail)?
    )))
}

/// The resource, for the reason.
fn where_found(detail: &Object<'_>) -> Result<String, Stop> {
    let Some(first) = detail.array("resources")?.first() else { return Err(detail.wrong("resources", "it is empty: expected a resource")) };
    let path = format!("{}[0]", detail.path_of("resources"));
    let resource = Object::at(path.clone(), first).ok_or_else(|| Stop::Rejected(format!("{path}: expected a resource, got {}", kind_of(first))))?;
    Ok(quoted(resource.text("id")?))
}

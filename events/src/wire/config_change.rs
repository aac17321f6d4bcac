//! AWS Config: what a rule says of a resource, and what else Config sends.
//!
//! The shape comes from captured `Config Rules Compliance Change` events; names and values from the Config API model
//! (`ComplianceType`, `EvaluationMode`) and the Config developer guide (`messageType`).

use crate::event::Event;
use crate::fact::{Compliance, Fact, FactSource};

use super::envelope::Envelope;
use super::reader::{Object, Stop, last_segment, quoted};

/// The resource type of the findings that we mend. Rule names carry suffixes (organization, conformance pack, Security Hub)
/// and can't be matched; the type can. Source: AWS documentation of `ec2-managedinstance-patch-compliance-status-check`.
const PATCH_COMPLIANCE: &str = "AWS::SSM::PatchCompliance";

/// `Config Rules Compliance Change`: a rule's verdict on a resource changed.
pub(super) fn compliance(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    one_of(detail, "messageType", &["ComplianceChangeNotification"])?;
    envelope.agrees("awsAccountId", "awsRegion")?;
    let resource_type = detail.text("resourceType")?;
    // Other rules judge instances too: whether a catalog entry answers them is for the rules to say.
    if resource_type != PATCH_COMPLIANCE && detail.instance("resourceId").is_err() {
        // An event whose two halves name different types is not one that we understand, even if neither were ours.
        if let Ok((.., qualifier)) = result(detail) {
            agrees(detail, &qualifier, "resourceType")?;
        }
        return Err(Stop::Ignored(format!("understood, not handled: resources of type {}, only `{PATCH_COMPLIANCE}`", quoted(resource_type))));
    }
    let (result, identifier, qualifier) = result(detail)?;
    for key in ["resourceType", "configRuleName", "resourceId"] {
        agrees(detail, &qualifier, key)?;
    }
    // Absent in a first evaluation, null in some forms; the rules compare with what they know, not with what AWS remembers.
    if detail.get("oldEvaluationResult").is_some() {
        detail.object("oldEvaluationResult")?;
    }
    match qualifier.optional_text("evaluationMode")? {
        None | Some("DETECTIVE") => {}
        Some("PROACTIVE") => return Err(Stop::Ignored("a proactive evaluation judges a resource that does not exist yet".into())),
        Some(other) => return Err(qualifier.unknown("evaluationMode", other, "DETECTIVE or PROACTIVE")),
    }
    let compliance: Compliance = result.word("complianceType", "COMPLIANT, NON_COMPLIANT, NOT_APPLICABLE or INSUFFICIENT_DATA")?;
    let fact = Fact {
        compliance,
        ordering: identifier.time("orderingTimestamp")?,
        recorded: result.time("resultRecordedTime")?,
        source: FactSource::ConfigRule(detail.text("configRuleName")?.to_owned()),
    };
    let target = envelope.target(detail.instance("resourceId")?)?;
    if resource_type == PATCH_COMPLIANCE {
        Ok(Event::Finding { target, fact })
    } else {
        Ok(Event::FindingOf { resource_type: resource_type.to_owned(), target, fact })
    }
}

/// `Config Rules Re-evaluation Status`: an evaluation of whole rules started. There is no event for its end.
pub(super) fn reevaluation(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    one_of(detail, "messageType", &["ConfigRulesEvaluationStarted"])?;
    envelope.agrees("awsAccountId", "awsRegion")?;
    let rules = detail.array("configRuleNames")?;
    if let Some(wrong) = rules.iter().find(|rule| !rule.is_string()) {
        return Err(detail.wrong("configRuleNames", format_args!("expected names, got {}", super::reader::kind_of(wrong))));
    }
    let what = match rules {
        [] => "its rules".to_owned(),
        [rule] => format!("rule {}", quoted(rule.as_str().unwrap_or_default())),
        [rule, more @ ..] => format!("rule {} and {} more", quoted(rule.as_str().unwrap_or_default()), more.len()),
    };
    Err(Stop::Ignored(format!("AWS Config started to evaluate {what}; it says nothing about a target")))
}

/// `Config Configuration Item Change`, whole or too large for an event: the recorded state changed, nobody has judged it yet.
/// Patch items are often too large, so nothing may depend on their body.
pub(super) fn configuration_item(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    one_of(&envelope.detail, "messageType", &["ConfigurationItemChangeNotification", "OversizedConfigurationItemChangeNotification"])?;
    Err(Stop::Ignored("a configuration item changed; whether it is compliant is what the rule's own event says".into()))
}

/// The new result, its identifier, and the qualifier in that.
fn result<'v>(detail: &Object<'v>) -> Result<(Object<'v>, Object<'v>, Object<'v>), Stop> {
    let result = detail.object("newEvaluationResult")?;
    let identifier = result.object("evaluationResultIdentifier")?;
    let qualifier = identifier.object("evaluationResultQualifier")?;
    Ok((result, identifier, qualifier))
}

/// That the qualifier of the result speaks of the same thing as the detail around it. Resource ids are compared without
/// their prefix: a bare instance id and a prefixed one name the same node.
fn agrees(detail: &Object<'_>, qualifier: &Object<'_>, key: &str) -> Result<(), Stop> {
    let (outer, inner) = (detail.text(key)?, qualifier.text(key)?);
    let same = if key == "resourceId" { last_segment(outer) == last_segment(inner) } else { outer == inner };
    if same { Ok(()) } else { Err(qualifier.wrong(key, format_args!("{} contradicts {}, which is {}", quoted(inner), detail.path_of(key), quoted(outer)))) }
}

fn one_of(detail: &Object<'_>, key: &str, expected: &[&str]) -> Result<(), Stop> {
    let got = detail.text(key)?;
    if expected.contains(&got) { Ok(()) } else { Err(detail.unknown(key, got, &expected.join(" or "))) }
}

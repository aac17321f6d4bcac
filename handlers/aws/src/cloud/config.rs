//! AWS Config in a spoke: a nudge to judge again, and its verdicts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_config::types::{ComplianceType, EvaluationResult, EvaluationResultIdentifier};
use jiff::{SignedDuration, Timestamp};
use tidegate_engine::ports::Spoke;
use tidegate_events::fact::{Compliance, Fact, FactSource};
use tidegate_events::id::InstanceId;
use tidegate_rules::catalog::{CatalogEntry, PATCH_COMPLIANCE};

use super::Inner;
use super::fault::{Caller, Failure, Kind, Pages};
use super::sessions::SpokeClients;
use super::timestamp;

const START: &str = "config:StartConfigRulesEvaluation";
const BY_RESOURCE: &str = "config:GetComplianceDetailsByResource";
const BY_RULE: &str = "config:GetComplianceDetailsByConfigRule";
const RULES: &str = "config:DescribeConfigRules";

/// Rules of one nudge.
const RULES_MAX: usize = 25;
/// Lines of a page by rule.
const PAGE: i32 = 100;
/// Characters of a rule's name that the call by rule takes; deployed names may be longer (aws-facts 1.3).
const RULE_NAME_MAX: usize = 64;
/// How long the names of a spoke's rules are taken from memory, in seconds.
const RULES_SECS: i64 = 900;

/// How Config may name what the patch rule judges, the usual way first: type, and what stands before the instance's id.
const NAMES: [(&str, &str); 3] =
    [("AWS::SSM::PatchCompliance", "AWS::SSM::ManagedInstanceInventory/"), ("AWS::SSM::ManagedInstanceInventory", ""), ("AWS::EC2::Instance", "")];

/// The patch rules of a spoke, and when they were listed; `None` where they can't be asked by rule.
type Listed = (Option<Vec<String>>, Timestamp);

/// The patch rules of each spoke.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    known: Mutex<HashMap<Spoke, Listed>>,
}

/// Whether a result is about what the entry answers: by the resource's type, or by the rule's name.
fn is_ours(entry: &CatalogEntry, resource_type: &str, rule: &str) -> bool {
    entry.answers(resource_type, Some(rule)) || entry.is_rule(rule)
}

/// How Config may name what the entry's rules judge.
fn names_of(entry: &CatalogEntry) -> Vec<(String, &'static str)> {
    if entry.resource_types.iter().any(|kind| kind == PATCH_COMPLIANCE) {
        return NAMES.iter().map(|(kind, before)| ((*kind).to_owned(), *before)).collect();
    }
    // What Systems Manager says of a node stands behind a prefix; instances stand bare.
    let before = |kind: &str| if kind.ends_with("Compliance") { "AWS::SSM::ManagedInstanceInventory/" } else { "" };
    entry.resource_types.iter().map(|kind| (kind.clone(), before(kind))).collect()
}

/// The instance at the end of a resource id, bare or behind a type.
pub(crate) fn instance_in(resource_id: &str) -> Option<InstanceId> {
    resource_id.rsplit('/').next()?.parse().ok()
}

/// A statement of Config; `None` for a type of compliance that is not known.
///
/// # Errors
/// Where it lacks what Config always says: it could have been the newest.
pub(crate) fn fact(
    entry: &CatalogEntry,
    operation: &'static str,
    identifier: Option<&EvaluationResultIdentifier>,
    compliance: Option<&ComplianceType>,
    recorded: Option<&aws_smithy_types::DateTime>,
) -> Result<Option<(String, String, Fact)>, Failure> {
    let qualifier = identifier.and_then(|identifier| identifier.evaluation_result_qualifier());
    let (Some(identifier), Some(qualifier)) = (identifier, qualifier) else { return Err(Failure::unreadable(operation, "a result without an identifier")) };
    let ordering = identifier.ordering_timestamp().and_then(timestamp);
    let Some(ordering) = ordering else { return Err(Failure::unreadable(operation, "a result without an ordering time")) };
    let compliance = match compliance {
        Some(ComplianceType::Compliant) => Compliance::Compliant,
        Some(ComplianceType::NonCompliant) => Compliance::NonCompliant,
        Some(ComplianceType::NotApplicable) => Compliance::NotApplicable,
        Some(ComplianceType::InsufficientData) => Compliance::InsufficientData,
        _ => return Ok(None),
    };
    let rule = qualifier.config_rule_name().unwrap_or_default().to_owned();
    if !is_ours(entry, qualifier.resource_type().unwrap_or_default(), &rule) {
        return Ok(None);
    }
    let recorded = recorded.and_then(timestamp).unwrap_or(ordering);
    let resource = qualifier.resource_id().unwrap_or_default().to_owned();
    Ok(Some((rule.clone(), resource, Fact { compliance, ordering, recorded, source: FactSource::ConfigRule(rule) })))
}

/// Keeps the newest statement on each instance.
pub(crate) fn keep_newest<K: Ord>(facts: &mut BTreeMap<K, Fact>, key: K, fact: Fact) {
    if facts.get(&key).is_none_or(|known| fact.is_newer_than(known)) {
        facts.insert(key, fact);
    }
}

/// `StartConfigRulesEvaluation`. That it is running already, or was asked for within the minute, counts as taken. Rules that are
/// not there any more are dropped: one of them would fail the call for all.
pub(crate) async fn start_evaluation(caller: Caller<'_>, clients: Arc<SpokeClients>, rules: &[String]) -> Result<(), Failure> {
    let mut waiting: Vec<Vec<String>> = rules.chunks(RULES_MAX).map(<[String]>::to_vec).collect();
    while let Some(names) = waiting.pop() {
        let request = clients.config().start_config_rules_evaluation().set_config_rule_names(Some(names.clone()));
        match caller.call(START, request.send()).await {
            Ok(_) => {}
            Err(failure) if matches!(failure.code.as_str(), "ResourceInUseException" | "LimitExceededException") => {
                tracing::debug!(?names, "an evaluation runs already: {failure}");
            }
            Err(failure) if failure.code == "NoSuchConfigRuleException" => {
                let (gone, there): (Vec<String>, Vec<String>) = names.iter().cloned().partition(|name| failure.message.contains(name.as_str()));
                if gone.is_empty() && names.len() > 1 {
                    let (first, second) = names.split_at(names.len() / 2);
                    waiting.extend([first.to_vec(), second.to_vec()]);
                } else {
                    tracing::warn!(rules = ?if gone.is_empty() { &names } else { &gone }, "Config rules are gone and are left out: {failure}");
                    waiting.extend((!gone.is_empty() && !there.is_empty()).then_some(there));
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Config's newest word on each of these, by resource or by rule, whichever takes fewer calls. `nodes`: how many instances the
/// account has, where that is known.
pub(crate) async fn compliance(
    caller: Caller<'_>,
    clients: Arc<SpokeClients>,
    spoke: &Spoke,
    instances: &[InstanceId],
    nodes: Option<u64>,
    inner: &Inner,
) -> Result<Vec<(InstanceId, Option<Fact>)>, Failure> {
    let entry = &*inner.settings.entry;
    let pages = nodes.map(|nodes| usize::try_from(nodes.div_ceil(100)).unwrap_or(usize::MAX).max(1));
    // One call more than the pages: the rules' names, where they are not known.
    let mut facts = match pages.filter(|pages| pages.saturating_add(1) < instances.len()) {
        Some(pages) => match rules_of(&caller, &clients, spoke, inner).await? {
            Some(rules) if pages.saturating_mul(rules.len()) < instances.len() => by_rules(entry, &caller, &clients, &rules).await?,
            _ => by_resources(entry, &caller, &clients, instances).await?,
        },
        None => by_resources(entry, &caller, &clients, instances).await?,
    };
    Ok(instances.iter().map(|instance| (instance.clone(), facts.remove(instance))).collect())
}

async fn by_resources(
    entry: &CatalogEntry,
    caller: &Caller<'_>,
    clients: &SpokeClients,
    instances: &[InstanceId],
) -> Result<BTreeMap<InstanceId, Fact>, Failure> {
    let mut facts = BTreeMap::new();
    // All names are tried until Config answers to one; from then on it is the only one.
    let mut names = names_of(entry);
    for instance in instances {
        for (resource_type, before) in names.clone() {
            let results = by_resource(caller, clients, &resource_type, &format!("{before}{instance}")).await?;
            for result in &results {
                let said = fact(entry, BY_RESOURCE, result.evaluation_result_identifier(), result.compliance_type(), result.result_recorded_time())?;
                if let Some((_, _, fact)) = said {
                    keep_newest(&mut facts, instance.clone(), fact);
                }
            }
            if facts.contains_key(instance) {
                names = vec![(resource_type, before)];
                break;
            }
        }
    }
    Ok(facts)
}

async fn by_resource(caller: &Caller<'_>, clients: &SpokeClients, resource_type: &str, id: &str) -> Result<Vec<EvaluationResult>, Failure> {
    let mut pages = Pages::of(BY_RESOURCE);
    let mut results = Vec::new();
    loop {
        let request = clients.config().get_compliance_details_by_resource().resource_type(resource_type).resource_id(id).set_next_token(pages.token());
        let page = caller.call(BY_RESOURCE, request.send()).await?;
        results.extend_from_slice(page.evaluation_results());
        if !pages.turn(page.next_token())? {
            return Ok(results);
        }
    }
}

async fn by_rules(entry: &CatalogEntry, caller: &Caller<'_>, clients: &SpokeClients, rules: &[String]) -> Result<BTreeMap<InstanceId, Fact>, Failure> {
    let mut facts = BTreeMap::new();
    for rule in rules {
        let mut pages = Pages::of(BY_RULE);
        loop {
            let request = clients.config().get_compliance_details_by_config_rule().config_rule_name(rule).limit(PAGE).set_next_token(pages.token());
            let page = caller.call(BY_RULE, request.send()).await?;
            for result in page.evaluation_results() {
                let said = fact(entry, BY_RULE, result.evaluation_result_identifier(), result.compliance_type(), result.result_recorded_time())?;
                if let Some((instance, fact)) = said.and_then(|(_, resource, fact)| Some((instance_in(&resource)?, fact))) {
                    keep_newest(&mut facts, instance, fact);
                }
            }
            if !pages.turn(page.next_token())? {
                break;
            }
        }
    }
    Ok(facts)
}

/// The patch rules of a spoke, by name or by AWS's identifier of the managed rule. `None` where they can't be asked by rule: the
/// role may not list them, or a name is longer than the call takes.
async fn rules_of(caller: &Caller<'_>, clients: &SpokeClients, spoke: &Spoke, inner: &Inner) -> Result<Option<Vec<String>>, Failure> {
    let now = inner.hub.now();
    let fresh = |at: &Timestamp| now.duration_since(*at) < SignedDuration::from_secs(RULES_SECS);
    let known = inner.rules.known.lock().unwrap_or_else(PoisonError::into_inner).get(spoke).filter(|(_, at)| fresh(at)).cloned();
    if let Some((rules, _)) = known {
        return Ok(rules);
    }
    let rules = match list_rules(&inner.settings.entry, caller, clients).await {
        Ok(rules) => Some(rules).filter(|rules| !rules.is_empty() && rules.iter().all(|rule| rule.len() <= RULE_NAME_MAX)),
        Err(failure) if failure.kind == Kind::Denied => None,
        Err(failure) => return Err(failure),
    };
    inner.rules.known.lock().unwrap_or_else(PoisonError::into_inner).insert(spoke.clone(), (rules.clone(), now));
    Ok(rules)
}

async fn list_rules(entry: &CatalogEntry, caller: &Caller<'_>, clients: &SpokeClients) -> Result<Vec<String>, Failure> {
    let managed: Vec<String> = entry.config_rules.iter().map(|rule| rule.to_ascii_uppercase().replace('-', "_")).collect();
    let mut pages = Pages::of(RULES);
    let mut rules = Vec::new();
    loop {
        let page = caller.call(RULES, clients.config().describe_config_rules().set_next_token(pages.token()).send()).await?;
        for rule in page.config_rules() {
            let name = rule.config_rule_name().unwrap_or_default();
            let identifier = rule.source().and_then(|source| source.source_identifier()).unwrap_or_default();
            if entry.is_rule(name) || managed.iter().any(|managed| managed == identifier) {
                rules.push(name.to_owned());
            }
        }
        if !pages.turn(page.next_token())? {
            return Ok(rules);
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_rules::catalog::patch;

    use super::*;

    #[test]
    fn rules_are_known_whatever_deployed_them() {
        for name in [
            "ec2-managedinstance-patch-compliance-status-check",
            "ec2-managedinstance-patch-compliance-status-check-conformance-pack-abcdefghi",
            "OrgConfigRule-ec2-managedinstance-patch-compliance-status-check-abcdefgh",
            "securityhub-ec2-managedinstance-patch-compliance-0a1b2c3d",
        ] {
            assert!(patch().is_rule(name), "{name}");
        }
        for name in
            ["", "s3-bucket-public-read-prohibited", "ec2-managedinstance-association-compliance-status-check", "ec2-managedinstance-patch-compliance-x"]
        {
            assert!(!patch().is_rule(name), "{name}");
        }
    }

    #[test]
    fn resource_ids_are_read_bare_and_behind_a_type() {
        let id: InstanceId = "i-0123456789abcdef0".parse().unwrap();
        assert_eq!(instance_in("AWS::SSM::ManagedInstanceInventory/i-0123456789abcdef0"), Some(id.clone()));
        assert_eq!(instance_in("i-0123456789abcdef0"), Some(id));
        assert_eq!(instance_in("some-bucket"), None);
    }
}

//! AWS Config in a spoke over the wire: rules, their evaluation and its results.

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_events::fact::Compliance;
use tidegate_events::id::InstanceId;

use super::answer::{Answer, Asked, Refusal, compact, epoch};
use super::page::{self, Page, WrongToken};
use super::read;
use crate::clock::ms;
use crate::host::{Host, Verdict};
use crate::state::State;
use crate::wire::rule_arn;

/// What a resource id of this type begins with (aws-facts 1.2).
pub(super) const RESOURCE_PREFIX: &str = "AWS::SSM::ManagedInstanceInventory/";

pub(super) fn wrong_token(_: WrongToken) -> Refusal {
    Refusal::new("InvalidNextTokenException", "The specified nextToken is invalid")
}

/// `Limit`, where 0 means the usual size.
pub(super) fn limit(asked: Option<i64>, usual: usize, most: i64) -> Result<usize, Refusal> {
    match asked {
        None | Some(0) => Ok(usual),
        Some(asked) => page::size(Some(asked), "limit", (0, usual, most)),
    }
}

/// A compliance type as a filter names it.
pub(super) fn compliance(word: &str) -> Result<Compliance, Refusal> {
    serde_json::from_value(json!(word)).map_err(|_| {
        Refusal::constraint(word, "complianceType", "Member must satisfy enum value set: [COMPLIANT, NON_COMPLIANT, NOT_APPLICABLE, INSUFFICIENT_DATA]")
    })
}

/// The rules of the caller's account by these names, or all.
fn rules<'a>(asked: &'a Asked<'_>, names: &[String]) -> Result<Vec<&'a str>, Refusal> {
    if names.len() > 25 {
        return Err(Refusal::constraint(names.len(), "configRuleNames", "Member must have length less than or equal to 25"));
    }
    let state = &asked.inner.state;
    let account = state.accounts.get(&asked.spoke.account);
    let all: Vec<&str> = account.map_or_else(Vec::new, |account| account.rules.iter().map(String::as_str).collect());
    if names.is_empty() {
        return Ok(all);
    }
    let one = |name: &String| {
        let missing = || {
            Refusal::new("NoSuchConfigRuleException", format!("The ConfigRule '{name}' provided in the request is invalid. Please check the configRule name"))
        };
        all.iter().find(|rule| *rule == name).copied().ok_or_else(missing)
    };
    names.iter().map(one).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ByRule {
    #[serde(default)]
    config_rule_names: Vec<String>,
    #[serde(default)]
    compliance_types: Vec<String>,
    limit: Option<i64>,
    next_token: Option<String>,
}

/// StartConfigRulesEvaluation: taken, and done some seconds later; at most once a minute.
pub(super) fn start_config_rules_evaluation(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let start: ByRule = read(body)?;
    if start.config_rule_names.is_empty() {
        return Err(Refusal::new("InvalidParameterValueException", "at least one rule name is required"));
    }
    rules(asked, &start.config_rule_names)?;
    let spoke = asked.spoke.clone();
    match asked.inner.reevaluate(&spoke) {
        Ok(true) => Ok(json!({})),
        Ok(false) => {
            let message = "The config rule evaluation is in progress or was requested less than a minute ago. Please wait and try again.";
            Err(Refusal::new("LimitExceededException", message))
        }
        Err(why) => {
            tracing::error!(%why, "StartConfigRulesEvaluation was not taken");
            Err(Refusal::broken(super::Service::Config))
        }
    }
}

fn rule_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// DescribeConfigRules
pub(super) fn describe_config_rules(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: ByRule = read(body)?;
    let names = rules(asked, &describe.config_rule_names)?;
    let page = Page::at(asked, &format!("{:?}", describe.config_rule_names), 25, describe.next_token.as_deref()).map_err(wrong_token)?;
    let (names, next) = page.cut(names);
    let state = &asked.inner.state;
    let (kind, identifier) = match &state.rule {
        None => (state.resource_type(), "EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK".to_owned()),
        Some(rule) => (rule.resource_type.as_str(), rule.name.to_ascii_uppercase().replace('-', "_")),
    };
    let line = |name: &str| {
        let arn = rule_arn(asked.spoke.account, &asked.spoke.region, name);
        // Who made a rule stands in its ARN, where a service did.
        let creator = arn.split_once("aws-service-rule/").and_then(|(_, rest)| rest.split_once('/')).map(|(creator, _)| creator.to_owned());
        compact(json!({
            "ConfigRuleName": name, "ConfigRuleArn": arn, "ConfigRuleId": rule_id(&arn), "Description": "Checks the patch compliance of managed instances.",
            "Scope": { "ComplianceResourceTypes": [kind] },
            "Source": { "Owner": "AWS", "SourceIdentifier": identifier }, "InputParameters": "{}",
            "ConfigRuleState": "ACTIVE", "EvaluationModes": [{ "Mode": "DETECTIVE" }], "CreatedBy": creator,
        }))
    };
    let lines: Vec<Value> = names.into_iter().map(line).collect();
    Ok(compact(json!({ "ConfigRules": lines, "NextToken": next })))
}

/// DescribeConfigRuleEvaluationStatus
pub(super) fn describe_config_rule_evaluation_status(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: ByRule = read(body)?;
    let names = rules(asked, &describe.config_rule_names)?;
    let size = limit(describe.limit, 50, 50)?;
    let page = Page::at(asked, &format!("{:?}", describe.config_rule_names), size, describe.next_token.as_deref()).map_err(wrong_token)?;
    let state = &asked.inner.state;
    let judged = state.hosts_in(&asked.spoke).filter_map(|host| host.verdict).map(|verdict| verdict.recorded).max();
    let again = state.spoke(&asked.spoke).and_then(|spoke| spoke.reevaluated);
    let evaluated = judged.into_iter().chain(again).max();
    let (names, next) = page.cut(names);
    let line = |name: &str| {
        let arn = rule_arn(asked.spoke.account, &asked.spoke.region, name);
        compact(json!({
            "ConfigRuleName": name, "ConfigRuleId": rule_id(&arn), "ConfigRuleArn": arn.clone(), "LastSuccessfulInvocationTime": evaluated.map(epoch),
            "LastSuccessfulEvaluationTime": evaluated.map(epoch), "FirstActivatedTime": epoch(state.started - crate::clock::DAY),
            "FirstEvaluationStarted": evaluated.is_some(),
        }))
    };
    let lines: Vec<Value> = names.into_iter().map(line).collect();
    Ok(compact(json!({ "ConfigRulesEvaluationStatus": lines, "NextToken": next })))
}

/// How many resources make a rule NON_COMPLIANT, as Config counts them: up to so many, and whether there are more.
pub(super) fn contributors(count: usize, most: usize) -> Value {
    json!({ "CappedCount": count.min(most), "CapExceeded": count > most })
}

/// DescribeComplianceByConfigRule
pub(super) fn describe_compliance_by_config_rule(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: ByRule = read(body)?;
    let names = rules(asked, &describe.config_rule_names)?;
    let types = describe.compliance_types.iter().map(|word| compliance(word)).collect::<Result<Vec<_>, _>>()?;
    let question = format!("{:?} {types:?}", describe.config_rule_names);
    let page = Page::at(asked, &question, 25, describe.next_token.as_deref()).map_err(wrong_token)?;
    let verdicts: Vec<Compliance> = asked.inner.state.hosts_in(&asked.spoke).filter_map(|host| host.verdict).map(|verdict| verdict.compliance).collect();
    let count = |wanted: Compliance| verdicts.iter().filter(|compliance| **compliance == wanted).count();
    let (bad, good) = (count(Compliance::NonCompliant), count(Compliance::Compliant));
    // Every rule of an account judges the same items here.
    let word = match (bad, good) {
        (0, 0) => Compliance::InsufficientData,
        (0, _) => Compliance::Compliant,
        _ => Compliance::NonCompliant,
    };
    let is_wanted = types.is_empty() || types.contains(&word);
    let (names, next) = page.cut(names.into_iter().filter(|_| is_wanted).collect());
    let line = |name: &str| {
        let counted = (word == Compliance::NonCompliant).then(|| contributors(bad, 25));
        json!({ "ConfigRuleName": name, "Compliance": compact(json!({ "ComplianceType": word, "ComplianceContributorCount": counted })) })
    };
    let lines: Vec<Value> = names.into_iter().map(line).collect();
    Ok(compact(json!({ "ComplianceByConfigRules": lines, "NextToken": next })))
}

/// One evaluation result; re-evaluation stamps it anew.
pub(super) fn result(state: &State, host: &Host, verdict: Verdict, rule: &str) -> Value {
    let fact = state.fact(host, verdict);
    let recorded = ms(fact.recorded);
    json!({
        "EvaluationResultIdentifier": {
            "EvaluationResultQualifier": {
                "ConfigRuleName": rule, "ResourceType": state.resource_type(), "ResourceId": state.resource_id(&host.key.instance), "EvaluationMode": "DETECTIVE",
            },
            "OrderingTimestamp": epoch(verdict.ordering),
        },
        "ComplianceType": fact.compliance, "ResultRecordedTime": epoch(recorded), "ConfigRuleInvokedTime": epoch(recorded - 400),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Details {
    config_rule_name: Option<String>,
    resource_type: Option<String>,
    resource_id: Option<String>,
    #[serde(default)]
    compliance_types: Vec<String>,
    limit: Option<i64>,
    next_token: Option<String>,
}

/// GetComplianceDetailsByConfigRule, in pages of 10 where nothing else is asked for.
pub(super) fn get_compliance_details_by_config_rule(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let get: Details = read(body)?;
    let name = get.config_rule_name.ok_or_else(|| Refusal::missing("configRuleName"))?;
    let types = get.compliance_types.iter().map(|word| compliance(word)).collect::<Result<Vec<_>, _>>()?;
    rules(asked, std::slice::from_ref(&name))?;
    let page = Page::at(asked, &format!("{name} {types:?}"), limit(get.limit, 10, 100)?, get.next_token.as_deref()).map_err(wrong_token)?;
    let state = &asked.inner.state;
    let found = state.hosts_in(&asked.spoke).filter_map(|host| Some((host, host.verdict?)));
    let found = found.filter(|(_, verdict)| types.is_empty() || types.contains(&verdict.compliance));
    let (found, next) = page.cut(found.collect());
    let lines: Vec<Value> = found.into_iter().map(|(host, verdict)| result(state, host, verdict, &name)).collect();
    Ok(compact(json!({ "EvaluationResults": lines, "NextToken": next })))
}

/// GetComplianceDetailsByResource: a result of each rule; none of what Config does not record.
pub(super) fn get_compliance_details_by_resource(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let get: Details = read(body)?;
    let kind = get.resource_type.ok_or_else(|| Refusal::missing("resourceType"))?;
    let id = get.resource_id.ok_or_else(|| Refusal::missing("resourceId"))?;
    let types = get.compliance_types.iter().map(|word| compliance(word)).collect::<Result<Vec<_>, _>>()?;
    let page = Page::at(asked, &format!("{kind} {id} {types:?}"), 10, get.next_token.as_deref()).map_err(wrong_token)?;
    let (state, names) = (&asked.inner.state, rules(asked, &[])?);
    let instance = id.rsplit('/').next().and_then(|id| id.parse::<InstanceId>().ok());
    let instance = instance.filter(|instance| kind == state.resource_type() && id == state.resource_id(instance));
    let host = instance.and_then(|instance| state.find_in(&asked.spoke, &instance));
    let found = host.and_then(|host| Some((host, host.verdict?))).filter(|(_, verdict)| types.is_empty() || types.contains(&verdict.compliance));
    let lines: Vec<Value> = found.into_iter().flat_map(|(host, verdict)| names.iter().map(move |name| result(state, host, verdict, name))).collect();
    let (lines, next) = page.cut(lines);
    Ok(compact(json!({ "EvaluationResults": lines, "NextToken": next })))
}

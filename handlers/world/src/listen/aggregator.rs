//! The Config aggregator of the organization over the wire: minutes behind, active accounts only, and with pages that may be empty.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_engine::ports::Spoke;
use tidegate_events::fact::Compliance;
use tidegate_events::id::{AccountId, InstanceId, Region};

use super::answer::{Answer, Asked, Refusal, compact, epoch};
use super::config::{RESOURCE_PREFIX, compliance, contributors, limit, result, wrong_token};
use super::page::Page;
use super::read;
use super::select::{self, Query};
use crate::draw::Draw;
use crate::host::{Host, Verdict};
use crate::state::State;
use crate::wire::{PATCH_COMPLIANCE, instance_arn, partition};

/// The one aggregator that the hub has.
pub const AGGREGATOR_NAME: &str = "organization";

/// Only the hub has the aggregator.
fn check(asked: &Asked<'_>, name: Option<&str>) -> Result<(), Refusal> {
    let name = name.ok_or_else(|| Refusal::missing("configurationAggregatorName"))?;
    if name == AGGREGATOR_NAME && asked.spoke.account == asked.hub {
        return Ok(());
    }
    Err(Refusal::new("NoSuchConfigurationAggregatorException", format!("The configuration aggregator '{name}' does not exist")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(default)]
    configuration_aggregator_names: Vec<String>,
    limit: Option<i64>,
    next_token: Option<String>,
}

/// DescribeConfigurationAggregators
pub(super) fn describe_configuration_aggregators(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: Describe = read(body)?;
    for name in &describe.configuration_aggregator_names {
        check(asked, Some(name))?;
    }
    limit(describe.limit, 100, 100)?;
    Page::at(asked, "", 100, describe.next_token.as_deref()).map_err(wrong_token)?;
    let (spoke, started) = (&asked.spoke, asked.inner.state.started);
    let id = Draw::new(0, "aggregator id").text(&spoke.account.to_string()).hex(8);
    let arn = format!("arn:{}:config:{}:{}:config-aggregator/config-aggregator-{id}", partition(&spoke.region), spoke.region, spoke.account);
    let role = format!("arn:{}:iam::{}:role/config-aggregator", partition(&spoke.region), spoke.account);
    let own = json!({
        "ConfigurationAggregatorName": AGGREGATOR_NAME, "ConfigurationAggregatorArn": arn,
        "OrganizationAggregationSource": { "RoleArn": role, "AllAwsRegions": true }, "CreationTime": epoch(started), "LastUpdatedTime": epoch(started),
    });
    let list = if spoke.account == asked.hub { vec![own] } else { Vec::new() };
    Ok(json!({ "ConfigurationAggregators": list }))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filters {
    config_rule_name: Option<String>,
    compliance_type: Option<String>,
    account_id: Option<String>,
    aws_region: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ByRules {
    configuration_aggregator_name: Option<String>,
    #[serde(default)]
    filters: Filters,
    limit: Option<i64>,
    next_token: Option<String>,
}

/// What the aggregator has of a host: NON_COMPLIANT as it saw it, COMPLIANT where it sees no finding (any more).
fn seen(state: &State, at: u32, host: &Host) -> Option<Verdict> {
    let compliant = || host.verdict.filter(|verdict| verdict.compliance == Compliance::Compliant);
    state.aggregate.get(&at).copied().or_else(compliant)
}

/// DescribeAggregateComplianceByConfigRules: one line for each account, Region and rule.
pub(super) fn describe_aggregate_compliance_by_config_rules(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: ByRules = read(body)?;
    check(asked, describe.configuration_aggregator_name.as_deref())?;
    let filters = describe.filters;
    let wanted = filters.compliance_type.as_deref().map(compliance).transpose()?;
    let question = format!("{:?} {wanted:?} {:?} {:?}", filters.config_rule_name, filters.account_id, filters.aws_region);
    let page = Page::at(asked, &question, limit(describe.limit, 1_000, 1_000)?, describe.next_token.as_deref()).map_err(wrong_token)?;
    let state = &asked.inner.state;
    let mut counts: BTreeMap<&Spoke, (usize, usize)> = BTreeMap::new();
    for spoke in state.spokes.iter().filter(|spoke| state.is_active(spoke.spoke.account)) {
        let verdicts = spoke.hosts.values().filter_map(|at| seen(state, *at, state.host(*at)?));
        for verdict in verdicts {
            let (bad, good) = counts.entry(&spoke.spoke).or_default();
            *if verdict.compliance == Compliance::NonCompliant { bad } else { good } += 1;
        }
    }
    let matches = |filter: &Option<String>, value: &str| filter.as_deref().is_none_or(|wanted| wanted == value);
    let mut lines = Vec::new();
    for (spoke, (bad, _)) in counts {
        let word = if bad > 0 { Compliance::NonCompliant } else { Compliance::Compliant };
        let here = matches(&filters.account_id, &spoke.account.to_string()) && matches(&filters.aws_region, spoke.region.as_str());
        if !here || wanted.is_some_and(|wanted| wanted != word) {
            continue;
        }
        let counted = (bad > 0).then(|| contributors(bad, 25));
        for rule in state.accounts.get(&spoke.account).into_iter().flat_map(|account| &account.rules) {
            if matches(&filters.config_rule_name, rule) {
                let compliance = compact(json!({ "ComplianceType": word, "ComplianceContributorCount": counted }));
                lines.push(json!({ "ConfigRuleName": rule, "Compliance": compliance, "AccountId": spoke.account, "AwsRegion": spoke.region }));
            }
        }
    }
    let (lines, next) = page.cut(lines);
    Ok(compact(json!({ "AggregateComplianceByConfigRules": lines, "NextToken": next })))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Details {
    configuration_aggregator_name: Option<String>,
    config_rule_name: Option<String>,
    account_id: Option<String>,
    aws_region: Option<String>,
    compliance_type: Option<String>,
    limit: Option<i64>,
    next_token: Option<String>,
}

/// GetAggregateComplianceDetailsByConfigRule of one account and Region. Every other one begins with an empty page (aws-facts 4).
pub(super) fn get_aggregate_compliance_details_by_config_rule(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let get: Details = read(body)?;
    check(asked, get.configuration_aggregator_name.as_deref())?;
    let rule = get.config_rule_name.ok_or_else(|| Refusal::missing("configRuleName"))?;
    let account = get.account_id.ok_or_else(|| Refusal::missing("accountId"))?;
    let account: AccountId =
        account.parse().map_err(|_| Refusal::constraint(&account, "accountId", "Member must satisfy regular expression pattern: \\d{12}"))?;
    let region = get.aws_region.ok_or_else(|| Refusal::missing("awsRegion"))?;
    let region: Region = region.parse().map_err(|_| Refusal::new("ValidationException", format!("'{region}' is no Region")))?;
    let wanted = get.compliance_type.as_deref().map(compliance).transpose()?;
    let question = format!("{rule} {account} {region} {wanted:?}");
    let page = Page::at(asked, &question, limit(get.limit, 50, 100)?, get.next_token.as_deref()).map_err(wrong_token)?;
    let state = &asked.inner.state;
    if page.is_first(get.next_token.as_deref()) && state.draw("empty page").text(&question).happens(500) {
        return Ok(json!({ "AggregateEvaluationResults": [], "NextToken": page.empty() }));
    }
    let spoke = Spoke { account, region };
    let has_rule = state.is_active(account) && state.accounts.get(&account).is_some_and(|account| account.rules.contains(&rule));
    let places = state.spoke(&spoke).filter(|_| has_rule).into_iter().flat_map(|spoke| spoke.hosts.values());
    let mut found: Vec<(&Host, Verdict)> = places.filter_map(|at| state.host(*at).and_then(|host| Some((host, seen(state, *at, host)?)))).collect();
    found.retain(|(_, verdict)| wanted.is_none_or(|wanted| wanted == verdict.compliance));
    found.sort_unstable_by_key(|(host, _)| &host.key.instance);
    let (found, next) = page.cut(found);
    let line = |(host, verdict): (&Host, Verdict)| {
        let mut line = result(state, host, verdict, &rule);
        if let Some(fields) = line.as_object_mut() {
            fields.extend([("AccountId".to_owned(), json!(spoke.account)), ("AwsRegion".to_owned(), json!(spoke.region))]);
        }
        line
    };
    let lines: Vec<Value> = found.into_iter().map(line).collect();
    Ok(compact(json!({ "AggregateEvaluationResults": lines, "NextToken": next })))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Select {
    configuration_aggregator_name: Option<String>,
    expression: Option<String>,
    limit: Option<i64>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// SelectAggregateResourceConfig over what the aggregator lists of instances, managed nodes and their patch compliance. The expressions that
/// are understood stand in [`select`].
pub(super) fn select_aggregate_resource_config(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let select: Select = read(body)?;
    check(asked, select.configuration_aggregator_name.as_deref())?;
    let text = select.expression.ok_or_else(|| Refusal::missing("expression"))?;
    let invalid = |why: String| Refusal::new("InvalidExpressionException", why);
    let query = Query::parse(&text).map_err(invalid)?;
    let usual = if query.is_grouped() { 500 } else { 25 };
    let size = limit(select.limit.or(select.max_results), usual, 100)?;
    let page = Page::at(asked, &text, size, select.next_token.as_deref()).map_err(wrong_token)?;
    let state = &asked.inner.state;
    let hosts = state.hosts.iter().filter(|host| !host.terminated && state.is_active(host.key.account));
    let resources = hosts.flat_map(|host| resources(state, host));
    let (rows, next) = page.cut(query.run(resources));
    let rows: Vec<String> = rows.into_iter().map(|row| Value::Object(row).to_string()).collect();
    let fields: Vec<Value> = query.fields().map(|field| json!({ "Name": field })).collect();
    Ok(compact(json!({ "Results": rows, "QueryInfo": { "SelectFields": fields }, "NextToken": next })))
}

/// What the aggregator has of a host: the instance, the managed node, and its patch compliance where Config records it.
fn resources<'a>(state: &'a State, host: &'a Host) -> Vec<select::Resource<'a>> {
    let key = &host.key;
    let id = key.instance.as_str();
    let arn = instance_arn(key.account, &key.region, &key.instance);
    let resource = |kind: &'static str, id: String, tags: bool| select::Resource {
        kind,
        id,
        arn: arn.clone(),
        account: key.account,
        region: &key.region,
        tags: tags.then_some(&host.tags),
    };
    let mut found = Vec::new();
    if !key.instance.is_hybrid() {
        found.push(resource("AWS::EC2::Instance", id.to_owned(), true));
    }
    if host.is_registered() {
        found.push(resource("AWS::SSM::ManagedInstanceInventory", id.to_owned(), false));
        if state.records(host) && host.captured.is_some() && state.rule.is_none() {
            found.push(resource(PATCH_COMPLIANCE, format!("{RESOURCE_PREFIX}{id}"), false));
        }
    }
    found
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identifier {
    source_account_id: Option<String>,
    source_region: Option<String>,
    resource_id: Option<String>,
    resource_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    configuration_aggregator_name: Option<String>,
    #[serde(default)]
    resource_identifiers: Vec<Identifier>,
}

/// BatchGetAggregateResourceConfig: neither tags nor relationships (aws-facts 4).
pub(super) fn batch_get_aggregate_resource_config(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let batch: Batch = read(body)?;
    check(asked, batch.configuration_aggregator_name.as_deref())?;
    let count = batch.resource_identifiers.len();
    if !(1..=100).contains(&count) {
        return Err(Refusal::constraint(count, "resourceIdentifiers", "Member must have length between 1 and 100"));
    }
    let state = &asked.inner.state;
    let (mut items, mut missed) = (Vec::new(), Vec::new());
    for named in batch.resource_identifiers {
        let (Some(account), Some(region), Some(id), Some(kind)) = (named.source_account_id, named.source_region, named.resource_id, named.resource_type) else {
            return Err(Refusal::missing("resourceIdentifiers.1.member"));
        };
        let spoke = account.parse().ok().zip(region.parse().ok()).map(|(account, region)| Spoke { account, region });
        let instance = id.rsplit('/').next().and_then(|id| id.parse::<InstanceId>().ok());
        let host = spoke.zip(instance).and_then(|(spoke, instance)| state.find_in(&spoke, &instance));
        let host = host.filter(|host| state.is_active(host.key.account) && resources(state, host).iter().any(|known| known.kind == kind && known.id == id));
        match host {
            Some(host) => items.push(json!({
                "version": "1.3", "accountId": account, "configurationItemCaptureTime": epoch(host.captured.map_or(state.started, |(at, _)| at)),
                "configurationItemStatus": "OK", "configurationStateId": host.captured.map_or(state.started, |(at, _)| at).to_string(),
                "arn": instance_arn(host.key.account, &host.key.region, &host.key.instance), "resourceType": kind, "resourceId": id, "awsRegion": region,
                "configuration": "{}", "supplementaryConfiguration": {},
            })),
            None => missed.push(json!({ "SourceAccountId": account, "SourceRegion": region, "ResourceId": id, "ResourceType": kind })),
        }
    }
    Ok(json!({ "BaseConfigurationItems": items, "UnprocessedResourceIdentifiers": missed }))
}

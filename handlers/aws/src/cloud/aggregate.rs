//! The Config aggregator in the hub: how many instances there are, and everything that is NON_COMPLIANT.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aws_sdk_config::types::{ComplianceType, ConfigRuleComplianceFilters};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate_engine::ports::{Inventory, Paged, RuleAt, Spoke};
use tidegate_events::fact::Fact;
use tidegate_events::host::SpokeFault;
use tidegate_events::id::{AccountId, Region, TargetKey};
use tokio::sync::Mutex;

use super::Inner;
use super::config::{fact, instance_in, keep_newest};
use super::directory::{Entry, Tree};
use super::fault::{Advice, Caller, Failure, Pages};

const SELECT: &str = "config:SelectAggregateResourceConfig";
const WHICH: &str = "config:DescribeAggregateComplianceByConfigRules";
const DETAILS: &str = "config:GetAggregateComplianceDetailsByConfigRule";

/// Lines of a page of details, and of a list of resources.
const PAGE: i32 = 100;
/// Rules of a page.
const WHICH_PAGE: i32 = 1000;
/// What is counted: every managed node, hybrid ones too.
const COUNTED: &str = "AWS::SSM::ManagedInstanceInventory";
/// What carries the tags.
const TAGGED: &str = "AWS::EC2::Instance";

/// Inventories by tag key, and when each was taken.
type Known = HashMap<Option<String>, (Arc<Inventory>, Timestamp)>;

/// The inventories of this process.
#[derive(Debug, Default)]
pub(crate) struct Inventories {
    known: Mutex<Known>,
}

impl Inventories {
    /// How many instances an account has by the last inventory, however old: it only chooses between two ways to ask.
    pub(crate) async fn nodes_of(&self, account: AccountId) -> Option<u64> {
        self.known.lock().await.values().find_map(|(inventory, _)| inventory.by_account.get(&account).copied())
    }
}

fn no_aggregator() -> SpokeFault {
    SpokeFault::NoAnswer("no Config aggregator is set: name the hub's aggregator in the settings".to_owned())
}

/// What there is in active accounts. One caller reads, the others wait for it.
pub(super) async fn inventory(inner: &Inner, tag_key: Option<&str>) -> Result<Arc<Inventory>, SpokeFault> {
    let fresh = SignedDuration::from_secs(i64::from(inner.settings.directory_secs));
    let key = tag_key.map(str::to_owned);
    let mut known = inner.inventories.known.lock().await;
    if let Some((inventory, at)) = known.get(&key)
        && inner.hub.now().duration_since(*at) < fresh
    {
        return Ok(Arc::clone(inventory));
    }
    let aggregator = inner.settings.aggregator.as_deref().ok_or_else(no_aggregator)?;
    let tree = inner.directory.tree().await?;
    let inventory = Arc::new(count(inner, aggregator, &tree, tag_key).await.map_err(Failure::in_hub)?);
    known.insert(key, (Arc::clone(&inventory), inner.hub.now()));
    Ok(inventory)
}

/// Open accounts, each in every Region that is looked into. Without an aggregator only the settings and the hub name Regions.
pub(super) async fn spokes(inner: &Inner) -> Result<Vec<Spoke>, SpokeFault> {
    let mut regions: BTreeSet<Region> = inner.settings.regions.iter().chain(inner.hub.region()).cloned().collect();
    if inner.settings.aggregator.is_some() {
        regions.extend(inventory(inner, None).await?.by_region.keys().cloned());
    }
    let tree = inner.directory.tree().await?;
    let accounts = tree.accounts.keys().filter(|account| is_open(&tree, **account));
    Ok(accounts.flat_map(|account| regions.iter().map(|region| Spoke { account: *account, region: region.clone() })).collect())
}

fn is_open(tree: &Tree, account: AccountId) -> bool {
    tree.accounts.get(&account).is_some_and(|listed| listed.entry == Entry::Open)
}

async fn count(inner: &Inner, aggregator: &str, tree: &Tree, tag_key: Option<&str>) -> Result<Inventory, Failure> {
    let mut inventory = Inventory { ous: tree.accounts.iter().map(|(account, listed)| (*account, listed.ous.clone())).collect(), ..Inventory::default() };
    let counts = format!("SELECT accountId, awsRegion, COUNT(*) WHERE resourceType = '{COUNTED}' GROUP BY accountId, awsRegion");
    // Without a limit a page has 500 groups; no limit above 100 can be asked for.
    for row in select(inner, aggregator, &counts, None).await? {
        let (account, region) = place(&row)?;
        let nodes = row.get("COUNT(*)").and_then(number).ok_or_else(|| Failure::unreadable(SELECT, "a row without a count"))?;
        if is_open(tree, account) {
            inventory.total = inventory.total.saturating_add(nodes);
            add(&mut inventory.by_account, account, nodes);
            add(&mut inventory.by_region, region, nodes);
        }
    }
    if let Some(key) = tag_key {
        // Config can't group by a value within a list: the tagged instances are listed and counted here.
        let tagged = format!("SELECT accountId, awsRegion, resourceId, tags WHERE resourceType = '{TAGGED}' AND tags.key = '{}'", key.replace('\'', "''"));
        for row in select(inner, aggregator, &tagged, Some(PAGE)).await? {
            let (account, region) = place(&row)?;
            let value = row.get("tags").and_then(Value::as_array).into_iter().flatten().find(|tag| tag.get("key").and_then(Value::as_str) == Some(key));
            if let Some(value) = value.and_then(|tag| tag.get("value")).and_then(Value::as_str).filter(|_| is_open(tree, account)) {
                inventory.add_tagged(account, &region, value, 1);
            }
        }
    }
    Ok(inventory)
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, more: u64) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(more);
}

/// Counts come as numbers; in some copies of the documentation as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn place(row: &Value) -> Result<(AccountId, Region), Failure> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    match (text("accountId").parse(), text("awsRegion").parse()) {
        (Ok(account), Ok(region)) => Ok((account, region)),
        _ => Err(Failure::unreadable(SELECT, "a row without an account or Region")),
    }
}

async fn select(inner: &Inner, aggregator: &str, expression: &str, limit: Option<i32>) -> Result<Vec<Value>, Failure> {
    let caller = Caller::hub(&inner.hub);
    let mut pages = Pages::of(SELECT);
    let mut rows = Vec::new();
    loop {
        let request = inner.hub.config().select_aggregate_resource_config().configuration_aggregator_name(aggregator).expression(expression);
        let page = caller.call(SELECT, request.set_limit(limit).set_next_token(pages.token()).send()).await?;
        for row in page.results() {
            rows.push(serde_json::from_str(row).map_err(|error| Failure::unreadable(SELECT, &error.to_string()))?);
        }
        if !pages.turn(page.next_token())? {
            return Ok(rows);
        }
    }
}

/// The next page, where there is one. A page that names itself as the next would be read for ever.
fn turned(operation: &'static str, asked: Option<&str>, next: Option<&str>) -> Result<Option<String>, Failure> {
    let next = next.filter(|token| !token.is_empty());
    if next.is_some() && next == asked {
        return Err(Failure::unreadable(operation, "a page that is followed by itself"));
    }
    Ok(next.map(str::to_owned))
}

/// A page of the rules of the catalog that have findings in active accounts, and where.
pub(super) async fn rules_with_findings(inner: &Inner, next: Option<&str>) -> Result<Paged<RuleAt>, SpokeFault> {
    let aggregator = inner.settings.aggregator.as_deref().ok_or_else(no_aggregator)?;
    let tree = inner.directory.tree().await?;
    let mut page = which(inner, aggregator, next).await.map_err(Failure::in_hub)?;
    page.items.retain(|at| is_open(&tree, at.spoke.account));
    Ok(page)
}

async fn which(inner: &Inner, aggregator: &str, next: Option<&str>) -> Result<Paged<RuleAt>, Failure> {
    let caller = Caller::hub(&inner.hub);
    let filter = ConfigRuleComplianceFilters::builder().compliance_type(ComplianceType::NonCompliant).build();
    let request = inner.hub.config().describe_aggregate_compliance_by_config_rules().configuration_aggregator_name(aggregator);
    let request = request.filters(filter).limit(WHICH_PAGE).set_next_token(next.map(str::to_owned));
    let page = caller.call(WHICH, request.send()).await?;
    let mut items = Vec::new();
    for line in page.aggregate_compliance_by_config_rules() {
        let rule = line.config_rule_name().unwrap_or_default();
        if !inner.settings.entry.is_rule(rule) {
            continue;
        }
        match (line.account_id().unwrap_or_default().parse(), line.aws_region().unwrap_or_default().parse()) {
            (Ok(account), Ok(region)) => items.push(RuleAt { rule: rule.to_owned(), spoke: Spoke { account, region } }),
            _ => return Err(Failure::unreadable(WHICH, "a rule without an account or Region")),
        }
    }
    Ok(Paged { items, next: turned(WHICH, next, page.next_token())? })
}

/// A page of one rule's findings in one account and Region.
pub(super) async fn findings(inner: &Inner, at: &RuleAt, next: Option<&str>) -> Result<Paged<(TargetKey, Fact)>, SpokeFault> {
    let aggregator = inner.settings.aggregator.as_deref().ok_or_else(no_aggregator)?;
    match details(inner, aggregator, at, next).await {
        Ok(page) => Ok(page),
        // One rule that Config does not take is left out, loudly; it is asked again with the next sweep.
        Err(failure) if failure.advice() == Advice::Alarm => {
            let (account, region) = (at.spoke.account, &at.spoke.region);
            tracing::error!(%account, %region, rule = at.rule, "ERROR a rule is left out of the sweep: {failure}");
            Ok(Paged { items: Vec::new(), next: None })
        }
        Err(failure) => Err(failure.in_hub()),
    }
}

/// A page may be empty and still have a next one.
async fn details(inner: &Inner, aggregator: &str, at: &RuleAt, next: Option<&str>) -> Result<Paged<(TargetKey, Fact)>, Failure> {
    let (account, region) = (at.spoke.account, &at.spoke.region);
    let caller = Caller::hub(&inner.hub);
    let request = inner.hub.config().get_aggregate_compliance_details_by_config_rule().configuration_aggregator_name(aggregator);
    let request = request.config_rule_name(&at.rule).account_id(account.to_string()).aws_region(region.as_str());
    let request = request.compliance_type(ComplianceType::NonCompliant).limit(PAGE).set_next_token(next.map(str::to_owned));
    let page = caller.call(DETAILS, request.send()).await?;
    // A resource may stand on a page more than once, as rules judge it by several types: its newest statement counts.
    let mut found = BTreeMap::new();
    for line in page.aggregate_evaluation_results() {
        let said = fact(&inner.settings.entry, DETAILS, line.evaluation_result_identifier(), line.compliance_type(), line.result_recorded_time())?;
        if let Some((instance, fact)) = said.and_then(|(_, resource, fact)| Some((instance_in(&resource)?, fact))) {
            keep_newest(&mut found, TargetKey { account, region: region.clone(), instance }, fact);
        }
    }
    Ok(Paged { items: found.into_iter().collect(), next: turned(DETAILS, next, page.next_token())? })
}

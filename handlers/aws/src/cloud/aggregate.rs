//! The Config aggregator in the hub: how many instances there are, and everything that is NON_COMPLIANT.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aws_sdk_config::types::{ComplianceType, ConfigRuleComplianceFilters};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate_engine::ports::Inventory;
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
            let (account, _) = place(&row)?;
            let value = row.get("tags").and_then(Value::as_array).into_iter().flatten().find(|tag| tag.get("key").and_then(Value::as_str) == Some(key));
            if let Some(value) = value.and_then(|tag| tag.get("value")).and_then(Value::as_str).filter(|_| is_open(tree, account)) {
                add(&mut inventory.by_tag, value.to_owned(), 1);
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

/// Everything that a rule of the catalog calls NON_COMPLIANT in an active account, each with its newest statement.
pub(super) async fn non_compliant(inner: &Inner) -> Result<Vec<(TargetKey, Fact)>, SpokeFault> {
    let aggregator = inner.settings.aggregator.as_deref().ok_or_else(no_aggregator)?;
    let tree = inner.directory.tree().await?;
    let mut found = BTreeMap::new();
    for (rule, account, region) in which(inner, aggregator).await.map_err(Failure::in_hub)? {
        if !is_open(&tree, account) {
            continue;
        }
        match details(inner, aggregator, &rule, account, &region).await {
            Ok(facts) => {
                for (target, fact) in facts {
                    keep_newest(&mut found, target, fact);
                }
            }
            // One rule that Config does not take must not hide the findings of all others; the next sweep asks again.
            Err(failure) if failure.advice() == Advice::Alarm => tracing::error!(%account, %region, rule, "ERROR a rule is left out of the sweep: {failure}"),
            Err(failure) => return Err(failure.in_hub()),
        }
    }
    Ok(found.into_iter().collect())
}

/// Rules of the catalog with findings, and where.
async fn which(inner: &Inner, aggregator: &str) -> Result<BTreeSet<(String, AccountId, Region)>, Failure> {
    let caller = Caller::hub(&inner.hub);
    let filter = ConfigRuleComplianceFilters::builder().compliance_type(ComplianceType::NonCompliant).build();
    let mut pages = Pages::of(WHICH);
    let mut rules = BTreeSet::new();
    loop {
        let request = inner.hub.config().describe_aggregate_compliance_by_config_rules().configuration_aggregator_name(aggregator);
        let request = request.filters(filter.clone()).limit(WHICH_PAGE).set_next_token(pages.token());
        let page = caller.call(WHICH, request.send()).await?;
        for line in page.aggregate_compliance_by_config_rules() {
            let rule = line.config_rule_name().unwrap_or_default();
            if !inner.settings.entry.is_rule(rule) {
                continue;
            }
            match (line.account_id().unwrap_or_default().parse(), line.aws_region().unwrap_or_default().parse()) {
                (Ok(account), Ok(region)) => {
                    rules.insert((rule.to_owned(), account, region));
                }
                _ => return Err(Failure::unreadable(WHICH, "a rule without an account or Region")),
            }
        }
        if !pages.turn(page.next_token())? {
            return Ok(rules);
        }
    }
}

/// One rule's findings in one account and Region. A page may be empty and still have a next one.
async fn details(inner: &Inner, aggregator: &str, rule: &str, account: AccountId, region: &Region) -> Result<Vec<(TargetKey, Fact)>, Failure> {
    let caller = Caller::hub(&inner.hub);
    let mut pages = Pages::of(DETAILS);
    let mut found = Vec::new();
    loop {
        let request = inner.hub.config().get_aggregate_compliance_details_by_config_rule().configuration_aggregator_name(aggregator);
        let request = request.config_rule_name(rule).account_id(account.to_string()).aws_region(region.as_str());
        let request = request.compliance_type(ComplianceType::NonCompliant).limit(PAGE).set_next_token(pages.token());
        let page = caller.call(DETAILS, request.send()).await?;
        for line in page.aggregate_evaluation_results() {
            let said = fact(&inner.settings.entry, DETAILS, line.evaluation_result_identifier(), line.compliance_type(), line.result_recorded_time())?;
            if let Some((instance, fact)) = said.and_then(|(_, resource, fact)| Some((instance_in(&resource)?, fact))) {
                found.push((TargetKey { account, region: region.clone(), instance }, fact));
            }
        }
        if !pages.turn(page.next_token())? {
            return Ok(found);
        }
    }
}

//! The world as the engine calls it: every call enters the account, is counted, may fail on the way, and is answered at once.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_engine::ports::{AutomationRequest, CalendarSeen, Cloud, CommandSeen, Inventory, Paged, RuleAt, SendRequest, Spoke};
use tidegate_events::action::Notice;
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Fact, Invocation, PatchState};
use tidegate_events::health::AlarmSeen;
use tidegate_events::host::{Host, SpokeFault};
use tidegate_events::id::{CommandId, InstanceId, Region, TargetKey};
use tidegate_events::mirror::{ExceptionNote, ExceptionOutcome, Exceptions};
use tidegate_events::patch::Lacking;

use crate::clock::{HOUR, ms, secs, time};
use crate::exception::ExceptionSaid;
use crate::log::Call;
use crate::ssm::IDS_MAX;
use crate::state::{State, usize_of};
use crate::world::{Inner, World};

/// Lines of a page of the aggregator's: of rules, and of findings.
const RULES_MAX: usize = 1_000;
const FINDINGS_MAX: usize = 100;

/// Pages of an answer; an empty answer is one page too.
fn pages(items: usize, per_page: usize) -> usize {
    items.div_ceil(per_page).max(1)
}

fn first(instances: &[InstanceId]) -> &str {
    instances.first().map(InstanceId::as_str).unwrap_or_default()
}

impl Cloud for World {
    /// Counts instances of active accounts, as the aggregator has them. Asked at most once an hour; the cached answer is given
    /// between.
    async fn inventory(&self, tag_key: Option<&str>) -> Result<Arc<Inventory>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        let fresh = |at: &i64| state.now < *at + HOUR;
        let key = tag_key.map(str::to_owned);
        if let Some((_, inventory)) = calls.inventories.get(&key).filter(|(at, _)| fresh(at)) {
            return Ok(Arc::clone(inventory));
        }
        if !calls.inventory_at.as_ref().is_some_and(fresh) {
            calls.read_hub(state, "organizations:ListAccounts", "")?;
            calls.read_hub(state, "config:SelectAggregateResourceConfig", "")?;
            calls.count_hub("organizations:ListAccounts", pages(state.accounts.len(), 20) - 1);
            calls.count_hub("config:SelectAggregateResourceConfig", pages(state.hosts.len(), 100) - 1);
            calls.inventory_at = Some(state.now);
        }
        let inventory = Arc::new(count(state, tag_key));
        calls.inventories.insert(key, (state.now, Arc::clone(&inventory)));
        Ok(inventory)
    }

    async fn describe(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<Host>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "ssm:DescribeInstanceInformation", pages(instances.len(), IDS_MAX), first(instances))?;
        Ok(state.describe(spoke, instances))
    }

    /// Active accounts in every Region where any of them has an instance.
    async fn spokes(&self) -> Result<Vec<Spoke>, SpokeFault> {
        let regions: Vec<Region> = self.inventory(None).await?.by_region.keys().cloned().collect();
        let guard = self.inner();
        let accounts = guard.state.accounts.keys().filter(|account| guard.state.is_active(**account));
        Ok(accounts.flat_map(|account| regions.iter().map(|region| Spoke { account: *account, region: region.clone() })).collect())
    }

    async fn managed_nodes(&self, spoke: &Spoke, next: Option<&str>, tags: bool) -> Result<Paged<Host>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "ssm:DescribeInstanceInformation", 1, next.unwrap_or_default())?;
        let page = state.managed_nodes(spoke, next, tags);
        if tags {
            calls.count(spoke, "tag:GetResources", usize::from(!page.items.is_empty()));
        }
        Ok(page)
    }

    async fn send(&self, request: &SendRequest) -> SendOutcome {
        let mut guard = self.inner();
        let inner = &mut *guard;
        if let Err(fault) = inner.calls.enter(&inner.state, request.spoke.account) {
            return SendOutcome::Denied { why: fault.to_string() };
        }
        inner.calls.count(&request.spoke, "ssm:SendCommand", 1);
        inner.send(request, None)
    }

    async fn list_commands(&self, spoke: &Spoke, document: &str, after: Timestamp, before: Timestamp) -> Result<Vec<CommandSeen>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        let seen = state.list_commands(spoke, document, after, before);
        calls.read(state, spoke, "ssm:ListCommands", pages(seen.len(), 50), document)?;
        Ok(seen)
    }

    async fn invocations(&self, spoke: &Spoke, command: &CommandId) -> Result<Vec<Invocation>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "ssm:ListCommandInvocations", 1, command.as_str())?;
        Ok(state.invocations(spoke, command))
    }

    async fn cancel(&self, spoke: &Spoke, command: &CommandId, instances: &[InstanceId]) -> Result<(), SpokeFault> {
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.calls.read(&inner.state, spoke, "ssm:CancelCommand", 1, command.as_str())?;
        if instances.is_empty() {
            return Ok(());
        }
        inner.cancel(spoke, command, instances).map(drop).map_err(SpokeFault::NoAnswer)
    }

    async fn start_automation(&self, request: &AutomationRequest) -> SendOutcome {
        let mut guard = self.inner();
        let inner = &mut *guard;
        if let Err(fault) = inner.calls.enter(&inner.state, request.spoke.account) {
            return SendOutcome::Denied { why: fault.to_string() };
        }
        inner.calls.count(&request.spoke, "ssm:StartAutomationExecution", 1);
        inner.start(request)
    }

    async fn list_executions(&self, spoke: &Spoke, document: &str, after: Timestamp, before: Timestamp) -> Result<Vec<CommandSeen>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        let seen = state.list_executions(spoke, document, after, before);
        calls.read(state, spoke, "ssm:DescribeAutomationExecutions", pages(seen.len(), 50), document)?;
        Ok(seen)
    }

    async fn execution(&self, spoke: &Spoke, execution: &CommandId) -> Result<Vec<Invocation>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "ssm:GetAutomationExecution", 1, execution.as_str())?;
        calls.read(state, spoke, "ssm:DescribeAutomationExecutions", 1, execution.as_str())?;
        Ok(state.execution_lines(spoke, execution))
    }

    async fn stop_automation(&self, spoke: &Spoke, execution: &CommandId) -> Result<(), SpokeFault> {
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.calls.read(&inner.state, spoke, "ssm:StopAutomationExecution", 1, execution.as_str())?;
        inner.stop(spoke, execution).map(drop).map_err(SpokeFault::NoAnswer)
    }

    async fn patch_states(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<PatchState>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "ssm:DescribeInstancePatchStates", pages(instances.len(), IDS_MAX), first(instances))?;
        Ok(state.patch_states(spoke, instances))
    }

    async fn missing_patches(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<Lacking>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "ssm:DescribeInstancePatches", instances.len(), first(instances))?;
        Ok(instances.iter().map(|instance| Lacking { instance: instance.clone(), missing: state.missing_patches(spoke, instance) }).collect())
    }

    /// Takes any rule names: all rules of an account judge the same items here. A second call within a minute is AWS's
    /// `LimitExceededException`: taken, and without effect (aws-facts 1.6).
    async fn start_evaluation(&self, spoke: &Spoke, rules: &[String]) -> Result<(), SpokeFault> {
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.calls.read(&inner.state, spoke, "config:StartConfigRulesEvaluation", 1, "")?;
        if rules.len() > 25 {
            return Err(SpokeFault::NoAnswer("ValidationException: more than 25 rules".to_owned()));
        }
        inner.reevaluate(spoke).map(drop).map_err(SpokeFault::NoAnswer)
    }

    /// Counted by rule or by resource, whichever takes fewer calls.
    async fn compliance(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<(InstanceId, Option<Fact>)>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        let by_rule = pages(state.spoke(spoke).map_or(0, |spoke| spoke.hosts.len()), 100);
        let (call, times) = if instances.len() <= by_rule {
            ("config:GetComplianceDetailsByResource", instances.len())
        } else {
            ("config:GetComplianceDetailsByConfigRule", by_rule)
        };
        calls.read(state, spoke, call, times, first(instances))?;
        let fact = |instance: &InstanceId| {
            let host = state.find_in(spoke, instance)?;
            Some(state.fact(host, host.verdict?))
        };
        Ok(instances.iter().map(|instance| (instance.clone(), fact(instance))).collect())
    }

    /// One call says which accounts and Regions have findings, then one chain of calls for each of them (aws-facts 4). The aggregator
    /// is minutes behind, and shows active accounts only.
    async fn rules_with_findings(&self, next: Option<&str>) -> Result<Paged<RuleAt>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read_hub(state, "config:DescribeAggregateComplianceByConfigRules", next.unwrap_or_default())?;
        let places: BTreeSet<u32> = state.aggregate.keys().filter_map(|at| Some(state.host(*at)?.spoke)).collect();
        let spokes = places.into_iter().filter_map(|at| Some(&state.spokes.get(usize_of(at))?.spoke));
        let mut rules: Vec<RuleAt> = spokes
            .filter(|spoke| state.is_active(spoke.account))
            .map(|spoke| RuleAt { rule: state.rule_of(spoke.account).to_owned(), spoke: spoke.clone() })
            .collect();
        rules.sort();
        let at: usize = next.and_then(|next| next.parse().ok()).unwrap_or_default();
        let more = rules.len() > at.saturating_add(RULES_MAX);
        Ok(Paged { items: rules.into_iter().skip(at).take(RULES_MAX).collect(), next: more.then(|| at.saturating_add(RULES_MAX).to_string()) })
    }

    async fn findings(&self, at: &RuleAt, next: Option<&str>) -> Result<Paged<(TargetKey, Fact)>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read_hub(state, "config:GetAggregateComplianceDetailsByConfigRule", &format!("{}/{}/{next:?}", at.spoke.account, at.spoke.region))?;
        if !state.is_active(at.spoke.account) || state.rule_of(at.spoke.account) != at.rule {
            return Ok(Paged { items: Vec::new(), next: None });
        }
        let mut items = state.listed(&at.spoke, next, FINDINGS_MAX + 1);
        let more = items.len() > FINDINGS_MAX;
        items.truncate(FINDINGS_MAX);
        let next = items.last().filter(|_| more).map(|(key, _)| key.instance.as_str().to_owned());
        Ok(Paged { items, next })
    }

    async fn calendar(&self, calendar: &str) -> Result<CalendarSeen, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read_hub(state, "ssm:GetCalendarState", calendar)?;
        state.calendar(calendar).ok_or_else(|| SpokeFault::NoAnswer(format!("InvalidDocument: no calendar `{calendar}`")))
    }

    async fn alarms(&self, names: &[String]) -> Result<Vec<AlarmSeen>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read_hub(state, "cloudwatch:DescribeAlarms", "")?;
        if state.alarms_denied {
            return Err(SpokeFault::NoAnswer("cloudwatch:DescribeAlarms: AccessDenied (HTTP 403)".to_owned()));
        }
        Ok(state.alarms(names).into_iter().map(|(seen, _)| seen).collect())
    }

    async fn notify(&self, _notice: &Notice) -> Result<(), SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read_hub(state, "sns:Publish", "")
    }

    async fn put_exceptions(&self, spoke: &Spoke, on: &Exceptions, note: &ExceptionNote) -> ExceptionOutcome {
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.calls.read(&inner.state, spoke, "config:PutRemediationExceptions", 1, &on.rule)?;
        inner.state.may_except(spoke, "config:PutRemediationExceptions")?;
        let said = ExceptionSaid { message: Some(note.message.clone()), until: Some(ms(note.until)) };
        let failed = inner.put_exceptions(spoke, &on.rule, &on.instances, &said).map_err(SpokeFault::NoAnswer)?;
        Ok(failed.into_iter().map(|(instance, why)| (instance, why.to_owned())).collect())
    }

    async fn remove_exceptions(&self, spoke: &Spoke, on: &Exceptions) -> ExceptionOutcome {
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.calls.read(&inner.state, spoke, "config:DeleteRemediationExceptions", 1, &on.rule)?;
        inner.state.may_except(spoke, "config:DeleteRemediationExceptions")?;
        inner.remove_exceptions(spoke, &on.rule, &on.instances).map(|_| Vec::new()).map_err(SpokeFault::NoAnswer)
    }
}

/// The calls that change something, as every way of calling makes them.
impl Inner {
    /// SendCommand: refused without a trace, or written down, accepted and answered, if the answer is not lost. Without
    /// `max_errors` any number of errors is borne.
    pub fn send(&mut self, request: &SendRequest, max_errors: Option<u32>) -> SendOutcome {
        if let Some(refusal) = self.state.refusal(request) {
            return refusal;
        }
        let strikes = |rate, what| self.state.strikes(rate, self.state.draw_send(what, request));
        if strikes(self.state.faults.send_lost, "send lost") {
            return SendOutcome::Ambiguous { why: "ssm:SendCommand: connection reset before the request was sent".to_owned() };
        }
        let answered = !strikes(self.state.faults.send_answer_lost, "send answer lost");
        if let Err(why) = self.write(Call::Sent { request: Cow::Borrowed(request), answered, max_errors }) {
            return SendOutcome::Ambiguous { why };
        }
        match self.state.accept(request, answered, max_errors) {
            Some(record) if answered => SendOutcome::Accepted { command: record.command.clone(), expires_at: record.expires_at },
            Some(_) => SendOutcome::Ambiguous { why: "ssm:SendCommand: no answer within the time-out".to_owned() },
            None => SendOutcome::Ambiguous { why: "ssm:SendCommand: InternalServerError".to_owned() },
        }
    }

    /// StartAutomationExecution: refused without a trace, or started once for each token, and answered, if the answer is not lost.
    pub fn start(&mut self, request: &AutomationRequest) -> SendOutcome {
        if let Some(refusal) = self.state.start_refusal(request) {
            return refusal;
        }
        let expires_at = time(ms(request.signed_at).saturating_add(secs(u64::from(request.timeout_secs))));
        if let Some(known) = self.state.started_under(request) {
            return SendOutcome::Accepted { command: known.execution.clone(), expires_at };
        }
        let strikes = |rate, what| self.state.strikes(rate, self.state.draw_start(what, request));
        if strikes(self.state.faults.send_lost, "start lost") {
            return SendOutcome::Ambiguous { why: "ssm:StartAutomationExecution: connection reset before the request was sent".to_owned() };
        }
        let answered = !strikes(self.state.faults.send_answer_lost, "start answer lost");
        if let Err(why) = self.write(Call::Started { request: Cow::Borrowed(request), answered }) {
            return SendOutcome::Ambiguous { why };
        }
        match self.state.start(request, answered) {
            Some(record) if answered => SendOutcome::Accepted { command: record.execution.clone(), expires_at },
            Some(_) => SendOutcome::Ambiguous { why: "ssm:StartAutomationExecution: no answer within the time-out".to_owned() },
            None => SendOutcome::Ambiguous { why: "ssm:StartAutomationExecution: InternalServerError".to_owned() },
        }
    }

    /// StopAutomationExecution: whether there is such an execution. `Err` where the world's log can't be written.
    pub fn stop(&mut self, spoke: &Spoke, execution: &CommandId) -> Result<bool, String> {
        let Some(at) = self.state.execution_in(spoke, execution) else { return Ok(false) };
        self.write(Call::Stopped { spoke: Cow::Borrowed(spoke), execution: Cow::Borrowed(execution) })?;
        self.state.stop_execution(at);
        Ok(true)
    }

    /// CancelCommand for these instances, or for all: whether there is such a command. `Err` where the world's log can't be written.
    pub fn cancel(&mut self, spoke: &Spoke, command: &CommandId, instances: &[InstanceId]) -> Result<bool, String> {
        let Some(at) = self.state.command_in(spoke, command) else { return Ok(false) };
        self.write(Call::Cancelled { spoke: Cow::Borrowed(spoke), command: Cow::Borrowed(command), instances: Cow::Borrowed(instances) })?;
        self.state.cancel(at, instances);
        Ok(true)
    }

    /// StartConfigRulesEvaluation: whether it does anything now. `Err` where the world's log can't be written.
    pub fn reevaluate(&mut self, spoke: &Spoke) -> Result<bool, String> {
        let Some(at) = self.state.spoke_of.get(spoke).copied().filter(|at| self.state.may_reevaluate(*at)) else { return Ok(false) };
        self.write(Call::Evaluated { spoke: Cow::Borrowed(spoke) })?;
        self.state.reevaluate(at);
        Ok(true)
    }
}

/// Counts what there is.
fn count(state: &State, tag_key: Option<&str>) -> Inventory {
    let mut inventory = Inventory { ous: state.accounts.values().map(|account| (account.id, account.ous.clone())).collect(), ..Inventory::default() };
    let active: BTreeSet<_> = state.accounts.keys().filter(|account| state.is_active(**account)).collect();
    for host in state.hosts.iter().filter(|host| !host.terminated && active.contains(&host.key.account)) {
        inventory.total += 1;
        *inventory.by_account.entry(host.key.account).or_default() += 1;
        if let Some(seen) = inventory.by_region.get_mut(&host.key.region) {
            *seen += 1;
        } else {
            inventory.by_region.insert(host.key.region.clone(), 1);
        }
        if let Some(value) = tag_key.and_then(|key| host.tags.get(key)) {
            inventory.add_tagged(host.key.account, &host.key.region, value, 1);
        }
    }
    inventory
}

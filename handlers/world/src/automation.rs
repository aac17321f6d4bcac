//! Systems Manager Automation: an execution over several targets, one child for each. The token of a start is remembered: the same
//! start again is the same execution, and another start under it is refused (SSM API model, `IdempotentParameterMismatch`).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_engine::ports::{AutomationRequest, CommandSeen, Spoke};
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Invocation, InvocationStatus as Status};
use tidegate_events::id::{CommandId, InstanceId};

use crate::agenda::Happening;
use crate::bus::News;
use crate::clock::{MINUTE, Ms, SECOND, ms, time};
use crate::draw::Draw;
use crate::host::Effect;
use crate::spec::Trouble;
use crate::ssm::IDS_MAX;
use crate::state::{State, spoke_id, usize_of};

/// How far a signature's time may be off.
const SKEW: Ms = 5 * MINUTE;

/// Runbooks of AWS that every world has; others are in the spec.
const RUNBOOKS: [&str; 1] = ["AWSSupport-ConfigureEC2Metadata"];

/// A StartAutomationExecution that was accepted, whether or not the caller learned of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRecord {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub spoke: Spoke,
    /// The execution that it became.
    pub execution: CommandId,
    /// The runbook.
    pub document: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// The parameter that takes the instance.
    pub target_parameter: String,
    /// The instances.
    pub instances: Vec<InstanceId>,
    /// Its `ClientToken`.
    pub token: String,
    /// Whether the caller got an answer to the first start.
    pub answered: bool,
}

/// One execution.
#[derive(Debug)]
pub(crate) struct Execution {
    pub record: Arc<StartRecord>,
    /// Identity as a number.
    pub id: u64,
    pub requested: Ms,
    /// From when on the lists show it.
    pub listed_from: Ms,
    pub children: Vec<Child>,
    pub stopped: bool,
    pub ended: Option<Ms>,
}

/// One target's part of it.
#[derive(Debug)]
pub(crate) struct Child {
    pub id: CommandId,
    pub instance: InstanceId,
    pub host: Option<u32>,
    pub status: Status,
    pub started: Ms,
    pub ended: Option<Ms>,
}

impl Execution {
    /// The status of the whole.
    pub fn status(&self) -> &'static str {
        let any = |status: Status| self.children.iter().any(|child| child.status == status);
        match self.ended {
            None => "InProgress",
            Some(_) if self.stopped => "Cancelled",
            Some(_) if any(Status::Failed) => "Failed",
            Some(_) => "Success",
        }
    }
}

/// The word of the API for a child.
pub(crate) fn word(status: Status) -> &'static str {
    match status {
        Status::Pending => "Pending",
        Status::InProgress => "InProgress",
        Status::Success => "Success",
        Status::Cancelled | Status::NeverRan => "Cancelled",
        Status::ExecutionTimedOut | Status::DeliveryTimedOut => "TimedOut",
        Status::Failed | Status::Undeliverable | Status::AccessDenied | Status::InvalidPlatform => "Failed",
    }
}

impl State {
    pub fn execution(&self, at: u32) -> Option<&Execution> {
        self.executions.get(usize_of(at))
    }

    /// Why StartAutomationExecution does not take this request, where it does not.
    pub fn start_refusal(&self, request: &AutomationRequest) -> Option<SendOutcome> {
        let refused = |why: String| Some(SendOutcome::Refused { why });
        if (self.now - ms(request.signed_at)).abs() > SKEW {
            return refused(format!("InvalidSignatureException: signature expired: {} is now {}", request.signed_at, time(self.now)));
        }
        if self.strikes(self.faults.send_throttled, self.draw_start("start throttled", request)) {
            return Some(SendOutcome::Throttled);
        }
        if !RUNBOOKS.contains(&request.document.as_str()) && !self.has_document(&request.document) {
            return refused(format!("AutomationDefinitionNotFoundException: `{}`", request.document));
        }
        if request.instances.is_empty() || request.instances.len() > IDS_MAX {
            return refused(format!("InvalidTarget: 1 to {IDS_MAX} targets, not {}", request.instances.len()));
        }
        if request.target_parameter.is_empty() || request.parameters.contains_key(&request.target_parameter) {
            return refused("InvalidAutomationExecutionParametersException: the target parameter is given by the targets alone".to_owned());
        }
        if request.token.len() != 36 {
            return refused("ValidationException: ClientToken is a UUID".to_owned());
        }
        match self.started_under(request) {
            Some(known) if !is_same(known, request) => refused("IdempotentParameterMismatch: another execution was started under this token".to_owned()),
            _ => None,
        }
    }

    /// A draw about one try to start.
    pub fn draw_start(&self, what: &str, request: &AutomationRequest) -> Draw {
        self.draw(what).on(spoke_id(&request.spoke)).text(&request.token).at(self.now)
    }

    /// The execution that this token has started already.
    pub fn started_under(&self, request: &AutomationRequest) -> Option<&StartRecord> {
        let spoke = *self.spoke_of.get(&request.spoke)?;
        let at = *self.tokens.get(&(spoke, request.token.clone()))?;
        self.execution(at).map(|execution| execution.record.as_ref())
    }

    /// StartAutomationExecution takes a request that nothing refuses, and whose token is new.
    pub fn start(&mut self, request: &AutomationRequest, answered: bool) -> Option<Arc<StartRecord>> {
        let now = self.now;
        let spoke = *self.spoke_of.get(&request.spoke)?;
        let number = u32::try_from(self.executions.len()).ok()?;
        let identity = self.draw("execution").on(spoke_id(&request.spoke)).text(&request.token);
        let execution: CommandId = identity.uuid().parse().ok()?;
        let record = Arc::new(StartRecord {
            at: time(now),
            spoke: request.spoke.clone(),
            execution: execution.clone(),
            document: request.document.clone(),
            parameters: request.parameters.clone(),
            target_parameter: request.target_parameter.clone(),
            instances: request.instances.clone(),
            token: request.token.clone(),
            answered,
        });
        let listed_from = now + self.pace(self.draw("execution listed").on(identity.value()).between(0, 5 * SECOND));
        let mut children = Vec::with_capacity(request.instances.len());
        for (n, instance) in (0_u64..).zip(&request.instances) {
            let draw = |what: &str| self.draw(what).on(identity.value()).on(n);
            let host = self.spoke(&request.spoke).and_then(|spoke| spoke.hosts.get(instance).copied());
            let takes = self.pace(draw("execution takes").between(10 * SECOND, 2 * MINUTE));
            let id: CommandId = draw("child execution").uuid().parse().ok()?;
            self.agenda.put(now + takes.max(1), Happening::Executed(number, u32::try_from(n).unwrap_or(u32::MAX)));
            children.push(Child { id, instance: instance.clone(), host, status: Status::InProgress, started: now, ended: None });
        }
        self.execution_of.insert(execution, number);
        self.tokens.insert((spoke, request.token.clone()), number);
        self.executions.push(Execution {
            record: Arc::clone(&record),
            id: identity.value(),
            requested: now,
            listed_from,
            children,
            stopped: false,
            ended: None,
        });
        self.post(News::Execution { execution: number, status: "InProgress" });
        Some(record)
    }

    /// A child has come to its end: what the runbook mends is mended, if it worked. A runbook of the customer's own that mends nothing
    /// backs the host up.
    pub fn executed(&mut self, at: u32, number: u32) {
        let Some(execution) = self.execution(at) else { return };
        let Some(child) = execution.children.get(usize_of(number)).filter(|child| !child.status.is_final()) else { return };
        let (place, document) = (child.host, &execution.record.document);
        let mends = self.mends(document);
        if !mends && self.has_document(document) {
            let host = place.and_then(|host| self.hosts.get_mut(usize_of(host))).filter(|host| !host.terminated);
            if host.as_ref().is_some_and(|host| host.has(Trouble::BackupHangs)) {
                return;
            }
            let works = host.is_some_and(|host| {
                host.backups = host.backups.saturating_add(1);
                !host.backup_fails(host.backups - 1)
            });
            self.end_child(at, number, if works { Status::Success } else { Status::Failed });
            return;
        }
        let host = place.and_then(|host| self.host(host)).filter(|host| !host.terminated);
        let (status, works) = match host.map(|host| host.effect(host.installs)) {
            None | Some(Effect::Fails | Effect::Partial) => (Status::Failed, false),
            Some(Effect::Works) => (Status::Success, true),
            Some(Effect::FalseSuccess) => (Status::Success, false),
            Some(Effect::FalseFailure) => (Status::Failed, true),
        };
        if let Some(place) = place {
            if let Some(host) = self.hosts.get_mut(usize_of(place)) {
                host.installs = host.installs.saturating_add(1);
                if works && mends {
                    host.missing = 0;
                }
            }
            self.changed(place);
        }
        self.end_child(at, number, status);
    }

    fn end_child(&mut self, at: u32, number: u32, status: Status) {
        let now = self.now;
        let Some(execution) = self.executions.get_mut(usize_of(at)) else { return };
        if let Some(child) = execution.children.get_mut(usize_of(number)) {
            (child.status, child.ended) = (status, Some(now));
        }
        self.end_execution(at);
    }

    /// StopAutomationExecution: what has not ended is cancelled.
    pub fn stop_execution(&mut self, at: u32) {
        let now = self.now;
        let Some(execution) = self.executions.get_mut(usize_of(at)).filter(|execution| execution.ended.is_none()) else { return };
        execution.stopped = true;
        for child in execution.children.iter_mut().filter(|child| !child.status.is_final()) {
            (child.status, child.ended) = (Status::Cancelled, Some(now));
        }
        self.end_execution(at);
    }

    fn end_execution(&mut self, at: u32) {
        let now = self.now;
        let Some(execution) = self.executions.get_mut(usize_of(at)).filter(|execution| execution.ended.is_none()) else { return };
        if execution.children.iter().all(|child| child.status.is_final()) {
            execution.ended = Some(now);
            let status = execution.status();
            self.post(News::Execution { execution: at, status });
        }
    }

    /// The place of an execution, where this spoke has it.
    pub fn execution_in(&self, spoke: &Spoke, execution: &CommandId) -> Option<u32> {
        let at = *self.execution_of.get(execution)?;
        self.execution(at).is_some_and(|found| found.record.spoke == *spoke).then_some(at)
    }

    /// Executions of a spoke that the lists show now, newest first.
    pub fn executions_listed(&self, spoke: &Spoke) -> impl Iterator<Item = &Execution> {
        self.executions.iter().rev().filter(move |execution| execution.record.spoke == *spoke && execution.listed_from <= self.now)
    }

    /// Executions of one runbook in a span of time, without children.
    pub fn list_executions(&self, spoke: &Spoke, document: &str, after: Timestamp, before: Timestamp) -> Vec<CommandSeen> {
        let within = |execution: &&Execution| execution.requested >= ms(after) && execution.requested <= ms(before) && execution.record.document == document;
        let seen = |execution: &Execution| CommandSeen {
            command: execution.record.execution.clone(),
            marker: String::new(),
            parameters: BTreeMap::new(),
            instances: execution.record.instances.clone(),
            requested_at: execution.record.at,
            expires_at: before,
        };
        self.executions_listed(spoke).filter(within).map(seen).collect()
    }

    /// How an execution stands on each of its targets.
    pub fn execution_lines(&self, spoke: &Spoke, execution: &CommandId) -> Vec<Invocation> {
        let found = self.execution_in(spoke, execution).and_then(|at| self.execution(at)).filter(|execution| execution.listed_from <= self.now);
        let line = |child: &Child| Invocation { instance: child.instance.clone(), status: child.status, ended_at: child.ended.map(time) };
        found.map(|execution| execution.children.iter().map(line).collect()).unwrap_or_default()
    }
}

/// Whether a start repeats another.
fn is_same(known: &StartRecord, request: &AutomationRequest) -> bool {
    known.document == request.document
        && known.parameters == request.parameters
        && known.target_parameter == request.target_parameter
        && known.instances == request.instances
}

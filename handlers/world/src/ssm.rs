//! The Systems Manager API: what SendCommand refuses, what it accepts, and what the reads show of it, and when.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_engine::ports::{CommandSeen, Paged, SendRequest, Spoke};
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Invocation, Operation, PatchState};
use tidegate_events::host::{Host as Seen, Ping};
use tidegate_events::id::{CommandId, InstanceId, SnapshotId};
use tidegate_events::patch::MissingPatch;

use crate::clock::{DAY, MINUTE, Ms, SECOND, ms, secs, time};
use crate::command::{Command, SendRecord, Slot};
use crate::patch;
use crate::state::{State, usize_of};
use crate::wire;

/// `InstanceIds` of one command (aws-facts 3.2).
pub(crate) const IDS_MAX: usize = 50;
/// SendCommand of one account and Region: so many a second, and so many at once. AWS publishes no numbers (aws-facts 4).
const SENDS_PER_SEC: i64 = 3;
const SENDS_AT_ONCE: i64 = 10;
/// How long command history is kept (aws-facts 3.3).
const KEPT: Ms = 30 * DAY;
/// How far a signature's time may be off.
const SKEW: Ms = 5 * MINUTE;

/// The documents of AWS that every world has, those about patches first; others are in the spec.
const PATCHES: [&str; 3] = ["AWS-RunPatchBaseline", HOOKS, "AWS-RunPatchBaselineAssociation"];
const HOOKS: &str = "AWS-RunPatchBaselineWithHooks";
const OTHERS: [&str; 1] = ["AWS-RefreshAssociation"];

/// What a request asks for, understood.
#[derive(Debug, Clone)]
struct Asked {
    patches: bool,
    operation: Operation,
    reboots: bool,
    snapshot: Option<SnapshotId>,
}

fn asked(request: &SendRequest) -> Result<Asked, String> {
    let one = |key: &str| request.parameters.get(key).map(Vec::as_slice);
    let ours = PATCHES.contains(&request.document.as_str());
    if !ours && one("Operation").is_none() {
        return Ok(Asked { patches: false, operation: Operation::Install, reboots: false, snapshot: None });
    }
    for key in request.parameters.keys().filter(|_| ours) {
        let known = ["Operation", "RebootOption", "SnapshotId", "InstallOverrideList", "BaselineOverride", "AssociationId", "BaselineTags"];
        let is_hook = key.ends_with("HookDocName") && request.document == HOOKS;
        if !known.contains(&key.as_str()) && !is_hook {
            return Err(format!("InvalidParameters: `{key}` is not a parameter of {}", request.document));
        }
    }
    let operation = match one("Operation") {
        Some([word]) if word == "Scan" => Operation::Scan,
        Some([word]) if word == "Install" => Operation::Install,
        other => return Err(format!("InvalidParameters: Operation is `Scan` or `Install`, not {other:?}")),
    };
    let reboots = match one("RebootOption") {
        None => true,
        Some([word]) if word == "RebootIfNeeded" => true,
        Some([word]) if word == "NoReboot" => false,
        other => return Err(format!("InvalidParameters: RebootOption is `RebootIfNeeded` or `NoReboot`, not {other:?}")),
    };
    let snapshot = match one("SnapshotId") {
        None => None,
        Some([word]) if word.is_empty() => None,
        Some([word]) => Some(word.parse().map_err(|_| format!("InvalidParameters: SnapshotId `{word}` is not a UUID"))?),
        other => return Err(format!("InvalidParameters: SnapshotId is one UUID, not {other:?}")),
    };
    Ok(Asked { patches: true, operation, reboots, snapshot })
}

impl State {
    /// Why SendCommand does not take this request, where it does not. A refusal leaves no trace.
    pub fn refusal(&self, request: &SendRequest) -> Option<SendOutcome> {
        let refused = |why: String| Some(SendOutcome::Refused { why });
        if (self.now - ms(request.signed_at)).abs() > SKEW {
            return refused(format!("InvalidSignatureException: signature expired: {} is now {}", request.signed_at, time(self.now)));
        }
        // More than fifty ids came back as throttling, not as a validation error (aws-facts 3.2).
        if request.instances.len() > IDS_MAX || self.is_throttled(request) {
            return Some(SendOutcome::Throttled);
        }
        let document = request.document.as_str();
        if !PATCHES.contains(&document) && !OTHERS.contains(&document) && !self.has_document(document) {
            return refused(format!("InvalidDocument: `{}`", request.document));
        }
        if let Err(why) = asked(request) {
            return refused(why);
        }
        if request.marker.chars().count() > 100 {
            return refused("ValidationException: Comment has more than 100 characters".to_owned());
        }
        if !(30..=2_592_000).contains(&request.timeout_secs) {
            return refused(format!("ValidationException: TimeoutSeconds is 30 to 2592000, not {}", request.timeout_secs));
        }
        if request.max_concurrency == 0 || request.instances.is_empty() {
            return refused("ValidationException: MaxConcurrency and InstanceIds are 1 at least".to_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = request.instances.iter().find(|instance| !seen.insert(*instance)) {
            return refused(format!("DuplicateInstanceId: {twice}"));
        }
        // One id that is no managed node of this account and Region fails the whole call (aws-facts 3.2).
        let is_valid = |instance: &InstanceId| self.find_in(&request.spoke, instance).is_some_and(crate::host::Host::is_registered);
        let named: Vec<InstanceId> = request.instances.iter().filter(|instance| !is_valid(instance)).cloned().collect();
        if named.is_empty() {
            return None;
        }
        let unnamed = self.strikes(self.faults.invalid_unnamed, self.draw_send("invalid unnamed", request));
        Some(SendOutcome::InvalidInstances { named: if unnamed { Vec::new() } else { named } })
    }

    /// A draw about one try to send.
    pub fn draw_send(&self, what: &str, request: &SendRequest) -> crate::draw::Draw {
        self.draw(what).on(crate::state::spoke_id(&request.spoke)).text(&request.marker).at(self.now)
    }

    fn is_throttled(&self, request: &SendRequest) -> bool {
        let empty = self.spoke(&request.spoke).is_some_and(|spoke| tokens(spoke.tokens, self.now) < 1_000);
        empty || self.strikes(self.faults.send_throttled, self.draw_send("send throttled", request))
    }

    /// SendCommand takes a request that [`Self::refusal`] lets pass: there is a command, and nothing makes the same request the
    /// same command (aws-facts 3.2: no idempotency token). After more errors than `max_errors` nothing more of it is handed out.
    pub fn accept(&mut self, request: &SendRequest, answered: bool, max_errors: Option<u32>) -> Option<Arc<SendRecord>> {
        let now = self.now;
        let asked = asked(request).ok()?;
        let at = *self.spoke_of.get(&request.spoke)?;
        let number = u32::try_from(self.commands.len()).ok()?;
        let spoke = self.spokes.get_mut(usize_of(at))?;
        spoke.tokens = (tokens(spoke.tokens, now) - 1_000, now);
        let (spoke_id, nth) = (spoke.id, self.ledger.accepted(spoke.id, &request.marker));
        let hosts: Vec<u32> = request.instances.iter().filter_map(|instance| spoke.hosts.get(instance).copied()).collect();
        spoke.commands.push(number);
        let identity = self.draw("command").on(spoke_id).text(&request.marker).on(nth);
        let command: CommandId = identity.uuid().parse().ok()?;
        let (delivery, execution) = (secs(u64::from(request.timeout_secs)), secs(u64::from(request.execution_timeout_secs)));
        let expires = now.saturating_add(delivery).saturating_add(execution);
        let record = Arc::new(SendRecord {
            at: time(now),
            spoke: request.spoke.clone(),
            marker: request.marker.clone(),
            command: command.clone(),
            document: request.document.clone(),
            parameters: request.parameters.clone(),
            patches: asked.patches,
            operation: asked.operation,
            reboots: asked.reboots,
            snapshot: asked.snapshot,
            instances: request.instances.clone(),
            expires_at: time(expires),
            answered,
        });
        let lag =
            |what: &str, least: i64, most: u32| now + self.pace(self.draw(what).on(identity.value()).between(0, least.max(i64::from(most.min(600)) * SECOND)));
        let listed_from = lag("listed", 5 * SECOND, self.faults.list_lag_max_secs);
        let invocations_from = lag("invocations listed", 3 * SECOND, self.faults.invocation_lag_max_secs);
        let ids: Vec<u64> = hosts.iter().filter_map(|host| self.host(*host)).map(|host| host.id).collect();
        let slots: Vec<Slot> = hosts.into_iter().map(Slot::new).collect();
        self.ledger.write(spoke_id, &record, &ids);
        self.command_of.insert(command, number);
        let places = usize_of(request.max_concurrency).min(slots.len());
        let queues = places < slots.len();
        self.commands.push(Command {
            record: Arc::clone(&record),
            id: identity.value(),
            requested: now,
            expires,
            delivery,
            execution,
            listed_from,
            invocations_from,
            open: slots.len(),
            max_concurrency: request.max_concurrency,
            max_errors,
            slots,
            next: 0,
            is_begun: false,
            is_cancelled: false,
            expiry_known: false,
        });
        if queues {
            self.expire_later(number);
        }
        self.dispatch(number, places);
        Some(record)
    }

    /// The place of a command, where this spoke has it.
    pub fn command_in(&self, spoke: &Spoke, command: &CommandId) -> Option<u32> {
        let at = *self.command_of.get(command)?;
        self.command(at).is_some_and(|found| found.record.spoke == *spoke).then_some(at)
    }

    /// ListCommands of one document in a span of time, newest first. Commands show some seconds after they were accepted.
    pub fn list_commands(&self, spoke: &Spoke, document: &str, after: Timestamp, before: Timestamp) -> Vec<CommandSeen> {
        let found = self.commands_listed(spoke, ms(after)).filter(|command| command.requested <= ms(before) && command.record.document == document);
        found
            .map(|command| CommandSeen {
                command: command.record.command.clone(),
                marker: command.record.marker.clone(),
                parameters: command.record.parameters.clone(),
                instances: command.record.instances.clone(),
                requested_at: command.record.at,
                expires_at: command.record.expires_at,
            })
            .collect()
    }

    /// The commands of a spoke that ListCommands shows now, requested at `after` or later, newest first.
    pub fn commands_listed(&self, spoke: &Spoke, after: Ms) -> impl Iterator<Item = &Command> {
        let all = self.spoke(spoke).map_or(&[][..], |spoke| &spoke.commands);
        let requested = |at: &u32| self.command(*at).map_or(Ms::MAX, |command| command.requested);
        let from = all.partition_point(|at| requested(at) < after.max(self.now - KEPT));
        let found = all.get(from..).unwrap_or_default().iter().rev().filter_map(|at| self.command(*at));
        found.filter(|command| command.listed_from <= self.now)
    }

    /// A command of a spoke, once its invocations are shown: not for the first seconds (aws-facts 3.3).
    pub fn command_shown(&self, spoke: &Spoke, command: &CommandId) -> Option<&Command> {
        let found = self.command_in(spoke, command).and_then(|at| self.command(at))?;
        (found.invocations_from <= self.now && self.now - found.requested <= KEPT).then_some(found)
    }

    /// ListCommandInvocations.
    pub fn invocations(&self, spoke: &Spoke, command: &CommandId) -> Vec<Invocation> {
        let Some(found) = self.command_shown(spoke, command) else { return Vec::new() };
        let line = |slot: &Slot| {
            Some(Invocation {
                instance: self.host(slot.host)?.key.instance.clone(),
                status: slot.status,
                ended_at: slot.ended.filter(|_| slot.status.is_final()).map(time),
            })
        };
        found.slots.iter().filter_map(line).collect()
    }

    /// DescribeInstanceInformation: stopped and terminated nodes are not returned (aws-facts 3.4).
    pub fn describe(&self, spoke: &Spoke, instances: &[InstanceId]) -> Vec<Seen> {
        let hosts = instances.iter().filter_map(|instance| self.find_in(spoke, instance));
        hosts.filter(|host| self.is_described(host)).map(|host| self.seen(host)).collect()
    }

    /// A page of DescribeInstanceInformation over all nodes of a spoke; the token is the last id of the page before.
    pub fn managed_nodes(&self, spoke: &Spoke, next: Option<&str>, tags: bool) -> Paged<Seen> {
        let after = |host: &&crate::host::Host| next.is_none_or(|last| host.key.instance.as_str() > last);
        let mut items: Vec<Seen> =
            self.hosts_in(spoke).filter(after).filter(|host| self.is_described(host)).take(IDS_MAX + 1).map(|host| self.seen(host)).collect();
        let more = items.len() > IDS_MAX;
        items.truncate(IDS_MAX);
        if !tags {
            items.iter_mut().for_each(|seen| seen.tags.clear());
        }
        let next = items.last().filter(|_| more).map(|last| last.instance.as_str().to_owned());
        Paged { items, next }
    }

    fn is_described(&self, host: &crate::host::Host) -> bool {
        host.is_registered() && !host.is_stopped(self.now - self.started)
    }

    fn seen(&self, host: &crate::host::Host) -> Seen {
        Seen {
            instance: host.key.instance.clone(),
            platform: host.platform,
            ping: if host.is_online(self.now, self.started) { Ping::Online } else { Ping::ConnectionLost },
            tags: host.tags.clone(),
        }
    }

    /// DescribeInstancePatchStates: the last report of each; who never reported is absent (aws-facts 3.5).
    pub fn patch_states(&self, spoke: &Spoke, instances: &[InstanceId]) -> Vec<PatchState> {
        let hosts = instances.iter().filter_map(|instance| self.find_in(spoke, instance)).filter(|host| host.is_registered());
        let line = |host: &crate::host::Host| {
            let report = host.report.as_ref()?;
            Some(PatchState {
                instance: host.key.instance.clone(),
                baseline: wire::baseline(self, host, report.own_baseline),
                snapshot: report.snapshot.clone(),
                operation: report.operation,
                started_at: time(report.started),
                ended_at: time(report.ended),
                missing: report.missing,
                failed: report.failed,
                pending_reboot: report.pending,
                rejected: report.rejected,
            })
        };
        hosts.filter_map(line).collect()
    }

    /// What its last report lists as missing; `None` for a host that reported nothing yet, or is not known.
    pub fn missing_patches(&self, spoke: &Spoke, instance: &InstanceId) -> Option<Vec<MissingPatch>> {
        let host = self.find_in(spoke, instance).filter(|host| host.is_registered())?;
        let report = host.report.as_ref()?;
        Some(patch::missing(host, report))
    }
}

/// The token bucket, in thousandths, filled up to `now`.
fn tokens((held, since): (i64, Ms), now: Ms) -> i64 {
    let gained = now.saturating_sub(since).saturating_mul(SENDS_PER_SEC);
    held.saturating_add(gained).min(SENDS_AT_ONCE * 1_000)
}

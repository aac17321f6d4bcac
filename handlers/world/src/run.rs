//! Run Command on the hosts: pick-up, scan, install, reboot, report, and the ways in which each of them goes wrong.
//!
//! An invocation ends once, and then counts for its command; the host goes its own way: what was delivered too late may run
//! all the same, and what SSM gave up on may still install.

use tidegate_events::fact::{InvocationStatus as Status, Operation};
use tidegate_events::id::InstanceId;

use crate::agenda::Happening;
use crate::bus::News;
use crate::clock::{MINUTE, Ms, SECOND};
use crate::command::{Command, Phase, SendRecord, Slot};
use crate::draw::Draw;
use crate::host::{Effect, Host, Report};
use crate::spec::Trouble;
use crate::state::{State, usize_of};

/// What a step needs to know of an invocation, copied out.
#[derive(Debug, Clone, Copy)]
struct Run {
    command: u32,
    slot: u32,
    host: u32,
}

impl State {
    fn slot(&self, command: u32, slot: u32) -> Option<(&Command, &Slot, &Host)> {
        let found = self.command(command)?;
        let slot = found.slots.get(usize_of(slot))?;
        Some((found, slot, self.host(slot.host)?))
    }

    fn slot_mut(&mut self, run: Run) -> Option<&mut Slot> {
        self.commands.get_mut(usize_of(run.command))?.slots.get_mut(usize_of(run.slot))
    }

    fn host_mut(&mut self, at: u32) -> Option<&mut Host> {
        self.hosts.get_mut(usize_of(at))
    }

    /// A draw about one invocation.
    fn draw_run(&self, what: &str, run: Run) -> Draw {
        let command = self.command(run.command).map_or(0, |command| command.id);
        self.draw(what).on(command).on(u64::from(run.slot))
    }

    /// Hands as many waiting invocations to their agents as `MaxConcurrency` allows: one for each that ended, or `places` at first.
    pub fn dispatch(&mut self, at: u32, places: usize) {
        let now = self.now;
        for _ in 0..places {
            let Some(command) = self.commands.get_mut(usize_of(at)) else { return };
            let Some(slot) = command.slots.get_mut(command.next) else { return };
            let number = u32::try_from(command.next).unwrap_or(u32::MAX);
            command.next += 1;
            slot.phase = Phase::Sent;
            slot.due = now.saturating_add(command.delivery).min(command.expires);
            let run = Run { command: at, slot: number, host: slot.host };
            let after = self.pace(self.draw_run("pick-up", run).between(SECOND, 20 * SECOND));
            self.agenda.put(now + after, Happening::PickedUp(at, number));
        }
    }

    /// The agent asks for its work, if it can.
    pub fn picked_up(&mut self, command: u32, number: u32) {
        let now = self.now;
        let Some((_, slot, host)) = self.slot(command, number) else { return };
        if slot.phase != Phase::Sent {
            return;
        }
        let run = Run { command, slot: number, host: slot.host };
        let (due, is_late) = (slot.due, slot.is_late);
        let free = host.online_from(now, self.started).map(|online| online.max(host.rebooting_until));
        match free {
            Some(free) if free <= now && (now <= due || is_late) => self.begin(run),
            Some(free) if free.max(now) <= due || is_late => {
                let after = self.pace(self.draw_run("pick-up after silence", run).at(now).between(SECOND, 30 * SECOND));
                self.agenda.put(free.max(now) + after, Happening::PickedUp(command, number));
            }
            free => {
                self.agenda.put(due.max(now + 1), Happening::Undelivered(command, number));
                if let Some(free) = free
                    && self.strikes(self.faults.late_run, self.draw_run("runs late", run))
                {
                    let after = self.pace(self.draw_run("runs late after", run).between(SECOND, 5 * MINUTE));
                    self.agenda.put(free.max(due) + after, Happening::PickedUp(command, number));
                    if let Some(slot) = self.slot_mut(run) {
                        slot.is_late = true;
                    }
                }
            }
        }
    }

    /// Nobody picked it up in time. An instance that is gone could not be reached at all (aws-facts 2.2).
    pub fn undelivered(&mut self, command: u32, number: u32) {
        let Some((_, slot, host)) = self.slot(command, number) else { return };
        if slot.phase == Phase::Sent && !slot.status.is_final() {
            let (status, run) =
                (if host.terminated { Status::Undeliverable } else { Status::DeliveryTimedOut }, Run { command, slot: number, host: slot.host });
            if !slot.is_late
                && let Some(slot) = self.slot_mut(run)
            {
                slot.phase = Phase::Done;
            }
            self.finish(run, status, None);
        }
    }

    fn begin(&mut self, run: Run) {
        let (now, Some((command, _, host))) = (self.now, self.slot(run.command, run.slot)) else { return };
        let (operation, execution) = (command.record.operation, command.execution);
        let locked_out = operation == Operation::Install && host.installing > 0;
        let has_lock = operation == Operation::Install && !locked_out;
        let patches = command.record.patches;
        let hook_failed = has_lock && command.record.parameters.contains_key("PreInstallHookDocName") && host.hook_fails(host.installs);
        let ordinal = if operation == Operation::Install { host.installs } else { host.scans };
        let draw = self.draw_run("duration", run);
        let takes = match operation {
            Operation::Scan => draw.between(30 * SECOND, 90 * SECOND),
            Operation::Install if locked_out || hook_failed || !patches => draw.between(5 * SECOND, 10 * SECOND),
            Operation::Install if host.installable() > 0 => draw.between(3 * MINUTE, 15 * MINUTE),
            Operation::Install => draw.between(30 * SECOND, 90 * SECOND),
        };
        let takes = self.pace(takes);
        if operation == Operation::Install && self.strikes(self.faults.terminated_in_flight, self.draw_run("terminated in flight", run)) {
            let after = self.draw_run("terminated in flight after", run).between(1, takes);
            self.agenda.put(now + after, Happening::Terminated(run.host));
        }
        if let Some(host) = self.host_mut(run.host) {
            match operation {
                Operation::Scan => host.scans = host.scans.saturating_add(1),
                Operation::Install => {
                    host.installs = host.installs.saturating_add(u32::from(has_lock));
                    host.installing = host.installing.saturating_add(u32::from(has_lock));
                }
            }
        }
        self.ledger.counts.overlaps += u64::from(locked_out);
        let overran = takes > execution;
        if let Some(slot) = self.slot_mut(run) {
            (slot.phase, slot.ordinal, slot.started, slot.overran) = (Phase::Running, ordinal, now, overran);
            (slot.has_lock, slot.locked_out, slot.hook_failed) = (has_lock, locked_out, hook_failed);
        }
        let next = if operation == Operation::Scan || locked_out || hook_failed || overran { Happening::Ended } else { Happening::Installed };
        self.agenda.put(now + takes.min(execution), next(run.command, run.slot));
        self.started_on(run);
    }

    /// Says that an invocation runs, and its command with the first one.
    fn started_on(&mut self, run: Run) {
        if let Some(slot) = self.slot_mut(run).filter(|slot| !slot.status.is_final()) {
            slot.status = Status::InProgress;
            self.post_invocation(run.command, run.slot, Status::InProgress);
            if let Some(command) = self.commands.get_mut(usize_of(run.command)).filter(|command| !command.is_begun) {
                command.is_begun = true;
                self.post(News::Command { command: run.command, status: "InProgress" });
            }
        }
    }

    /// The installation is over: what came of it is on the host, and a reboot follows where one is allowed and something waits for
    /// it. `RebootIfNeeded` does not check whether one is needed (aws-facts 3.1).
    pub fn installed(&mut self, command: u32, number: u32) {
        let now = self.now;
        let Some((found, slot, host)) = self.slot(command, number) else { return };
        if slot.phase != Phase::Running {
            return;
        }
        let run = Run { command, slot: number, host: slot.host };
        if host.terminated {
            return self.expire_later(command);
        }
        let (patches, mends) = (found.record.patches, self.mends(&found.record.document));
        // What is no patch, and mends nothing that is wrong here, changes nothing.
        let (effect, installable) = (host.effect(slot.ordinal), if patches == self.rule.is_none() && (patches || mends) { host.installable() } else { 0 });
        let unchanged = installable == 0;
        let left = match effect {
            Effect::Works | Effect::FalseFailure => 0,
            Effect::Fails | Effect::FalseSuccess => installable,
            Effect::Partial => (installable / 3).max(1).min(installable),
        };
        let (reboots, deadline, never) = (found.record.reboots, slot.started + found.execution, host.has(Trouble::RebootNeverReturns));
        let takes = self.pace(self.draw_run("reboot", run).between(MINUTE, 4 * MINUTE));
        let (comes_back, settles) = (self.pace(10 * SECOND), self.pace(2 * SECOND));
        let interim = Report { missing: 0, ..self.report_of(run, &found.record, now) };
        let is_heard = host.is_online(now, self.started);
        let Some(host) = self.host_mut(run.host) else { return };
        let installed = installable - left;
        host.pending = host.pending.saturating_add(if patches { installed } else { 0 });
        match effect {
            _ if unchanged => {}
            Effect::Works | Effect::FalseFailure => (host.missing, host.failed) = (0, 0),
            Effect::Partial => (host.missing, host.failed) = (0, left),
            Effect::Fails | Effect::FalseSuccess => {}
        }
        let reboots = reboots && host.pending > 0;
        let pending = host.pending;
        if reboots {
            host.pending = 0;
            host.rebooting_until = now + takes;
            if never {
                (host.dead_from, host.installing) = (Some(now), 0);
            }
        }
        let ends = now + if reboots { takes + comes_back } else { settles };
        if let Some(slot) = self.slot_mut(run) {
            (slot.phase, slot.left, slot.overran) = (Phase::Finishing, left, ends > deadline);
        }
        if reboots && is_heard && patches {
            let failed = if effect == Effect::Partial { left } else { interim.failed };
            self.report(run.host, Report { pending, failed, ..interim });
        }
        if reboots && never {
            return self.expire_later(command);
        }
        self.agenda.put(ends.min(deadline).max(now + 1), Happening::Ended(command, number));
    }

    /// An install gives the package manager's lock back.
    fn unlock(&mut self, run: Run) {
        if self.slot_mut(run).is_some_and(|slot| std::mem::take(&mut slot.has_lock))
            && let Some(host) = self.host_mut(run.host)
        {
            host.installing = host.installing.saturating_sub(1);
        }
    }

    /// The document has ended on the host. While its agent is silent, nobody hears of it.
    pub fn ended(&mut self, command: u32, number: u32) {
        let now = self.now;
        let Some((found, slot, host)) = self.slot(command, number) else { return };
        if !matches!(slot.phase, Phase::Running | Phase::Finishing) {
            return;
        }
        let run = Run { command, slot: number, host: slot.host };
        let (online, expires) = (host.online_from(now, self.started), found.expires);
        self.unlock(run);
        let Some(slot) = self.slot_mut(run) else { return };
        let ended = *slot.ended.get_or_insert(now);
        match online {
            Some(online) if online > now => {
                let heard = online + self.pace(self.draw_run("heard of again", run).at(now).between(SECOND, 10 * SECOND));
                if heard > expires {
                    self.expire_later(command);
                }
                return self.agenda.put(heard, Happening::Ended(command, number));
            }
            None => return self.expire_later(command),
            Some(_) => {}
        }
        let Some((found, slot, host)) = self.slot(command, number) else { return };
        let operation = found.record.operation;
        let (effect, half) = (host.effect(slot.ordinal), self.draw_run("exit code", run).happens(500));
        let status = match (operation, effect) {
            _ if slot.overran => Status::ExecutionTimedOut,
            _ if slot.locked_out || slot.hook_failed => Status::Failed,
            (Operation::Scan, _) | (Operation::Install, Effect::Works | Effect::FalseSuccess) => Status::Success,
            (Operation::Install, Effect::Partial) if half || slot.left == 0 => Status::Success,
            // A run with nothing to install fails at nothing.
            (Operation::Install, Effect::Fails) if slot.left == 0 => Status::Success,
            (Operation::Install, Effect::Fails | Effect::FalseFailure | Effect::Partial) => Status::Failed,
        };
        let mut report = self.report_of(run, &found.record, ended);
        if operation == Operation::Install {
            // An Install's own report lists nothing missing, only what failed (aws-facts 3.1).
            report.missing = 0;
            report.failed = if matches!(effect, Effect::Fails | Effect::Partial) { slot.left } else { 0 };
        }
        // Association documents write association compliance, which this rule does not look at (aws-facts 3.1).
        let patches = found.record.patches;
        let reports = patches && !slot.overran && !slot.locked_out && !slot.hook_failed && !found.record.document.ends_with("Association");
        let overwritten = operation == Operation::Scan && host.is_overwritten(slot.ordinal);
        if let Some(slot) = self.slot_mut(run) {
            slot.phase = Phase::Done;
        }
        if !patches {
            self.changed(run.host);
        }
        if reports {
            self.report(run.host, report);
            if overwritten {
                let after = self.pace(self.draw_run("overwritten after", run).between(SECOND, 20 * SECOND));
                self.agenda.put(now + after, Happening::Overwritten(run.host));
            }
        }
        self.finish(run, status, Some(ended));
    }

    /// The truth about a host, as a report of this run.
    fn report_of(&self, run: Run, record: &SendRecord, ended: Ms) -> Report {
        let started = self.slot(run.command, run.slot).map_or(ended, |(_, slot, _)| slot.started);
        let (missing, failed, pending, rejected) = self.host(run.host).map_or((0, 0, 0, 0), |host| (host.missing, host.failed, host.pending, host.rejected()));
        Report { operation: record.operation, started, ended, snapshot: record.snapshot.clone(), own_baseline: true, missing, failed, pending, rejected }
    }

    /// An invocation reached its end for SSM, once; the next one gets its place.
    fn finish(&mut self, run: Run, status: Status, ended: Option<Ms>) {
        let Some(slot) = self.slot_mut(run).filter(|slot| !slot.status.is_final()) else { return };
        (slot.status, slot.ended) = (status, ended);
        self.post_invocation(run.command, run.slot, status);
        let Some(command) = self.commands.get_mut(usize_of(run.command)) else { return };
        command.open = command.open.saturating_sub(1);
        let is_error = |slot: &&Slot| matches!(slot.status, Status::Failed | Status::ExecutionTimedOut);
        let errors = command.slots.iter().filter(is_error).count();
        let is_too_much = command.max_errors.is_some_and(|most| errors > usize_of(most));
        if command.open == 0 {
            let status = command.status();
            self.post(News::Command { command: run.command, status });
        } else if is_too_much && status != Status::NeverRan {
            self.give_up(run.command);
        } else if !is_too_much {
            self.dispatch(run.command, 1);
        }
    }

    /// More errors than a command bears: what no agent was handed is terminated; what is in flight goes on (aws-facts 3.2).
    fn give_up(&mut self, at: u32) {
        let Some(command) = self.commands.get_mut(usize_of(at)) else { return };
        command.next = command.slots.len();
        let queued = (0_u32..).zip(&command.slots).filter(|(_, slot)| slot.phase == Phase::Queued && !slot.status.is_final());
        let queued: Vec<Run> = queued.map(|(number, slot)| Run { command: at, slot: number, host: slot.host }).collect();
        for run in queued {
            self.abandon(run);
            self.finish(run, Status::NeverRan, None);
        }
    }

    /// Something will not end by itself: SSM gives up on it at the command's expiry.
    pub fn expire_later(&mut self, at: u32) {
        let now = self.now;
        if let Some(command) = self.commands.get_mut(usize_of(at)).filter(|command| !command.expiry_known) {
            command.expiry_known = true;
            let when = command.expires.max(now + 1);
            self.agenda.put(when, Happening::Expired(at));
        }
    }

    /// SSM gives up: what runs has timed out, what does not was never delivered.
    pub fn expired(&mut self, at: u32) {
        for (run, phase, gone) in self.open_runs(at) {
            let status = match phase {
                Phase::Running | Phase::Finishing => Status::ExecutionTimedOut,
                _ if gone => Status::Undeliverable,
                _ => Status::DeliveryTimedOut,
            };
            self.abandon(run);
            self.finish(run, status, None);
        }
    }

    /// CancelCommand of these instances, or of all where none is named: what no host has picked up is cancelled. What runs goes on, but for some that a fault kills half-way; AWS
    /// guarantees nothing (aws-facts 3.3).
    pub fn cancel(&mut self, at: u32, instances: &[InstanceId]) {
        let all = instances.is_empty();
        let queued_from = self.commands.get(usize_of(at)).map_or(0, |command| command.next);
        if let Some(command) = self.commands.get_mut(usize_of(at)).filter(|command| command.open > 0) {
            command.is_cancelled = true;
        }
        let runs = self.open_runs(at);
        if let Some(command) = self.commands.get_mut(usize_of(at)).filter(|_| !all) {
            command.next = queued_from;
        }
        for (run, phase, _) in runs {
            if !all && !self.host(run.host).is_some_and(|host| instances.contains(&host.key.instance)) {
                continue;
            }
            match phase {
                Phase::Running if self.strikes(self.faults.cancel_kills, self.draw_run("killed", run)) => self.kill(run),
                Phase::Running | Phase::Finishing => {}
                Phase::Queued | Phase::Sent | Phase::Done => {
                    self.abandon(run);
                    self.finish(run, Status::Cancelled, None);
                }
            }
        }
    }

    /// A run dies half-way: half of the patches are on, nothing is reported.
    fn kill(&mut self, run: Run) {
        let Some((_, slot, _)) = self.slot(run.command, run.slot) else { return };
        let installs = slot.has_lock;
        if let Some(host) = self.host_mut(run.host).filter(|_| installs) {
            let half = host.missing / 2;
            host.missing -= half;
            host.pending = host.pending.saturating_add(half);
        }
        self.unlock(run);
        if let Some(slot) = self.slot_mut(run) {
            slot.phase = Phase::Done;
        }
        self.finish(run, Status::Cancelled, Some(self.now));
    }

    /// Nothing more is handed to the agent of what it does not have.
    fn abandon(&mut self, run: Run) {
        if let Some(slot) = self.slot_mut(run).filter(|slot| matches!(slot.phase, Phase::Queued | Phase::Sent)) {
            slot.phase = Phase::Done;
        }
    }

    /// The invocations without an end, and whether their host is gone; none of them gets a place any more.
    fn open_runs(&mut self, at: u32) -> Vec<(Run, Phase, bool)> {
        let Some(command) = self.commands.get_mut(usize_of(at)) else { return Vec::new() };
        command.next = command.slots.len();
        let open = (0_u32..).zip(&command.slots).filter(|(_, slot)| !slot.status.is_final());
        let runs: Vec<(Run, Phase)> = open.map(|(number, slot)| (Run { command: at, slot: number, host: slot.host }, slot.phase)).collect();
        runs.into_iter().map(|(run, phase)| (run, phase, self.host(run.host).is_some_and(|host| host.terminated))).collect()
    }
}

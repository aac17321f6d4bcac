//! EventBridge: what is told about what happened, and how it gets lost, repeated, late and out of order on the way. All of
//! it is best effort by AWS's own word (aws-facts 1.5, 2.2, 2.4).

use tidegate_events::fact::InvocationStatus;

use crate::agenda::Happening;
use crate::clock::{HOUR, MINUTE, Ms, SECOND};
use crate::command::coarse;
use crate::draw::Draw;
use crate::host::Verdict;
use crate::state::State;

/// What an event says. Numbers are places in the world's tables; the bytes are made when it is delivered.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// `Config Rules Compliance Change`, by one of the account's rules.
    Compliance { host: u32, rule: u32, new: Verdict, old: Option<Verdict> },
    /// `Config Rules Re-evaluation Status`.
    Reevaluation { spoke: u32 },
    /// `Configuration Compliance State Change`.
    SsmCompliance { host: u32, compliant: bool },
    /// `EC2 Command Status-change Notification`.
    Command { command: u32, status: &'static str },
    /// `EC2 Command Invocation Status-change Notification`.
    Invocation { command: u32, slot: u32, status: &'static str },
    /// `EC2 Automation Execution Status-change Notification`.
    Execution { execution: u32, status: &'static str },
    /// `EC2 Instance State-change Notification`.
    Instance { host: u32, state: &'static str },
}

/// An event under way.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// Identity as a number; repeated deliveries share it.
    pub id: u64,
    /// When it happened.
    pub at: Ms,
    pub news: News,
}

impl State {
    /// Gives an event to EventBridge, which delivers it a second or two later, if all goes well.
    pub fn post(&mut self, news: News) {
        let at = self.now;
        let id = self.identity(&news).at(at).value();
        let draw = |what: &str| Draw::new(self.seed, what).on(id);
        let rates = &self.faults;
        if self.strikes(rates.event_lost, draw("event lost")) {
            return;
        }
        // One delay for all keeps them in order where nothing may overtake.
        let mut delay = if rates.event_reordered == 0 { 1_500 } else { draw("event delay").between(SECOND, 2 * SECOND) };
        if self.strikes(rates.event_reordered, draw("event overtaken")) {
            delay += draw("event overtaken by").between(2 * SECOND, 90 * SECOND);
        }
        if self.strikes(rates.event_late, draw("event late")) {
            delay += draw("event late by").between(2 * MINUTE, HOUR);
        }
        let again = self.strikes(rates.event_repeated, draw("event repeated")).then(|| draw("event repeated after").between(SECOND, 10 * MINUTE));
        let (delay, again) = (self.pace(delay), again.map(|after| self.pace(after)));
        let letter = Letter { id, at, news };
        if let Some(after) = again {
            self.agenda.put(at + delay + after, Happening::Delivered(Box::new(letter.clone())));
        }
        self.agenda.put(at + delay, Happening::Delivered(Box::new(letter)));
    }

    /// An instance's state in EC2 changed; hybrid nodes have none.
    pub fn post_instance(&mut self, host: u32, state: &'static str) {
        if self.host(host).is_some_and(|host| !host.key.instance.is_hybrid() && (!host.terminated || state == "terminated")) {
            self.post(News::Instance { host, state });
        }
    }

    /// An invocation changed its status.
    pub fn post_invocation(&mut self, command: u32, slot: u32, status: InvocationStatus) {
        self.post(News::Invocation { command, slot, status: coarse(status) });
    }

    /// Config's word on a host changed: every rule of the account says so.
    pub fn post_compliance(&mut self, host: u32, new: Verdict, old: Option<Verdict>) {
        let Some(account) = self.host(host).and_then(|host| self.accounts.get(&host.key.account)) else { return };
        for rule in 0..u32::try_from(account.rules.len()).unwrap_or(0) {
            self.post(News::Compliance { host, rule, new, old });
        }
    }

    /// What an event is about, so that draws about it do not depend on its place in the tables.
    fn identity(&self, news: &News) -> Draw {
        let host = |at: &u32| self.host(*at).map_or(0, |host| host.id);
        let command = |at: &u32| self.command(*at).map_or(0, |command| command.id);
        match news {
            News::Compliance { host: at, rule, new, .. } => self.draw("compliance event").on(host(at)).on(u64::from(*rule)).at(new.ordering),
            News::Reevaluation { spoke } => {
                let spoke = usize::try_from(*spoke).ok().and_then(|at| self.spokes.get(at)).map_or(0, |spoke| spoke.id);
                self.draw("reevaluation event").on(spoke)
            }
            News::SsmCompliance { host: at, compliant } => self.draw("ssm compliance event").on(host(at)).on(u64::from(*compliant)),
            News::Command { command: at, status } => self.draw("command event").on(command(at)).text(status),
            News::Invocation { command: at, slot, status } => self.draw("invocation event").on(command(at)).on(u64::from(*slot)).text(status),
            News::Execution { execution: at, status } => self.draw("execution event").on(self.execution(*at).map_or(0, |execution| execution.id)).text(status),
            News::Instance { host: at, state } => self.draw("instance event").on(host(at)).text(state),
        }
    }
}

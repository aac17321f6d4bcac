//! The tables of a world, and the loop that lets things happen in their order.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tidegate_engine::ports::Spoke;
use tidegate_events::id::{AccountId, CommandId, InstanceId, Region, TargetKey};

use crate::agenda::{Agenda, Happening};
use crate::alarm::AlarmSpec;
use crate::automation::Execution;
use crate::bus::Letter;
use crate::clock::{HOUR, Ms, secs};
use crate::command::Command;
use crate::draw::Draw;
use crate::faults::Faults;
use crate::host::{Host, Verdict};
use crate::ledger::Ledger;
use crate::spec::{AccountSpec, AccountState, HostSpec, Recording, RuleSpec, Spec, Trouble};

/// One account in one Region.
#[derive(Debug)]
pub(crate) struct SpokeState {
    pub spoke: Spoke,
    /// Identity as a number.
    pub id: u64,
    pub hosts: HashMap<InstanceId, u32>,
    /// Its commands, oldest first.
    pub commands: Vec<u32>,
    /// The token bucket of SendCommand, in thousandths, as of a time.
    pub tokens: (i64, Ms),
    /// When the rule was last asked to be evaluated again, and when that last happened.
    pub asked: Option<Ms>,
    pub reevaluated: Option<Ms>,
    /// Hosts whose verdict Config owes.
    pub owed: Vec<u32>,
}

/// Everything that is true of the world at `now`: a function of the spec, the calls that were accepted, and the time.
#[derive(Debug)]
pub(crate) struct State {
    pub seed: u64,
    pub faults: Faults,
    pub ssm_compliance_events: bool,
    pub calendars: std::collections::BTreeMap<String, Vec<(u64, u64)>>,
    tempo: i64,
    pub started: Ms,
    pub now: Ms,
    pub accounts: BTreeMap<AccountId, AccountSpec>,
    pub spokes: Vec<SpokeState>,
    pub spoke_of: HashMap<Spoke, u32>,
    pub hosts: Vec<Host>,
    pub commands: Vec<Command>,
    pub command_of: HashMap<CommandId, u32>,
    pub executions: Vec<Execution>,
    pub execution_of: HashMap<CommandId, u32>,
    /// The execution that a token has started, by spoke.
    pub tokens: HashMap<(u32, String), u32>,
    pub rule: Option<RuleSpec>,
    documents: Vec<String>,
    pub alarms: Vec<AlarmSpec>,
    pub alarms_denied: bool,
    /// Remediation exceptions; those that have ended stay until they are put again.
    pub exceptions: BTreeMap<crate::exception::ExceptionKey, crate::exception::ExceptionSaid>,
    pub agenda: Agenda,
    /// What the aggregator lists as NON_COMPLIANT.
    pub aggregate: BTreeMap<u32, Verdict>,
    /// What was delivered and not handed over.
    pub outbox: VecDeque<(Ms, Box<Letter>)>,
    pub ledger: Ledger,
}

impl State {
    pub fn new(spec: Spec, started: Ms) -> Self {
        let mut state = Self {
            seed: spec.seed,
            faults: spec.faults,
            ssm_compliance_events: spec.ssm_compliance_events,
            calendars: spec.calendars,
            tempo: i64::from(spec.tempo.get()),
            started,
            now: started,
            accounts: BTreeMap::new(),
            spokes: Vec::new(),
            spoke_of: HashMap::new(),
            hosts: Vec::with_capacity(spec.hosts.len()),
            commands: Vec::new(),
            command_of: HashMap::new(),
            executions: Vec::new(),
            execution_of: HashMap::new(),
            tokens: HashMap::new(),
            rule: spec.rule,
            documents: spec.documents,
            alarms: spec.alarms,
            alarms_denied: spec.alarms_denied,
            exceptions: BTreeMap::new(),
            agenda: Agenda::default(),
            aggregate: BTreeMap::new(),
            outbox: VecDeque::new(),
            ledger: Ledger::default(),
        };
        state.add(spec.accounts, spec.hosts);
        state
    }

    /// Adds accounts and hosts that are not there yet.
    pub fn add(&mut self, accounts: Vec<AccountSpec>, hosts: Vec<HostSpec>) {
        let judged = |mut account: AccountSpec, rule: &Option<RuleSpec>| {
            if let Some(rule) = rule {
                account.rules = vec![rule.name.clone()];
            }
            account
        };
        for account in accounts {
            self.accounts.entry(account.id).or_insert_with(|| judged(account, &self.rule));
        }
        for host in hosts {
            self.accounts.entry(host.key.account).or_insert_with(|| judged(AccountSpec::new(host.key.account), &self.rule));
            if self.find(&host.key).is_none() {
                self.add_host(host);
            }
        }
    }

    fn add_host(&mut self, spec: HostSpec) {
        let place = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        let at = self.spoke_place(&spec.key.account, &spec.key.region);
        let lag = self.pace(finding_lag(self.seed, &spec.key));
        let Some(spoke) = self.spokes.get_mut(usize_of(at)) else { return };
        spoke.hosts.insert(spec.key.instance.clone(), place);
        let (found, from) = (spec.finding_after_secs, self.now.max(self.started));
        let after = |after: u64| self.started.saturating_add(secs(after)).max(from + 1);
        if let Some(found) = found {
            self.agenda.put((self.started.saturating_add(secs(found)) - lag).max(from + 1), Happening::Found(place));
        }
        for trouble in &spec.troubles {
            match *trouble {
                Trouble::TerminatedAt { after_secs } => self.agenda.put(after(after_secs), Happening::Terminated(place)),
                Trouble::Stopped { from_secs, until_secs } => {
                    if from_secs > 0 {
                        self.agenda.put(after(from_secs), Happening::Stopped(place));
                    }
                    if let Some(until) = until_secs {
                        self.agenda.put(after(until), Happening::Returned(place));
                    }
                }
                // Half of the silent agents were brought back by a start of the instance, which EC2 tells.
                Trouble::Offline { until_secs: Some(until), .. } if Draw::new(self.seed, "started again").text(&spec.key.to_string()).happens(500) => {
                    self.agenda.put(after(until), Happening::Returned(place));
                }
                _ => {}
            }
        }
        let mut host = Host::new(spec, at, self.seed, from);
        // One allocation per Region, not one per host.
        host.key.region = spoke.spoke.region.clone();
        if !self.records(&host) {
            (host.verdict, host.captured) = (None, None);
        }
        self.hosts.push(host);
    }

    /// The place of a spoke, which is made where it is new.
    fn spoke_place(&mut self, account: &AccountId, region: &Region) -> u32 {
        let spoke = Spoke { account: *account, region: region.clone() };
        if let Some(at) = self.spoke_of.get(&spoke) {
            return *at;
        }
        let at = u32::try_from(self.spokes.len()).unwrap_or(u32::MAX);
        let id = spoke_id(&spoke);
        self.spokes.push(SpokeState {
            spoke: spoke.clone(),
            id,
            hosts: HashMap::new(),
            commands: Vec::new(),
            tokens: (0, Ms::MIN),
            asked: None,
            reevaluated: None,
            owed: Vec::new(),
        });
        self.spoke_of.insert(spoke, at);
        at
    }

    pub fn spoke(&self, spoke: &Spoke) -> Option<&SpokeState> {
        self.spoke_of.get(spoke).and_then(|at| self.spokes.get(usize_of(*at)))
    }

    pub fn host(&self, at: u32) -> Option<&Host> {
        self.hosts.get(usize_of(at))
    }

    pub fn command(&self, at: u32) -> Option<&Command> {
        self.commands.get(usize_of(at))
    }

    /// The resource type that the rule judges.
    pub fn resource_type(&self) -> &str {
        self.rule.as_ref().map_or(crate::wire::PATCH_COMPLIANCE, |rule| rule.resource_type.as_str())
    }

    /// A host as the rule names it: instances by their id, what Systems Manager knows of a node with a prefix (aws-facts 1.2).
    pub fn resource_id(&self, instance: &InstanceId) -> String {
        if self.resource_type() == "AWS::EC2::Instance" { instance.to_string() } else { format!("AWS::SSM::ManagedInstanceInventory/{instance}") }
    }

    /// Whether a document mends what the rule finds.
    pub fn mends(&self, document: &str) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.mended_by == document)
    }

    /// Whether the customer has a document of this name.
    pub fn has_document(&self, document: &str) -> bool {
        self.mends(document) || self.documents.iter().any(|known| known == document)
    }

    /// A host by its key.
    pub fn find(&self, key: &TargetKey) -> Option<&Host> {
        self.find_in(&Spoke { account: key.account, region: key.region.clone() }, &key.instance)
    }

    /// A host by its spoke and id.
    pub fn find_in(&self, spoke: &Spoke, instance: &InstanceId) -> Option<&Host> {
        self.spoke(spoke)?.hosts.get(instance).and_then(|at| self.host(*at))
    }

    /// The hosts of a spoke, by instance id.
    pub fn hosts_in(&self, spoke: &Spoke) -> impl Iterator<Item = &Host> {
        let mut places: Vec<(&InstanceId, u32)> = self.spoke(spoke).into_iter().flat_map(|spoke| &spoke.hosts).map(|(id, at)| (id, *at)).collect();
        places.sort_unstable();
        places.into_iter().filter_map(|(_, at)| self.host(at))
    }

    /// A draw about this world.
    pub fn draw(&self, domain: &str) -> Draw {
        Draw::new(self.seed, domain)
    }

    /// Whether a fault of this rate strikes; none does once the world is calm.
    pub fn strikes(&self, per_mille: u16, draw: Draw) -> bool {
        self.faults.calm_after_secs.is_none_or(|calm| self.now < self.started.saturating_add(secs(calm))) && draw.happens(per_mille)
    }

    /// A delay of the model at this world's tempo; never none.
    pub fn pace(&self, delay: Ms) -> Ms {
        if self.tempo == 1 { delay } else { (delay / self.tempo).max(1) }
    }

    pub fn recording(&self, account: AccountId) -> Recording {
        self.accounts.get(&account).map_or(Recording::Off, |account| account.recording)
    }

    /// Whether Config keeps record of a host.
    pub fn records(&self, host: &Host) -> bool {
        self.recording(host.key.account) != Recording::Off && !host.has(Trouble::ConfigNotRecording)
    }

    pub fn is_active(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(|account| account.state == AccountState::Active)
    }

    /// Lets everything happen that is due by `to`, and moves the time there. What EventBridge delivers stands in the outbox then.
    pub fn run_until(&mut self, to: Ms) {
        while let Some((at, what)) = self.agenda.take(to) {
            self.now = self.now.max(at);
            self.happen(what);
        }
        self.now = self.now.max(to);
    }

    /// As [`Self::run_until`], for times that were handed over long ago: keeps what was delivered in the last hour.
    pub fn replay_until(&mut self, to: Ms) {
        self.run_until(to);
        while self.outbox.front().is_some_and(|(at, _)| *at < to - HOUR) {
            self.outbox.pop_front();
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Found(host) => self.found(host),
            Happening::Terminated(host) => self.terminated(host),
            Happening::Stopped(host) => self.post_instance(host, "stopped"),
            Happening::Returned(host) => self.post_instance(host, "running"),
            Happening::PickedUp(command, slot) => self.picked_up(command, slot),
            Happening::Installed(command, slot) => self.installed(command, slot),
            Happening::Ended(command, slot) => self.ended(command, slot),
            Happening::Undelivered(command, slot) => self.undelivered(command, slot),
            Happening::Expired(command) => self.expired(command),
            Happening::Executed(execution, child) => self.executed(execution, child),
            Happening::Overwritten(host) => self.overwritten(host),
            Happening::Captured(host) => self.captured(host),
            Happening::Judged { host, ordering, compliance, told } => self.judged(host, ordering, compliance, told),
            Happening::Reevaluated(spoke) => self.reevaluated(spoke),
            Happening::Aggregated(host) => self.aggregated(host),
            Happening::Delivered(letter) => self.outbox.push_back((self.now, letter)),
        }
    }
}

/// How long Config takes to judge the finding that a spec announces (11 to 39 seconds were measured, aws-facts 1.1).
pub(crate) fn finding_lag(seed: u64, key: &TargetKey) -> Ms {
    Draw::new(seed, "finding lag").text(&key.to_string()).between(11_000, 39_000)
}

/// A spoke's identity as a number.
pub(crate) fn spoke_id(spoke: &Spoke) -> u64 {
    Draw::new(0, "spoke").text(&spoke.account.to_string()).text(spoke.region.as_str()).value()
}

/// A place in a table as an index.
pub(crate) fn usize_of(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

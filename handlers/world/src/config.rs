//! AWS Config: from the agent's report over the configuration item to the rule's verdict, its event and the aggregator.
//!
//! A report is recorded minutes later, or at the next daily slot, or never. The rule is evaluated seconds after the recording,
//! against the captured state, and only a change of the compliance type is an event (aws-facts 1.1, 1.5, 1.6).

use tidegate_engine::ports::Spoke;
use tidegate_events::fact::{Compliance, Fact, FactSource, Operation};
use tidegate_events::id::{AccountId, InstanceId, TargetKey};

use crate::agenda::Happening;
use crate::bus::News;
use crate::clock::{DAY, MINUTE, Ms, SECOND, time};
use crate::host::{Host, Report, Verdict};
use crate::spec::{RULE, Recording};
use crate::state::{SpokeState, State, finding_lag, usize_of};

/// How often the rule can be asked to be evaluated again (aws-facts 1.6).
const REEVALUATE_EVERY: Ms = MINUTE;

impl State {
    /// The agent reports to Systems Manager: its last report is replaced, and Config is on its way to take note.
    pub fn report(&mut self, at: u32, report: Report) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(usize_of(at)) else { return };
        let (was, is) = (host.report.as_ref().map(Report::compliance), report.compliance());
        host.report = Some(report);
        host.reports = host.reports.saturating_add(1);
        if self.ssm_compliance_events && was != Some(is) {
            self.post(News::SsmCompliance { host: at, compliant: is == Compliance::Compliant });
        }
        let Some(host) = self.host(at) else { return };
        let draw = self.draw("capture").on(host.id).on(u64::from(host.reports));
        self.note(at, now + self.pace(draw.between(MINUTE, 8 * MINUTE)));
    }

    /// Something was done to a host that no report of its agent tells of: Config takes note by itself.
    pub fn changed(&mut self, at: u32) {
        let Some(host) = self.host(at) else { return };
        let draw = self.draw("capture of a change").on(host.id).at(self.now);
        self.note(at, self.now + self.pace(draw.between(MINUTE, 8 * MINUTE)));
    }

    /// Config is to record the host's state at this time, or in the day's slot where it records daily.
    fn note(&mut self, at: u32, soon: Ms) {
        let Some(host) = self.host(at).filter(|host| self.records(host)) else { return };
        match self.recording(host.key.account) {
            Recording::Off => {}
            Recording::Continuous => self.agenda.put(soon, Happening::Captured(at)),
            Recording::Daily if host.capture_due => {}
            Recording::Daily => {
                let slot = self.draw("daily slot").on(host.id).between(0, DAY - 1);
                let today = self.now - self.now.rem_euclid(DAY) + slot;
                self.agenda.put(if today > soon { today } else { today + DAY }, Happening::Captured(at));
                if let Some(host) = self.hosts.get_mut(usize_of(at)) {
                    host.capture_due = true;
                }
            }
        }
    }

    /// Config records the state as it is now, whatever it was when it took note.
    pub fn captured(&mut self, at: u32) {
        let now = self.now;
        let by_rule = self.rule.is_some();
        let Some(host) = self.hosts.get_mut(usize_of(at)) else { return };
        host.capture_due = false;
        let compliance = match &host.report {
            _ if host.terminated => Compliance::NotApplicable,
            _ if by_rule && host.missing == 0 => Compliance::Compliant,
            _ if by_rule => Compliance::NonCompliant,
            report => report.as_ref().map_or(Compliance::NotApplicable, Report::compliance),
        };
        host.captured = Some((now, compliance));
        let (id, spoke) = (host.id, host.spoke);
        if self.strikes(self.faults.evaluation_missed, self.draw("evaluation missed").on(id).at(now)) {
            if let Some(spoke) = self.spokes.get_mut(usize_of(spoke)) {
                spoke.owed.push(at);
            }
            return;
        }
        let lag = self.pace(self.draw("evaluation").on(id).at(now).between(11 * SECOND, 39 * SECOND));
        self.agenda.put(now + lag, Happening::Judged { host: at, ordering: now, compliance, told: true });
    }

    /// The rule has judged what was captured at `ordering`.
    pub fn judged(&mut self, at: u32, ordering: Ms, compliance: Compliance, told: bool) {
        let new = Verdict { compliance, ordering, recorded: self.now };
        let Some(host) = self.host(at) else { return };
        let old = host.verdict;
        if old.is_some_and(|old| old.ordering > ordering) {
            return;
        }
        let changed = old.is_none_or(|old| old.compliance != compliance);
        if self.records(host) {
            let sight = self.pace(self.draw("aggregator").on(host.id).at(self.now).between(MINUTE, 5 * MINUTE));
            if compliance == Compliance::NonCompliant || self.aggregate.contains_key(&at) || changed {
                self.agenda.put(self.now + sight, Happening::Aggregated(at));
            }
            if let Some(host) = self.hosts.get_mut(usize_of(at)) {
                host.verdict = Some(new);
            }
        }
        if changed && told {
            self.post_compliance(at, new, old);
        }
    }

    /// The finding of a host's spec: its scheduled scan has found what it lacks. Where Config records nothing of the host any
    /// more, the finding was its last word: it is told, and not kept.
    pub fn found(&mut self, at: u32) {
        let (now, lag) = (self.now, self.host(at).map_or(0, |host| self.pace(finding_lag(self.seed, &host.key))));
        let by_rule = self.rule.is_some();
        let Some(host) = self.hosts.get_mut(usize_of(at)).filter(|host| !host.terminated) else { return };
        let report = Report {
            operation: Operation::Scan,
            started: now - MINUTE,
            ended: now - SECOND,
            snapshot: None,
            own_baseline: true,
            missing: host.missing,
            failed: host.failed,
            pending: host.pending,
            rejected: host.rejected(),
        };
        let (compliance, told) = (report.compliance(), host.announce);
        // A report of ours that is younger stands: the scheduled scan then ran before it.
        if host.installing == 0 && host.reports == 0 && host.report.is_some() && !by_rule {
            host.report = Some(report);
        }
        host.captured = Some((now, compliance));
        self.agenda.put(now + lag, Happening::Judged { host: at, ordering: now, compliance, told });
    }

    /// A host's end: Config sees it as it sees a report (a deleted resource is NOT_APPLICABLE), EC2 says it at once.
    pub fn terminated(&mut self, at: u32) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(usize_of(at)).filter(|host| !host.terminated) else { return };
        host.terminated = true;
        host.installing = 0;
        let id = host.id;
        self.post_instance(at, "terminated");
        let after = self.pace(self.draw("capture of the end").on(id).between(MINUTE, 8 * MINUTE));
        self.note(at, now + after);
    }

    /// Another scanner, with another baseline, replaces the patch state (aws-facts 3.1).
    pub fn overwritten(&mut self, at: u32) {
        let Some(host) = self.host(at).filter(|host| !host.terminated) else { return };
        let missing = u32::try_from(self.draw("other baseline lacks").on(host.id).between(1, 5)).unwrap_or(1);
        let (ended, started) = (self.now, self.now - SECOND);
        let report = Report {
            operation: Operation::Scan,
            started,
            ended,
            snapshot: None,
            own_baseline: false,
            missing,
            failed: 0,
            pending: host.pending,
            rejected: host.rejected(),
        };
        self.report(at, report);
    }

    /// StartConfigRulesEvaluation: whether it does anything; it does at most once a minute (aws-facts 1.6).
    pub fn may_reevaluate(&self, spoke: u32) -> bool {
        self.spokes.get(usize_of(spoke)).is_some_and(|spoke| spoke.asked.is_none_or(|asked| self.now - asked >= REEVALUATE_EVERY))
    }

    /// The rule of a spoke is to be evaluated again.
    pub fn reevaluate(&mut self, at: u32) {
        let Some(spoke) = self.spokes.get_mut(usize_of(at)) else { return };
        spoke.asked = Some(self.now);
        let id = spoke.id;
        let lag = self.pace(self.draw("reevaluation").on(id).at(self.now).between(11 * SECOND, 39 * SECOND));
        self.agenda.put(self.now + lag, Happening::Reevaluated(at));
        self.post(News::Reevaluation { spoke: at });
    }

    /// Every node of the spoke is judged anew, against its last configuration item. Who has a verdict keeps it, with a new time of
    /// recording, which [`Self::fact`] adds; who was owed one gets it.
    pub fn reevaluated(&mut self, at: u32) {
        let Some(spoke) = self.spokes.get_mut(usize_of(at)) else { return };
        spoke.reevaluated = Some(self.now);
        for host in std::mem::take(&mut spoke.owed) {
            if let Some((ordering, compliance)) = self.host(host).and_then(|host| host.captured) {
                self.judged(host, ordering, compliance, true);
            }
        }
    }

    /// The aggregator, minutes behind, has seen the verdict.
    pub fn aggregated(&mut self, at: u32) {
        match self.host(at).and_then(|host| host.verdict) {
            Some(verdict) if verdict.compliance == Compliance::NonCompliant => drop(self.aggregate.insert(at, verdict)),
            _ => drop(self.aggregate.remove(&at)),
        }
    }

    /// A verdict as the API tells it.
    pub fn fact(&self, host: &Host, verdict: Verdict) -> Fact {
        let again = self.spokes.get(usize_of(host.spoke)).and_then(|spoke: &SpokeState| spoke.reevaluated);
        let recorded = verdict.recorded.max(again.unwrap_or(verdict.recorded));
        let rule = self.rule_of(host.key.account);
        Fact { compliance: verdict.compliance, ordering: time(verdict.ordering), recorded: time(recorded), source: FactSource::ConfigRule(rule.to_owned()) }
    }
    /// The rule that judges in an account.
    pub fn rule_of(&self, account: AccountId) -> &str {
        self.accounts.get(&account).and_then(|account| account.rules.first()).map_or(RULE, String::as_str)
    }

    /// What the aggregator lists of a spoke, by instance, from after one on.
    pub fn listed(&self, spoke: &Spoke, after: Option<&str>, most: usize) -> Vec<(TargetKey, Fact)> {
        let hosts = self.spoke(spoke).into_iter().flat_map(|spoke| &spoke.hosts);
        let mut found: Vec<(&InstanceId, Verdict, u32)> =
            hosts.filter(|(id, _)| after.is_none_or(|after| id.as_str() > after)).filter_map(|(id, at)| Some((id, *self.aggregate.get(at)?, *at))).collect();
        found.sort_unstable_by_key(|(id, ..)| *id);
        let facts = found.into_iter().take(most).filter_map(|(_, verdict, at)| self.host(at).map(|host| (host.key.clone(), self.fact(host, verdict))));
        facts.collect()
    }
}

mod by_cve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_events::action::Nudge;
use tidegate_events::entry::Standing;
use tidegate_events::event::Event;
use tidegate_events::fact::{Fact, FactSource};
use tidegate_events::host::{Ping, Platform};
use tidegate_events::id::Digest;
use tidegate_events::{Action, Entry};

use super::*;
use crate::State;
use crate::desk::{Desk, Loaded, Missing};
use crate::key::Key;
use crate::policy::{self, Policy};

const RULES: &str = r#"
name = "t"
[[sla]]
name = "critical"
framework = "PCI DSS 6.3.3"
severity = ["Critical"]
days = 30
source = "patch standard 7"
version = "2026-03"
[[sla]]
name = "web"
select = { tags = { Exposure = "public" } }
days = 7
source = "patch standard 7"
version = "2026-03"
[[sla]]
name = "rest"
severity = ["Important", "Medium", "Low", "Unspecified"]
days = 90
source = "patch standard 7"
version = "2026-03"
"#;

fn policy() -> Policy {
    policy::parse(RULES, "t.toml").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn key(n: u32) -> TargetKey {
    format!("111122223333/eu-west-1/i-{n:017x}").parse().unwrap()
}

fn host(n: u32, tags: &[(&str, &str)]) -> Host {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Host { instance: key(n).instance, platform: Platform::Linux, ping: Ping::Online, tags }
}

fn about<'a>(target: &'a TargetKey, host: Option<&'a Host>) -> About<'a> {
    About { target, host, ous: &[], since: at("2026-11-01T00:00:00Z") }
}

fn due(found: Option<Deadline>) -> Option<(String, String)> {
    found.map(|deadline| (deadline.sla, deadline.at.to_string()))
}

fn says(sla: &str, at: &str) -> Option<(String, String)> {
    Some((sla.to_owned(), at.to_owned()))
}

#[test]
fn a_finding_alone_is_due_by_the_strictest_rule_and_tags_may_tighten_it() {
    let (slas, target) = (policy().slas, key(1));
    assert_eq!(due(of_finding(&slas, &about(&target, None))), says("critical", "2026-12-01T00:00:00Z"));
    let (public, other) = (host(1, &[("Exposure", "public")]), host(1, &[]));
    assert_eq!(due(of_finding(&slas, &about(&target, Some(&public)))), says("web", "2026-11-08T00:00:00Z"));
    assert_eq!(due(of_finding(&slas, &about(&target, Some(&other)))), says("critical", "2026-12-01T00:00:00Z"));
    assert_eq!(of_finding(&[], &about(&target, None)), None);
    let found = of_finding(&slas, &about(&target, None)).unwrap();
    assert_eq!((found.source.as_str(), found.version.as_str()), ("patch standard 7 (PCI DSS 6.3.3)", "2026-03"));
}

const KEV: &str = r#"{"title":"CISA Catalog of Known Exploited Vulnerabilities","catalogVersion":"2026.11.02","dateReleased":"2026-11-02T15:00:12.1234Z","count":3,
"vulnerabilities":[
{"cveID":"CVE-2026-1111","vendorProject":"Microsoft","product":"Windows","vulnerabilityName":"n","dateAdded":"2026-11-02","shortDescription":"d","requiredAction":"a","dueDate":"2026-11-05","knownRansomwareCampaignUse":"Known","notes":"","cwes":["CWE-416"]},
{"cveID":"CVE-2026-2222","vendorProject":"Linux","product":"Kernel","vulnerabilityName":"n","dateAdded":"2026-11-02","shortDescription":"d","requiredAction":"a","dueDate":"soon","knownRansomwareCampaignUse":"Unknown","notes":"","cwes":[]},
{"cveID":"cve-2024-3333","vendorProject":"Linux","product":"Kernel","vulnerabilityName":"n","dateAdded":"2024-01-02","shortDescription":"d","requiredAction":"a","dueDate":"2024-01-23","knownRansomwareCampaignUse":"Unknown","notes":""}]}"#;

#[test]
fn the_kev_catalog_is_read_and_a_broken_entry_costs_no_neighbour() {
    let kev = Kev::parse(KEV.as_bytes()).unwrap();
    assert_eq!((kev.len(), kev.version.as_str()), (2, "2026.11.02"));
    assert_eq!(kev.faults.len(), 1);
    assert!(kev.faults[0].starts_with("vulnerabilities[1]: "), "{:?}", kev.faults);
    assert!(kev.get("CVE-2026-1111").unwrap().ransomware && !kev.get("CVE-2024-3333").unwrap().ransomware);
    assert_eq!(Kev::parse(KEV.replace("\"count\":3", "\"count\":4").as_bytes()), Err(KevError::CutOff { said: 4, found: 3 }));
    assert!(matches!(Kev::parse(b"{}"), Err(KevError::Form(_))));
    assert!(matches!(Kev::parse(b"<html>"), Err(KevError::Form(_))));
}

#[test]
fn what_is_missing_is_due_by_severity_by_its_own_kev_date_and_by_the_table() {
    let (slas, target, kev, table) = (policy().slas, key(1), Kev::parse(KEV.as_bytes()).unwrap(), bod_26_04().unwrap());
    let missing = |cves: &str, severity: &str| vec![MissingPatch::read("KB5068861", severity, cves)];
    let none = ByCve::default();
    let about = about(&target, None);
    assert_eq!(due(of_patches(&slas, &none, &about, &missing("", "Moderate"))), says("rest", "2027-01-30T00:00:00Z"));
    assert_eq!(due(of_patches(&slas, &none, &about, &missing("", "Critical"))), says("critical", "2026-12-01T00:00:00Z"));
    assert_eq!(of_patches(&slas, &none, &about, &[]), None);
    let listed = ByCve { kev: Some(&kev), ..none };
    // The end of the due date, whatever the patch is called.
    assert_eq!(due(of_patches(&slas, &listed, &about, &missing("CVE-2026-9999,cve-2026-1111", "Low"))), says("kev CVE-2026-1111", "2026-11-06T00:00:00Z"));
    // A due date before the finding is broken from the beginning.
    assert_eq!(due(of_patches(&slas, &listed, &about, &missing("CVE-2024-3333", "Low"))), says("kev CVE-2024-3333", "2024-01-24T00:00:00Z"));
    // Nothing known of the CVE but that it is not listed, on a host that nobody reaches: the strictest of those rows, 60 days.
    let by_table = ByCve { kev: Some(&kev), table: Some(&table), facts: None, exposed: Some(false) };
    assert_eq!(due(of_patches(&slas, &by_table, &about, &missing("CVE-2026-9999", "Low"))), says("bod-26-04 CVE-2026-9999", "2026-12-31T00:00:00Z"));
    let facts = BTreeMap::from([("CVE-2026-9999".to_owned(), CveFacts { automatable: Some(false), impact: Some(Impact::Partial) })]);
    let known = ByCve { facts: Some(&facts), ..by_table };
    assert_eq!(due(of_patches(&slas, &known, &about, &missing("CVE-2026-9999", "Low"))), says("rest", "2027-01-30T00:00:00Z"));
}

#[test]
fn the_table_of_the_directive_is_whole_and_doubt_takes_the_strictest_row() {
    let table = bod_26_04().unwrap();
    assert_eq!(table.all_days(), BTreeSet::from([3, 14, 60]));
    let facts = |automatable, impact| CveFacts { automatable, impact };
    let asked = |kev, exposed, facts| table.remedy(kev, exposed, facts).unwrap();
    assert_eq!(asked(None, None, CveFacts::default()), Remedy { days: Some(3), triage: true });
    assert_eq!(asked(Some(false), Some(true), facts(Some(true), Some(Impact::Total))), Remedy { days: Some(3), triage: false });
    assert_eq!(asked(Some(true), Some(false), facts(Some(false), None)), Remedy { days: Some(14), triage: false });
    assert_eq!(asked(Some(false), Some(true), facts(Some(false), Some(Impact::Partial))), Remedy { days: Some(60), triage: false });
    assert_eq!(asked(Some(false), Some(false), facts(Some(false), None)), Remedy { days: None, triage: false });
    let text = include_str!("../../policies/sla/bod-26-04.toml");
    let cut = text.rfind("[[row]]").unwrap();
    assert!(matches!(DecisionTable::parse(&text[..cut]), Err(TableError::Rows { found: 0, .. })));
    assert!(matches!(DecisionTable::parse(&format!("{text}\n{}", &text[cut..])), Err(TableError::Rows { found: 2, .. })));
    assert!(matches!(DecisionTable::parse("name = 1"), Err(TableError::Form(_))));
}

#[test]
fn words_of_systems_manager_are_severities() {
    let read: Vec<Severity> = ["CRITICAL", "Important", "High", "Moderate", "Negligible", "", "Required"].into_iter().map(Severity::from_word).collect();
    use Severity::{Critical, Important, Low, Medium, Unspecified};
    assert_eq!(read, [Critical, Important, Important, Medium, Low, Unspecified, Unspecified]);
}

/// A store of one policy: decides, loads what is asked for (nothing is there), and keeps what was decided.
struct World {
    policy: Policy,
    loaded: Loaded,
}

impl World {
    fn new(policy: Policy) -> Self {
        Self { policy, loaded: Loaded::default() }
    }

    fn take(&mut self, event: &Event, now: &str) -> (Vec<Entry>, Vec<Action>) {
        let effective = BTreeMap::from([(self.policy.digest(), Arc::new(self.policy.clone()))]);
        loop {
            let mut desk = Desk::new(at(now), &self.policy, &effective, &self.loaded);
            match crate::decide(&mut desk, event) {
                Ok(_) => {
                    let decided = desk.finish();
                    self.loaded.items.extend(decided.items.into_iter().map(|(key, state)| (key, Some(state))));
                    for (key, add) in decided.adds {
                        *self.loaded.counters.entry(key).or_default() += add.delta;
                    }
                    return (decided.entries, decided.actions);
                }
                Err(Missing::Keys(keys)) => {
                    for key in keys {
                        if key.is_counter() {
                            self.loaded.counters.entry(key).or_insert(0);
                        } else {
                            self.loaded.items.entry(key).or_insert(None);
                        }
                    }
                }
                Err(Missing::Corrupt(what)) => panic!("{what}"),
            }
        }
    }

    fn find(&mut self, n: u32, compliance: Compliance, when: &str) {
        let fact = Fact { compliance, ordering: at(when), recorded: at(when), source: FactSource::ConfigRule("patch-rule".into()) };
        self.take(&Event::Finding { target: key(n), fact }, when);
    }

    fn target(&self, n: u32) -> &Target {
        match self.loaded.items.get(&Key::target(&key(n))) {
            Some(Some(State::Target(target))) => target,
            other => panic!("{other:?}"),
        }
    }

    /// What a tick does: whoever is due is looked at, then time is told. Gives the notices about deadlines.
    fn tick(&mut self, now: &str) -> Vec<String> {
        let due: Vec<TargetKey> = self
            .loaded
            .items
            .values()
            .filter_map(|state| match state {
                Some(State::Target(target)) if state.as_ref().and_then(State::due_at).is_some_and(|due| due <= at(now)) => Some(target.key.clone()),
                _ => None,
            })
            .collect();
        for key in due {
            self.take(&Event::Nudge(Nudge::Target(key)), now);
        }
        let (_, actions) = self.take(&Event::Tick { at: at(now) }, now);
        let told = |action: Action| match action {
            Action::Notify(notice) if notice.kind == tidegate_events::action::NoticeKind::DeadlineBreach => Some(notice.message),
            _ => None,
        };
        actions.into_iter().filter_map(told).collect()
    }
}

#[test]
fn ten_thousand_broken_deadlines_are_ten_thousand_entries_and_one_notice() {
    let mut world = World::new(policy());
    for n in 0..200 {
        world.find(n, Compliance::NonCompliant, "2026-11-01T08:00:00Z");
    }
    assert_eq!(world.target(0).deadline.as_ref().unwrap().at, at("2026-12-01T08:00:00Z"));
    assert_eq!(world.tick("2026-12-01T07:59:59Z"), Vec::<String>::new());
    assert_eq!(world.tick("2026-12-01T08:00:00Z"), ["200 targets are past the deadline of the policy and not patched (200 in all so far)"]);
    assert!((0..200).all(|n| world.target(n).breached == Some(at("2026-12-01T08:00:00Z"))));
    // Once for a target and its deadline, whatever is found again.
    world.find(0, Compliance::NonCompliant, "2026-12-01T09:00:00Z");
    assert_eq!(world.tick("2026-12-02T09:00:00Z"), Vec::<String>::new());
}

#[test]
fn what_breaks_within_the_quiet_time_is_told_together_after_it() {
    let mut world = World::new(policy());
    for (n, when) in ["2026-11-01T08:00:00Z", "2026-11-01T08:05:00Z", "2026-11-01T08:06:00Z"].into_iter().enumerate() {
        world.find(n as u32, Compliance::NonCompliant, when);
    }
    assert_eq!(world.tick("2026-12-01T08:00:00Z"), ["1 target is past the deadline of the policy and not patched (1 in all so far)"]);
    assert_eq!(world.tick("2026-12-01T08:07:00Z"), Vec::<String>::new());
    assert_eq!(world.tick("2026-12-01T08:15:00Z"), ["2 targets are past the deadline of the policy and not patched (3 in all so far)"]);
}

#[test]
fn a_deadline_ends_with_its_finding_and_waits_while_somebody_answers_for_it() {
    let mut world = World::new(policy());
    world.find(1, Compliance::NonCompliant, "2026-11-01T08:00:00Z");
    // Found again later: the time counts from the first word.
    world.find(1, Compliance::NonCompliant, "2026-11-20T08:00:00Z");
    assert_eq!(world.target(1).deadline.as_ref().unwrap().since, at("2026-11-01T08:00:00Z"));
    world.find(1, Compliance::Compliant, "2026-11-21T08:00:00Z");
    assert_eq!((world.target(1).deadline.clone(), world.target(1).deadline_due()), (None, None));
    world.find(1, Compliance::NonCompliant, "2026-11-25T08:00:00Z");
    assert_eq!(world.target(1).deadline.as_ref().unwrap().at, at("2026-12-25T08:00:00Z"));
    let mut exempt = world.target(1).clone();
    exempt.standing = Standing::Exempt { until: at("2027-01-10T00:00:00Z"), owner: "o".into(), reason: "r".into() };
    assert_eq!(exempt.deadline_due(), None);
}

#[test]
fn without_deadlines_in_the_policy_nothing_is_written() {
    let mut world = World::new(policy::parse("name = \"t\"\n", "t.toml").unwrap());
    world.find(1, Compliance::NonCompliant, "2026-11-01T08:00:00Z");
    assert_eq!(world.target(1).deadline, None);
    assert!(!serde_json::to_string(world.target(1)).unwrap().contains("deadline"));
}

#[test]
fn cells_take_who_is_due_first_and_the_earliest_cell_comes_first() {
    use crate::plan::{Counts, cut};
    use crate::state::Chunk;
    let hosts: Vec<Host> = (0..20).map(|n| host(n, &[])).collect();
    let due: BTreeMap<_, _> = (0..15).map(|n| (key(n).instance, at(&format!("2026-12-{:02}T00:00:00Z", 20 - n)))).collect();
    let chunk = Chunk { account: key(0).account, region: key(0).region, hosts, rules: Vec::new(), due: due.clone() };
    let policy = policy::parse("name = \"t\"\n[[wave]]\nname = \"all\"\n", "t.toml").unwrap();
    let id = "patch-t.1".parse().unwrap();
    let once = |chunk: &Chunk| cut(&policy, &Digest::default(), &id, std::slice::from_ref(chunk), &Counts::default());
    let cut = once(&chunk);
    let cell = &cut.cells[0];
    let order: Vec<Option<&Timestamp>> = cell.members.iter().map(|member| due.get(&member.instance)).collect();
    assert_eq!(cell.due, Some(at("2026-12-06T00:00:00Z")));
    assert!(order[..15].windows(2).all(|pair| pair[0].unwrap() < pair[1].unwrap()), "{order:?}");
    assert!(order[15..].iter().all(Option::is_none));
    // Without deadlines the ring decides alone, and the digest is that of old.
    let old = once(&Chunk { due: BTreeMap::new(), ..chunk });
    assert_ne!(old.cells[0].members, cell.members);
    assert_eq!(old.cells[0].due, None);
}

#[test]
fn the_forecast_names_who_misses_and_when_they_are_patched() {
    let nights =
        "name = \"t\"\nexecution_timeout_secs = 600\n[[window]]\nname = \"nights\"\ncron = \"0 22 * * ? *\"\ntime_zone = \"UTC\"\nduration_secs = 3600\n";
    let policy = policy::parse(nights, "t.toml").unwrap();
    let noon = at("2026-11-19T12:00:00Z");
    // Five rounds of ten minutes fit a night. Seven members, one at a time, in the order of their deadlines.
    let members = (0..7).map(|n| (key(n), (n != 3).then(|| at(if n < 5 { "2026-11-20T12:00:00Z" } else { "2026-11-19T22:15:00Z" })))).collect();
    let wave = Waiting { members, at_once: 1, round_secs: 600, bake_secs: 0 };
    let misses = forecast(&policy, std::slice::from_ref(&wave), noon).unwrap();
    let shown: Vec<(TargetKey, Option<String>)> = misses.iter().map(|miss| (miss.target.clone(), miss.patched_at.map(|at| at.to_string()))).collect();
    // The second of the early two is 22:20; the sixth member comes with the next night.
    assert_eq!(shown, [(key(6), Some("2026-11-19T22:20:00Z".into())), (key(4), Some("2026-11-20T22:10:00Z".into()))]);
    let roomy = Waiting { at_once: 7, ..wave };
    assert_eq!(forecast(&policy, &[roomy], noon).unwrap(), []);
    // A bake before its wave counts.
    let canary = Waiting { members: vec![(key(9), None)], at_once: 1, round_secs: 600, bake_secs: 86_400 };
    let second = Waiting { members: vec![(key(1), Some(at("2026-11-20T12:00:00Z")))], at_once: 1, round_secs: 600, bake_secs: 0 };
    assert_eq!(forecast(&policy, &[canary, second], noon).unwrap().len(), 1);
}

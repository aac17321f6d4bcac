//! What hosts lack, at their campaign's close; and the catalog as it is loaded.

use proptest::prelude::*;
use tidegate_events::event::{Answer, Described, RosterMember};
use tidegate_events::id::CampaignId;
use tidegate_events::kev::KevLoad;
use tidegate_events::patch::{Lacking, Lacks};

use super::*;
use crate::decide::Outcome;

const FOUND: &str = "2026-11-01T08:00:00Z";
const CLOSED: &str = "2026-11-01T10:00:00Z";

fn rules_with(by_cve: &str) -> Policy {
    policy::parse(&format!("{RULES}\n[by_cve]\n{by_cve}\n"), "t.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn catalog(version: &str, due: &[(&str, &str)]) -> KevLoad {
    let due = due.iter().map(|(cve, due)| ((*cve).to_owned(), due.parse().unwrap())).collect();
    KevLoad { version: version.into(), released: None, due, force: false, by: "dana".parse().unwrap(), comment: String::new() }
}

fn patch(severity: &str, cves: &str) -> MissingPatch {
    MissingPatch::read("KB5068861", severity, cves)
}

fn lacking(n: u32, missing: Option<Vec<MissingPatch>>) -> Lacking {
    Lacking { instance: key(n).instance, missing }
}

impl World {
    /// Hands an event in and gives what became of it.
    fn outcome(&mut self, event: &Event, now: &str) -> Outcome {
        let mut outcome = None;
        let effective = BTreeMap::from([(self.policy.digest(), Arc::new(self.policy.clone()))]);
        while outcome.is_none() {
            let mut desk = Desk::new(at(now), &self.policy, &effective, &self.loaded);
            match crate::decide(&mut desk, event) {
                Ok(found) => outcome = Some(found),
                Err(Missing::Keys(keys)) => self.loaded.items.extend(keys.into_iter().map(|key| (key, None))),
                Err(Missing::Corrupt(what)) => panic!("{what}"),
            }
        }
        self.take(event, now);
        outcome.unwrap()
    }

    fn load(&mut self, catalog: KevLoad) -> Outcome {
        self.outcome(&Event::KevLoaded(Box::new(catalog)), FOUND)
    }

    /// Two hosts are found, their campaign closes, and this is what they lack.
    fn close(&mut self, lacking: Vec<Lacking>) -> Vec<Entry> {
        for n in 1..=2 {
            self.find(n, Compliance::NonCompliant, FOUND);
        }
        let campaign: CampaignId = "patch-t.1".parse().unwrap();
        self.take(&Event::Nudge(Nudge::Campaign(campaign.clone())), CLOSED);
        self.take(&Event::Answer(Answer::Listed { campaign: campaign.clone(), members: 2, chunks: 1 }), CLOSED);
        let members = (1..=2).map(|n| RosterMember { instance: key(n).instance, rule: None }).collect();
        let found = Ok((1..=2).map(|n| host(n, &[])).collect());
        let (account, region) = (key(1).account, key(1).region);
        self.take(
            &Event::Answer(Answer::Described(Box::new(Described { campaign, account, region, chunk: 0, members, found, ous: Vec::new(), lacking }))),
            CLOSED,
        )
        .0
    }

    fn due(&self, n: u32) -> Option<(String, String)> {
        due(self.target(n).deadline.clone())
    }
}

const STRICTEST: (&str, &str) = ("critical", "2026-12-01T08:00:00Z");

#[test]
fn a_due_date_of_the_catalog_is_the_deadline_with_its_version_and_the_rest_stays() {
    let mut world = World::new(rules_with("kev = true"));
    assert_eq!(world.load(catalog("2026.11.01", &[("CVE-2026-1111", "2026-11-05")])), Outcome::Accepted);
    let lists = vec![lacking(1, Some(vec![patch("Low", ""), patch("Low", "CVE-2026-9999")])), lacking(2, Some(vec![patch("Low", "CVE-2026-1111")]))];
    let entries = world.close(lists);
    assert_eq!(world.due(1), says(STRICTEST.0, STRICTEST.1), "what is there is only known to be low, but nothing becomes later by itself");
    assert_eq!(world.due(2), says("kev CVE-2026-1111", "2026-11-06T00:00:00Z"));
    let deadline = world.target(2).deadline.clone().unwrap();
    assert_eq!((deadline.source.as_str(), deadline.version.as_str(), deadline.since), ("CISA KEV catalog", "2026.11.01", at(FOUND)));
    let lacks = |n| world.target(n).lacks.clone().unwrap().lacks;
    assert_eq!(lacks(1), Lacks { severities: [(Severity::Low, 2)].into(), exploited: Some(0), kev: Some("2026.11.01".into()) });
    assert_eq!(lacks(2).exploited, Some(1));
    let Some(Entry::ChunkDescribed { due, deadlines, lacks, .. }) = entries.first() else { panic!("{entries:?}") };
    assert_eq!((due[&key(2).instance], deadlines.len(), lacks.len()), (at("2026-11-06T00:00:00Z"), 1, 2));
}

#[test]
fn what_could_not_be_read_changes_nothing() {
    for lists in [vec![], vec![lacking(1, None)], vec![lacking(1, Some(vec![]))], vec![lacking(7, Some(vec![patch("Low", "CVE-2026-1111")]))]] {
        for relax in ["", "relax = true"] {
            let mut world = World::new(rules_with(relax));
            world.load(catalog("2026.11.01", &[("CVE-2026-1111", "2026-11-05")]));
            world.close(lists.clone());
            assert_eq!((world.due(1), world.target(1).lacks.clone()), (says(STRICTEST.0, STRICTEST.1), None), "{lists:?}");
        }
    }
}

#[test]
fn without_a_catalog_nobody_says_what_is_exploited() {
    let mut world = World::new(rules_with("kev = true"));
    world.close(vec![lacking(1, Some(vec![patch("Low", "CVE-2026-1111")]))]);
    assert_eq!(world.due(1), says(STRICTEST.0, STRICTEST.1));
    assert_eq!(world.target(1).lacks.clone().unwrap().lacks, Lacks { severities: [(Severity::Low, 1)].into(), exploited: None, kev: None });
}

#[test]
fn lists_are_not_looked_at_where_the_policy_does_not_ask() {
    let mut world = World::new(super::policy());
    let entries = world.close(vec![lacking(1, Some(vec![patch("Low", "CVE-2026-1111")]))]);
    assert_eq!(world.target(1).lacks, None);
    assert!(!serde_json::to_string(&entries).unwrap().contains("lacks"));
    assert!(!world.loaded.items.contains_key(&Key::kev()), "nobody reads the catalog");
}

#[test]
fn a_deadline_becomes_later_only_where_the_policy_lets_it_and_never_once_broken() {
    let low = || vec![lacking(1, Some(vec![patch("Low", "")]))];
    let mut world = World::new(rules_with("relax = true"));
    world.close(low());
    assert_eq!(world.due(1), says("rest", "2027-01-30T08:00:00Z"));
    // The same look-up of a target that broke its deadline.
    let mut world = World::new(rules_with("relax = true"));
    world.find(1, Compliance::NonCompliant, "2026-09-01T08:00:00Z");
    world.tick("2026-10-01T08:00:00Z");
    assert!(world.target(1).breached.is_some());
    world.close(low());
    assert_eq!(world.due(1), says("critical", "2026-10-01T08:00:00Z"));
    assert!(world.target(1).lacks.is_some());
    // A severity that no rule names says nothing about when.
    let text = "name = \"t\"\n[[sla]]\nname = \"critical\"\nseverity = [\"Critical\"]\ndays = 30\nsource = \"s\"\nversion = \"1\"\n[by_cve]\nrelax = true\n";
    let mut world = World::new(policy::parse(text, "t.toml").unwrap());
    world.close(low());
    assert_eq!(world.due(1), says("critical", "2026-12-01T08:00:00Z"));
}

#[test]
fn the_table_asks_who_is_exposed_and_takes_the_strictest_row_where_nobody_says() {
    let close = |by_cve: &str| {
        let mut world = World::new(rules_with(by_cve));
        world.load(catalog("2026.11.01", &[("CVE-2026-1111", "2027-11-05")]));
        world.close(vec![lacking(1, Some(vec![patch("Low", "CVE-2026-9999")])), lacking(2, Some(vec![patch("Low", "CVE-2026-1111")]))]);
        [world.due(1), world.due(2)]
    };
    let three_days = "2026-11-04T08:00:00Z";
    let unknown = close("table = \"bod-26-04\"");
    assert_eq!(unknown, [says("bod-26-04 CVE-2026-9999", three_days), says("bod-26-04 CVE-2026-1111", three_days)]);
    // Neither listed nor exposed: 60 days, which the finding's own 30 come before. The listed one is urgent all the same.
    let inside = close("table = \"bod-26-04\"\nexposed = { tags = { Exposure = \"public\" } }");
    assert_eq!(inside, [says(STRICTEST.0, STRICTEST.1), says("bod-26-04 CVE-2026-1111", three_days)]);
}

#[test]
fn a_policy_without_rules_of_its_own_has_deadlines_by_cve_and_tells_who_broke_them() {
    let mut world = World::new(policy::parse("name = \"t\"\n[by_cve]\n", "t.toml").unwrap());
    world.load(catalog("2026.11.01", &[("CVE-2026-1111", "2026-11-05")]));
    world.close(vec![lacking(1, Some(vec![patch("Low", "")])), lacking(2, Some(vec![patch("Low", "CVE-2026-1111")]))]);
    assert_eq!(world.due(1), None);
    assert_eq!(world.tick("2026-11-05T23:59:00Z"), Vec::<String>::new());
    let told = world.tick("2026-11-06T00:00:00Z");
    assert_eq!(
        told,
        ["1 target is past the deadline of the policy and not patched, by a due date of CISA's KEV catalog, now version 2026.11.01 (1 in all so far)"]
    );
    assert_eq!(world.target(2).breached, Some(at("2026-11-06T00:00:00Z")));
    assert_eq!(world.tick("2026-11-07T00:00:00Z"), Vec::<String>::new(), "once");
}

#[test]
fn a_catalog_is_loaded_once_and_no_older_one_takes_its_place_by_mistake() {
    let mut world = World::new(rules_with(""));
    let due: Vec<(String, String)> = (0..10).map(|n| (format!("CVE-2026-{n:04}"), "2026-11-05".to_owned())).collect();
    let all: Vec<(&str, &str)> = due.iter().map(|(cve, due)| (cve.as_str(), due.as_str())).collect();
    let newer = catalog("2026.11.08", &all);
    assert_eq!(world.load(newer.clone()), Outcome::Accepted);
    assert_eq!(world.load(KevLoad { by: "erin".parse().unwrap(), ..newer.clone() }), Outcome::Duplicate, "whoever loads it");
    let older = catalog("2026.11.01", &all);
    assert!(matches!(world.load(older.clone()), Outcome::Stale { why } if why.contains("2026.11.08")));
    let few = catalog("2026.11.15", &all[..4]);
    assert!(matches!(world.load(few.clone()), Outcome::Rejected { why } if why.contains("4 entries") && why.contains("has 10")));
    assert_eq!(world.load(KevLoad { force: true, ..older }), Outcome::Accepted);
    assert_eq!(world.load(KevLoad { force: true, ..few.clone() }), Outcome::Accepted);
    let Some(Some(State::Kev(kept))) = world.loaded.items.get(&Key::kev()) else { panic!("nothing is kept") };
    assert_eq!((kept.load.version.as_str(), kept.load.due.len(), kept.at), ("2026.11.15", 4, at(FOUND)));
    // Where both say when they were released, that counts.
    let released = |version: &str, when: &str| KevLoad { released: Some(at(when)), ..catalog(version, &all) };
    assert_eq!(world.load(released("2026.11.16", "2026-11-16T00:00:00Z")), Outcome::Accepted);
    assert!(matches!(world.load(released("2026.11.17", "2026-11-15T00:00:00Z")), Outcome::Stale { .. }));
}

#[test]
fn what_is_no_catalog_is_refused() {
    let mut world = World::new(rules_with(""));
    let one = catalog("2026.11.08", &[("CVE-2026-1111", "2026-11-05")]);
    let many = (0..=ENTRIES_MAX).map(|n| (format!("CVE-2026-{n:05}"), one.due["CVE-2026-1111"])).collect();
    for (wrong, why) in [
        (catalog("2026.11.08", &[]), "0 entries"),
        (KevLoad { due: many, ..one.clone() }, "8001 entries"),
        (catalog("2026.11.08", &[("cve-2026-1111", "2026-11-05")]), "`cve-2026-1111` is no CVE"),
        (catalog("2026.11.08", &[("CVE-2026-11111111111111111111", "2026-11-05")]), "is no CVE"),
        (catalog(" ", &[("CVE-2026-1111", "2026-11-05")]), "version is wrong"),
        (KevLoad { comment: "x".repeat(1_001), ..one }, "comment is too long"),
    ] {
        assert!(matches!(world.load(wrong), Outcome::Rejected { why: said } if said.contains(why)), "{why}");
    }
    assert!(!matches!(world.loaded.items.get(&Key::kev()), Some(Some(_))));
}

#[test]
fn the_largest_catalog_fits_an_item_and_a_line() {
    let due = (0..ENTRIES_MAX).map(|n| (format!("CVE-2026-{n:015}"), "2026-11-05".parse().unwrap())).collect();
    let load = KevLoad { due, comment: "é".repeat(1_000), ..catalog(&"é".repeat(64), &[]) };
    let entry = serde_json::to_vec(&Entry::KevLoaded(Box::new(load.clone()))).unwrap();
    let item = serde_json::to_vec(&State::Kev(Box::new(LoadedKev { load: load.clone(), at: at(FOUND) }))).unwrap();
    assert!(entry.len().max(item.len()) < 396 * 1024 - 4_096, "{} {}", entry.len(), item.len());
    assert_eq!(World::new(rules_with("")).load(load), Outcome::Accepted);
}

proptest! {
    /// By itself a list makes no deadline later. Where the policy lets it, none is later than what a rule says of what is there.
    #[test]
    fn no_deadline_is_later_than_the_rules_allow(severities in proptest::collection::vec(0usize..5, 0..6), listed in 0usize..3, relax: bool) {
        let mut world = World::new(rules_with(if relax { "relax = true" } else { "" }));
        world.load(catalog("2026.11.01", &[("CVE-2026-1111", "2026-11-05"), ("CVE-2026-2222", "2027-11-05")]));
        let cves = ["", "CVE-2026-1111", "CVE-2026-2222"][listed];
        let missing: Vec<MissingPatch> = severities.iter().map(|n| patch(Severity::ALL[*n].name(), cves)).collect();
        world.close(vec![lacking(1, Some(missing))]);
        let found = world.target(1).deadline.clone().unwrap().at;
        let (strictest, others) = (at(STRICTEST.1), at("2027-01-30T08:00:00Z"));
        let by_rule = if severities.is_empty() || severities.contains(&0) { strictest } else { others };
        let by_kev = if listed == 1 && !severities.is_empty() { at("2026-11-06T00:00:00Z") } else { Timestamp::MAX };
        let expected = if relax { by_rule.min(by_kev) } else { strictest.min(by_kev) };
        prop_assert_eq!(found, expected);
    }
}

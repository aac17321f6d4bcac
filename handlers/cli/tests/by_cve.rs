//! Deadlines by CVE as people meet them: of two hosts that lack as much, the one with a patch that is known to be exploited comes first; a due
//! date that passes is told with its source; who is not asked is not called; and who can't say changes nothing.

#![cfg(test)]

mod journal;

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_cli::drive::{Drive, People};
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_engine::impact;
use tidegate_events::Entry;
use tidegate_events::event::{Event, Subject};
use tidegate_events::fact::Operation;
use tidegate_events::host::Platform;
use tidegate_events::id::{InstanceId, TargetKey};
use tidegate_events::kev::KevLoad;
use tidegate_events::patch::Severity;
use tidegate_rules::deadline::Kev;
use tidegate_rules::decide::Outcome;
use tidegate_rules::state::Target;
use tidegate_rules::{Key, State, policy};
use tidegate_world::{AccountSpec, HostSpec, PatchSpec, Spec, World};

const CALL: &str = "ssm:DescribeInstancePatches";

/// CISA's feed, in short.
const FEED: &str = r#"{"title":"CISA Catalog of Known Exploited Vulnerabilities","catalogVersion":"2026.11.18","dateReleased":"2026-11-18T15:00:00.0000Z","count":3,
"vulnerabilities":[
 {"cveID":"CVE-2026-1111","vendorProject":"V","product":"P","vulnerabilityName":"N","dateAdded":"2026-11-18","shortDescription":"S","requiredAction":"A","dueDate":"2026-11-25","knownRansomwareCampaignUse":"Unknown","notes":"","cwes":["CWE-20"]},
 {"cveID":"CVE-2026-2222","dateAdded":"2026-11-18","dueDate":"no date"},
 {"cveID":"CVE-2026-3333","dateAdded":"2026-11-18","dueDate":"2026-12-09"}]}"#;

fn policy_with(more: &str) -> policy::Policy {
    let text = format!(
        "name = \"t\"\nenvironment = \"development\"\nfailure_budget = \"100%\"\n[collect]\ngather_secs = 600\n{more}\n\
         [blast_radius]\nwave = 1\naccount = \"100%\"\nregion = \"100%\"\norganization = \"100%\"\n[[wave]]\nname = \"all\"\n\
         [[sla]]\nname = \"all\"\ndays = 14\nsource = \"standard 7\"\nversion = \"2026\"\n"
    );
    policy::parse(&text, "t.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

const FREE: &str = "[approval]\nquorum = 0";
const ASKED: &str = "[approval]\nquorum = 1";
const BY_CVE: &str = "[by_cve]\nkev = true";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn start() -> Timestamp {
    at("2026-11-19T19:00:00Z")
}

fn host(n: u64) -> TargetKey {
    format!("111122223333/eu-west-1/i-{n:017x}").parse().unwrap()
}

/// Three hosts that lack one important patch each; that of `exploited` closes a CVE of the catalog.
fn estate(exploited: Option<u64>) -> Spec {
    let lacks = |n: u64| {
        let cve = if exploited == Some(n) { "CVE-2026-1111" } else { "CVE-2026-9999" };
        HostSpec::new(host(n), Platform::Linux).lacks(PatchSpec::new(&format!("openssl-{n}"), Severity::Important, &[cve])).found_after(60)
    };
    Spec { seed: 3, accounts: vec![AccountSpec::new("111122223333".parse().unwrap())], hosts: (1..=3).map(lacks).collect(), ..Spec::default() }
}

async fn drive(policy: policy::Policy, spec: Spec) -> Drive {
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start()), policy);
    Drive::new(engine, start(), People::default()).await.unwrap()
}

fn catalog() -> Event {
    let kev = Kev::parse(FEED.as_bytes()).unwrap();
    assert_eq!((kev.faults.len(), kev.len()), (1, 2), "a broken entry costs no neighbour");
    let (by, comment) = ("dana".parse().unwrap(), "weekly".to_owned());
    Event::KevLoaded(Box::new(KevLoad { version: kev.version.clone(), released: kev.released, due: kev.due(), force: false, by, comment }))
}

/// Hosts in the order of their installs.
fn installed(drive: &Drive) -> Vec<InstanceId> {
    drive.engine.cloud().sends().iter().filter(|sent| sent.operation == Operation::Install).flat_map(|sent| sent.instances.clone()).collect()
}

fn calls(drive: &Drive) -> u64 {
    drive.engine.cloud().api_calls().get(CALL).copied().unwrap_or(0)
}

fn target(drive: &Drive, n: u64) -> Target {
    match drive.checker.fold().items.get(&Key::target(&host(n))) {
        Some(State::Target(target)) => target.as_ref().clone(),
        other => panic!("{other:?}"),
    }
}

async fn settle(drive: &mut Drive) {
    drive.settle(&mut |_| {}).await.unwrap();
    drive.check_at_rest().await.unwrap();
    // The journal folds into what is stored, byte for byte.
    assert_eq!(drive.checker.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn who_lacks_a_patch_that_is_known_to_be_exploited_comes_first() {
    let mut before = drive(policy_with(FREE), estate(None)).await;
    settle(&mut before).await;
    let usual = installed(&before);
    assert_eq!((usual.len(), calls(&before)), (3, 0), "nobody asks what hosts lack");
    let last = (1..=3).find(|n| host(*n).instance == usual[2]).unwrap();

    let mut drive = drive(policy_with(&format!("{FREE}\n{BY_CVE}")), estate(Some(last))).await;
    assert_eq!(drive.ask(&catalog()).await.unwrap(), Outcome::Accepted);
    assert_eq!(drive.ask(&catalog()).await.unwrap(), Outcome::Duplicate);
    settle(&mut drive).await;
    assert_eq!(installed(&drive), [usual[2].clone(), usual[0].clone(), usual[1].clone()]);
    assert_eq!(calls(&drive), 3, "one call for each host, once");
    let due = journal::lines(&drive).await.into_iter().flat_map(|line| line.entries).find_map(|entry| match entry {
        Entry::ChunkDescribed { deadlines, .. } => Some(deadlines.into_iter().collect::<BTreeMap<_, _>>()),
        _ => None,
    });
    let due = due.unwrap();
    let deadline = &due[&usual[2]];
    assert_eq!((due.len(), deadline.at, deadline.sla.as_str()), (1, at("2026-11-26T00:00:00Z"), "kev CVE-2026-1111"));
    assert_eq!((deadline.source.as_str(), deadline.version.as_str()), ("CISA KEV catalog", "2026.11.18"));
    assert_eq!((target(&drive, last).deadline, target(&drive, last).lacks), (None, None), "patched: nothing is owed any more");
}

#[tokio::test]
async fn a_due_date_that_passes_is_told_with_its_source() {
    let mut drive = drive(policy_with(&format!("{ASKED}\n{BY_CVE}")), estate(Some(2))).await;
    drive.ask(&catalog()).await.unwrap();
    drive.move_to(at("2026-11-25T23:00:00Z"), &mut |_| {}).await.unwrap();
    let note = impact::impact(&drive.engine, &Subject::parse("patch-t.1").unwrap(), drive.now()).await.unwrap().unwrap().impact;
    assert_eq!((note.known_of, note.known_exploited, note.severities.unwrap().important), (3, Some(1), 3));
    assert!(target(&drive, 2).breached.is_none());
    drive.move_to(at("2026-11-26T00:20:00Z"), &mut |_| {}).await.unwrap();
    let broken = target(&drive, 2);
    assert_eq!(broken.breached, Some(at("2026-11-26T00:00:00Z")));
    assert_eq!(broken.deadline.map(|deadline| (deadline.source, deadline.version)), Some(("CISA KEV catalog".to_owned(), "2026.11.18".to_owned())));
    assert!(target(&drive, 1).breached.is_none(), "the finding's own fourteen days go on");
    let told: Vec<Entry> =
        journal::lines(&drive).await.into_iter().flat_map(|line| line.entries).filter(|entry| matches!(entry, Entry::BreachesTold { .. })).collect();
    assert_eq!(told, [Entry::BreachesTold { count: 1, kev: 1 }]);
    assert_eq!(drive.checker.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn without_a_catalog_or_an_answer_the_findings_deadline_stays() {
    // Nobody loaded a catalog.
    let mut unloaded = drive(policy_with(&format!("{ASKED}\n{BY_CVE}")), estate(Some(2))).await;
    unloaded.move_to(at("2026-11-20T00:00:00Z"), &mut |_| {}).await.unwrap();
    let known = target(&unloaded, 2);
    assert_eq!(known.deadline.map(|deadline| deadline.sla).as_deref(), Some("all"));
    assert_eq!(known.lacks.map(|known| (known.lacks.exploited, known.lacks.kev)), Some((None, None)));
}

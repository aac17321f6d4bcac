use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::store::Store;
use tidegate_events::bulk::BulkEntry;
use tidegate_events::fact::Operation;
use tidegate_events::host::Platform;
use tidegate_events::id::{AccountId, Region, TargetKey};
use tidegate_events::journal::Line;
use tidegate_events::run::{BulkRun, RebootOption, RunAmount, RunWave};
use tidegate_events::{Entry, run};
use tidegate_rules::State;
use tidegate_rules::policy::Policy;
use tidegate_world::{AccountSpec, AccountState, Fleet, HostSpec, RULE, Role, Trouble, World};

use super::*;
use crate::settle::Rest;
use crate::summary::Summary;

const WIDE: &str = r#"
name = "wide"
[belts]
targets_max = 1000000
share_max = "100%"
[blast_radius]
wave = "100%"
account = "100%"
region = "100%"
organization = "100%"
[collect]
gather_secs = 1200
"#;

fn policy(more: &str) -> Policy {
    tidegate_rules::policy::parse(&format!("{WIDE}{more}"), "wide.toml").unwrap()
}

fn start() -> Timestamp {
    simulate::start().unwrap()
}

fn people() -> People {
    People { approve_as: vec!["dana".parse().unwrap(), "erin".parse().unwrap()], resume_as: None }
}

fn account(n: u64) -> AccountId {
    AccountId::from_number(111_122_223_000 + n).unwrap()
}

const REGION: &str = "eu-west-1";

fn wave(name: &str, accounts: u64) -> RunWave {
    RunWave {
        name: name.into(),
        accounts: (0..accounts).map(account).collect(),
        regions: [REGION.parse().unwrap()].into(),
        tags: BTreeMap::new(),
        platforms: BTreeSet::new(),
        instances: BTreeSet::new(),
        operation: run::Operation::Install,
        reboot: None,
        max_concurrency: None,
        max_errors: None,
        pause_after_secs: Some(300),
    }
}

fn bulk(waves: Vec<RunWave>) -> BulkRun {
    BulkRun {
        name: Some("night".into()),
        dry_run: false,
        abort_on_issues: true,
        approval_required: None,
        comment: None,
        topic: None,
        notification_email: None,
        bedrock: None,
        pre_collect: false,
        custom_documents: BTreeMap::new(),
        waves,
    }
}

fn asked(run: BulkRun, id: &str, at: Timestamp) -> Event {
    Event::RunAsked(Box::new(RunAsked { id: id.into(), run, by: "dana".parse().unwrap(), at }))
}

fn key(n: u64, accounts: u64) -> TargetKey {
    TargetKey { account: account(n % accounts), region: REGION.parse::<Region>().unwrap(), instance: format!("i-{n:017x}").parse().unwrap() }
}

/// Hosts over accounts; every third lacks nothing, the others lack two patches and nobody says so. The first of ten is tagged.
fn quiet(hosts: u64, accounts: u64) -> Spec {
    let host = |n: u64| {
        let host = HostSpec::new(key(n, accounts), if n.is_multiple_of(4) { Platform::Windows } else { Platform::Linux }).missing(if n.is_multiple_of(3) {
            0
        } else {
            2
        });
        if n.is_multiple_of(10) { host.tag("PatchGroup", "canary") } else { host.tag("PatchGroup", "default") }
    };
    Spec { seed: 3, accounts: (0..accounts).map(|n| AccountSpec::new(account(n))).collect(), hosts: (0..hosts).map(host).collect(), ..Spec::default() }
}

struct Told {
    summary: Summary,
    rest: Rest,
    drive: Drive,
}

impl Told {
    fn world(&self) -> &World {
        self.drive.engine.cloud()
    }

    /// What the journal says of bulk runs.
    async fn entries(&self) -> Vec<Entry> {
        let lines = self.drive.engine.store().journal(0, usize::MAX).await.unwrap();
        lines.iter().flat_map(|(_, bytes)| serde_json::from_slice::<Line>(bytes).unwrap().entries).collect()
    }

    /// Hosts that the run left out, with the reason of each.
    async fn left_out(&self) -> BTreeMap<TargetKey, String> {
        let mut left = BTreeMap::new();
        for entry in self.entries().await {
            if let Entry::Bulk(BulkEntry::Listed { account, region, left_out, .. }) = entry {
                left.extend(left_out.into_iter().map(|(instance, why)| (TargetKey { account, region: region.clone(), instance }, why)));
            }
        }
        left
    }

    /// Installs by host.
    fn installs(&self) -> BTreeMap<TargetKey, u32> {
        let mut installs = BTreeMap::new();
        for sent in self.world().sends().iter().filter(|sent| sent.operation == Operation::Install) {
            for instance in &sent.instances {
                *installs.entry(TargetKey { account: sent.spoke.account, region: sent.spoke.region.clone(), instance: instance.clone() }).or_default() += 1;
            }
        }
        installs
    }

    fn holds(&self) {
        assert_eq!(self.summary.invariants.violations, Vec::<String>::new());
        assert_eq!(self.summary.commands.doubled, 0);
        assert_eq!(self.summary.targets.total, self.summary.targets.by_state.values().sum::<u64>());
    }
}

async fn begin(spec: Spec, policy: Policy) -> Drive {
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start()), policy);
    Drive::new(engine, start(), people()).await.unwrap()
}

async fn finish(mut drive: Drive) -> Told {
    let rest = drive.settle(&mut |_| {}).await.unwrap();
    drive.check_at_rest().await.unwrap();
    Told { summary: drive.summary(0), rest, drive }
}

async fn told(spec: Spec, policy: Policy, run: BulkRun) -> Told {
    let mut drive = begin(spec, policy).await;
    assert_eq!(drive.ask(&asked(run, "one", start())).await.unwrap(), Outcome::Accepted);
    finish(drive).await
}

fn tagged(name: &str, accounts: u64) -> RunWave {
    RunWave { tags: BTreeMap::from([("PatchGroup".to_owned(), BTreeSet::from(["canary".to_owned()]))]), ..wave(name, accounts) }
}

#[tokio::test]
async fn a_run_patches_whom_it_names_compliant_or_not_and_nobody_else() {
    let told = told(quiet(100, 4), policy(""), bulk(vec![tagged("canary", 2), wave("rest", 2)])).await;
    told.holds();
    assert!(!told.rest.needs_a_person(), "{:?}", told.rest);
    let installs = told.installs();
    let named: BTreeSet<TargetKey> = (0..100).map(|n| key(n, 4)).filter(|key| key.account <= account(1)).collect();
    assert_eq!(installs.keys().cloned().collect::<BTreeSet<_>>(), named);
    assert!(installs.values().all(|times| *times == 1));
    assert!(named.iter().all(|host| told.world().truth(host).unwrap().is_patched()));
    let [campaign] = told.summary.campaigns.as_slice() else { panic!("{:?}", told.summary.campaigns) };
    assert_eq!(campaign.state, "done");
    assert_eq!(campaign.waves.iter().map(|wave| (wave.name.as_str(), wave.targets)).collect::<Vec<_>>(), [("canary", 5), ("rest", 45)]);
    // Canaries are done before anybody else begins.
    let sends = told.world().sends();
    let first_of_rest =
        sends.iter().find(|sent| sent.instances.iter().any(|instance| u64::from_str_radix(&instance.as_str()[2..], 16).unwrap() % 10 != 0)).unwrap().at;
    let last_canary = sends.iter().filter(|sent| sent.at < first_of_rest).map(|sent| sent.at).max().unwrap();
    assert!(first_of_rest.duration_since(last_canary).as_secs() >= 300, "the pause is a bake");
}

#[tokio::test]
async fn the_digest_that_plan_shows_is_the_one_that_is_signed() {
    let fleet = Fleet::generate(4, 2, 160, 5);
    let accounts: BTreeSet<AccountId> = fleet.accounts.iter().map(|account| account.id).collect();
    let regions: BTreeSet<Region> = fleet.instances.iter().map(|instance| instance.region.clone()).collect();
    let everywhere = |wave: RunWave| RunWave { accounts: accounts.clone(), regions: regions.clone(), ..wave };
    let run = bulk(vec![
        RunWave { tags: BTreeMap::from([("PatchGroup".to_owned(), BTreeSet::from(["default".to_owned()]))]), ..everywhere(wave("one", 1)) },
        RunWave { max_concurrency: Some(RunAmount::ShareBps(1_000)), ..everywhere(wave("two", 1)) },
    ]);
    let group = "[[group]]\ntag = \"PatchGroup\"\navailable_min = \"75%\"\n";
    for more in ["", "[blast_radius.tag]\nkey = \"PatchGroup\"\nlimit = \"50%\"\n", group] {
        let policy = policy(more);
        let planned = Estate::from(fleet.clone()).plan(&policy, &run, start()).unwrap();
        let told = told(Spec::from_fleet(&fleet), policy, run.clone()).await;
        told.holds();
        let campaign = &told.summary.campaigns[0];
        assert_eq!(campaign.digest.as_deref(), Some(planned.digest.to_string().as_str()));
        assert_eq!(campaign.policy_digest, planned.policy_digest.to_string());
        assert_eq!(campaign.waves.iter().map(|wave| wave.targets).collect::<Vec<_>>(), planned.waves.iter().map(|wave| wave.targets).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_dry_run_sends_nothing_and_leaves_a_journal() {
    let run = BulkRun { dry_run: true, ..bulk(vec![wave("all", 4)]) };
    let told = told(quiet(60, 4), policy(""), run).await;
    told.holds();
    assert_eq!((told.summary.commands.install, told.summary.commands.scan, told.summary.commands.reboot), (0, 0, 0));
    for call in told.summary.api_calls.keys() {
        assert!(!call.starts_with("ssm:Send") && !call.starts_with("sns:"), "{call}");
    }
    assert_eq!(told.summary.campaigns[0].state, "done");
    assert!(!told.rest.needs_a_person());
    let cut: usize = told.entries().await.iter().map(|entry| if let Entry::CellCut { members, .. } = entry { members.len() } else { 0 }).sum();
    assert_eq!(cut, 60);
    assert_eq!(told.summary.targets.by_state["compliant"], 60);
}

#[tokio::test]
async fn a_run_that_installs_is_backed_up_and_one_that_only_looks_is_not() {
    let (whole, scan) = (bulk(vec![wave("all", 4)]), bulk(vec![RunWave { operation: run::Operation::Scan, ..wave("all", 4) }]));
    // A third lacks nothing. What the scan finds is patched afterwards by a campaign of its own, which backs up for itself.
    for (run, backups) in [(BulkRun { dry_run: true, ..whole.clone() }, 0), (scan, 40), (whole, 60)] {
        let spec = Spec { documents: vec!["Acme-Backup".into()], ..quiet(60, 4) };
        let told = told(spec, policy("[backup]\ndocument = \"Acme-Backup\"\n"), run).await;
        told.holds();
        let starts = told.world().starts();
        let hosts = starts.iter().flat_map(|start| start.instances.iter().map(|instance| (start.spoke.account, instance.clone())));
        assert_eq!(starts.iter().map(|start| start.instances.len()).sum::<usize>(), backups);
        assert_eq!(hosts.collect::<BTreeSet<_>>(), told.installs().into_keys().map(|key| (key.account, key.instance)).collect());
    }
}

#[tokio::test]
async fn a_run_that_is_taken_back_begins_nothing() {
    let stop = Event::RunStopped { asked: "one".into(), by: "orchestrator".parse().unwrap(), comment: "execution one is ABORTED".into() };
    let mut drive = begin(quiet(60, 4), policy("")).await;
    assert!(matches!(drive.ask(&stop).await.unwrap(), Outcome::Rejected { .. }), "nobody asked for it");
    // While its nodes are listed it is held, by its own pause; cut, it is over.
    let opened = drive.engine.handle(&asked(bulk(vec![tagged("canary", 2), wave("rest", 2)]), "one", start()), start()).await.unwrap();
    assert_eq!(drive.ask(&stop).await.unwrap(), Outcome::Accepted);
    drive.engine.run(opened.actions, start()).await.unwrap();
    assert_eq!(drive.ask(&stop).await.unwrap(), Outcome::Accepted);
    assert!(matches!(drive.ask(&stop).await.unwrap(), Outcome::Stale { .. }));
    let told = finish(drive).await;
    told.holds();
    assert!(told.installs().is_empty());
    let ends: Vec<String> =
        told.entries().await.into_iter().filter_map(|entry| if let Entry::CampaignEnded { why, .. } = entry { Some(why) } else { None }).collect();
    assert_eq!(ends, ["stopped by orchestrator: execution one is ABORTED"]);
    assert_eq!(told.summary.campaigns[0].state, "ended");
}

#[tokio::test]
async fn documents_of_a_runs_own_go_around_the_install_and_not_around_its_proof() {
    let own = run::CustomDocuments { pre_patch: Some("StopIt".into()), patch: None, post_patch: Some("LookAtIt".into()) };
    let of = |own: run::CustomDocuments| BulkRun { custom_documents: BTreeMap::from([(Platform::Linux, own)]), ..bulk(vec![wave("all", 2)]) };
    let told = told(quiet(40, 2), policy(""), of(own.clone())).await;
    told.holds();
    assert_eq!(told.summary.campaigns[0].state, "done");
    let hooked: Vec<_> = told.world().sends().into_iter().filter(|sent| sent.document == "AWS-RunPatchBaselineWithHooks").collect();
    assert!(!hooked.is_empty());
    for sent in told.world().sends() {
        let linux = sent.instances.iter().all(|instance| u64::from_str_radix(&instance.as_str()[2..], 16).unwrap() % 4 != 0);
        assert_eq!(sent.document == "AWS-RunPatchBaselineWithHooks", linux && sent.operation == Operation::Install, "{sent:?}");
        assert_eq!(sent.parameters.contains_key("PreInstallHookDocName"), linux && sent.operation == Operation::Install);
    }
    let mut drive = begin(quiet(4, 2), policy("")).await;
    let both = of(run::CustomDocuments { patch: Some("Own".into()), ..own });
    assert!(matches!(drive.ask(&asked(both, "both", start())).await.unwrap(), Outcome::Rejected { .. }));
}

#[tokio::test]
async fn a_scan_installs_nothing() {
    let run = bulk(vec![RunWave { operation: run::Operation::Scan, reboot: Some(RebootOption::NoReboot), ..wave("look", 4) }]);
    let told = told(quiet(60, 4), policy(""), run).await;
    told.holds();
    assert!(told.installs().is_empty() || told.summary.campaigns.len() > 1, "only what Config found afterwards is installed");
    let scans = told.world().sends();
    let first: Vec<_> = scans.iter().take_while(|sent| sent.operation == Operation::Scan).collect();
    assert_eq!(first.iter().map(|sent| sent.instances.len()).sum::<usize>(), 60);
    assert_eq!(told.summary.campaigns[0].state, "done");
}

#[tokio::test]
async fn a_spoke_that_lets_nobody_in_is_left_out_and_the_run_goes_on() {
    let mut spec = quiet(60, 4);
    spec.accounts[1].role = Role::Missing;
    spec.accounts[2].state = AccountState::Suspended;
    let told = told(spec, policy(""), bulk(vec![wave("all", 6)])).await;
    told.holds();
    assert_eq!(told.installs().len(), 30);
    let faults = told.entries().await.into_iter().filter(|entry| matches!(entry, Entry::Bulk(BulkEntry::Listed { fault: Some(_), last: true, .. }))).count();
    assert_eq!(faults, 4, "no role, suspended, and two that the organization does not have");
    assert_eq!(told.summary.campaigns[0].state, "done");
}

#[tokio::test]
async fn the_same_ask_twice_is_one_run_and_closed_ones_wait_in_order() {
    let mut drive = begin(quiet(40, 2), policy("")).await;
    let run = bulk(vec![wave("all", 2)]);
    assert_eq!(drive.ask(&asked(run.clone(), "one", start())).await.unwrap(), Outcome::Accepted);
    assert_eq!(drive.ask(&asked(run.clone(), "one", start())).await.unwrap(), Outcome::Duplicate);
    // Another run on the same hosts: they are in a wave already.
    assert_eq!(drive.ask(&asked(run.clone(), "two", start())).await.unwrap(), Outcome::Accepted);
    let wrong = drive.ask(&asked(run, "no such id!", start())).await.unwrap();
    assert!(matches!(wrong, Outcome::Rejected { .. }), "{wrong:?}");
    let told = finish(drive).await;
    told.holds();
    assert_eq!(told.summary.campaigns.len(), 2);
    assert!(told.summary.campaigns.iter().all(|campaign| campaign.state == "done"), "{:?}", told.summary.campaigns);
    let left = told.left_out().await;
    assert_eq!(left.len(), 40);
    assert!(left.values().all(|why| why.contains("wide.1 has it in a wave") || why.contains("holds it")), "{left:?}");
    assert!(told.installs().values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_run_over_its_own_errors_goes_on_where_it_says_so_and_the_policys_budget_halts_in_any_case() {
    let failing = |every: u64| {
        let mut spec = quiet(60, 2);
        for host in spec.hosts.iter_mut().step_by(usize::try_from(every).unwrap()) {
            host.missing = 2;
            host.troubles.push(Trouble::InstallFailsAlways);
        }
        spec
    };
    let of = |abort: bool| BulkRun { abort_on_issues: abort, ..bulk(vec![RunWave { max_errors: Some(RunAmount::Count(0)), ..wave("all", 2) }]) };
    let generous = "failure_budget = \"20%\"\n";
    // Six of sixty fail: more than the run's 0, fewer than the policy's 20 %.
    // Who failed once is left to its owner, so that no later campaign fails with it.
    let text = format!("{generous}{WIDE}[retry]\nattempts_max = 1\n");
    let policy = || tidegate_rules::policy::parse(&text, "generous.toml").unwrap();
    let halted = told(failing(10), policy(), of(true)).await;
    halted.holds();
    assert_eq!(halted.rest.halted.len(), 1);
    let passed = told(failing(10), policy(), of(false)).await;
    passed.holds();
    assert!(passed.rest.halted.is_empty(), "{:?}", passed.rest);
    assert_eq!(passed.entries().await.iter().filter(|entry| matches!(entry, Entry::Bulk(BulkEntry::ErrorsPassed { .. }))).count(), 1);
    assert_eq!(passed.summary.campaigns[0].state, "done");
    let over = told(failing(2), policy(), of(false)).await;
    over.holds();
    assert_eq!(over.rest.halted.len(), 1, "the policy's budget is not the run's to pass over");
}

#[tokio::test]
async fn a_rejected_run_gives_everybody_back() {
    let mut spec = quiet(40, 2);
    for (n, host) in spec.hosts.iter_mut().enumerate().filter(|(n, host)| n % 2 == 0 && host.missing > 0) {
        host.finding_after_secs = Some(30 + n as u64);
        host.announce = true;
    }
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start()), policy(""));
    let mut drive = Drive::new(engine, start(), People::default()).await.unwrap();
    drive.move_to(start() + jiff::SignedDuration::from_secs(300), &mut |_| {}).await.unwrap();
    let now = drive.now();
    drive.ask(&asked(bulk(vec![wave("all", 2)]), "one", now)).await.unwrap();
    let fold = drive.checker.fold();
    let campaign = fold
        .items
        .values()
        .find_map(|state| {
            if let State::Campaign(campaign) = state
                && campaign.bulk.is_some()
            {
                Some(campaign.clone())
            } else {
                None
            }
        })
        .unwrap();
    let ask = campaign.asked.first().unwrap();
    let no = tidegate_events::event::Approval {
        subject: ask.subject.clone(),
        digest: ask.digest,
        word: tidegate_events::event::Word::Reject,
        by: "dana".parse().unwrap(),
        at: now,
        comment: "not tonight".into(),
    };
    assert_eq!(drive.ask(&Event::Approval(no)).await.unwrap(), Outcome::Accepted);
    let told = finish(drive).await;
    told.holds();
    assert!(told.installs().is_empty());
    // Whoever had a finding waits for the next campaign; nothing is owed to the others.
    assert!(told.summary.targets.by_state["in_wave"] + told.summary.targets.by_state["queued"] > 5, "{:?}", told.summary.targets);
    assert!(told.summary.targets.by_state["compliant"] >= 20, "{:?}", told.summary.targets);
}

/// Twice as many Config events as hosts (every account has two rules) while a run names the same hosts: as findings come in,
/// and again while they are being patched.
async fn storm(hosts: u64, accounts: u64) -> Told {
    let mut spec = quiet(hosts, accounts);
    for account in &mut spec.accounts {
        account.rules = vec![RULE.to_owned(), "ec2-managedinstance-patch-compliance-status-check-conformance-pack-a1b2c3".to_owned()];
    }
    for (n, host) in (0u64..).zip(&mut spec.hosts) {
        host.missing = 2;
        host.finding_after_secs = Some(60 + n * 2_400 / hosts);
        host.announce = true;
    }
    let mut drive = begin(spec, policy("")).await;
    drive.count_deliveries();
    for (at, id) in [(600, "early"), (1_900, "late"), (2_400, "later")] {
        drive.move_to(start() + jiff::SignedDuration::from_secs(at), &mut |_| {}).await.unwrap();
        let now = drive.now();
        let run = bulk(vec![tagged("canary", accounts), RunWave { pause_after_secs: Some(0), ..wave("rest", accounts) }]);
        assert_eq!(drive.ask(&asked(run, id, now)).await.unwrap(), Outcome::Accepted);
    }
    finish(drive).await
}

async fn weather(hosts: u64, accounts: u64) {
    let told = storm(hosts, accounts).await;
    told.holds();
    assert_eq!(told.summary.targets.total, hosts);
    assert!(told.summary.events.read >= 2 * hosts, "{:?}", told.summary.events);
    let counts = told.world().counts();
    assert_eq!((counts.doubled, counts.overlaps, counts.mismarked), (0, 0, 0));
    for host in told.world().hosts() {
        assert!(told.world().truth(&host).unwrap().is_patched(), "{host}");
    }
    for moving in ["queued", "in_wave", "running", "verifying"] {
        assert_eq!(told.summary.targets.by_state[moving], 0, "{moving}");
    }
    // Every host that a later run met was somebody else's already, or done: it says which.
    let left = told.left_out().await;
    assert!(!left.is_empty());
    let most = told.installs().values().max().copied().unwrap();
    println!(
        "{hosts} hosts, {} events, at most {most} installs on one, {} left out of a run, {:?}",
        told.summary.events.read,
        left.len(),
        told.summary.commands
    );
}

#[tokio::test]
async fn findings_and_runs_on_the_same_hosts_never_meet_in_two_batches() {
    weather(250, 5).await;
}

/// What it counted: `cargo test -p tidegate --lib ten_thousand -- --nocapture`
#[tokio::test]
async fn ten_thousand_events_and_runs_on_five_thousand_hosts() {
    weather(5_000, 50).await;
}

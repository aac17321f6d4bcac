//! The backup before an install as people meet it: nobody is patched before the copy is made, a host whose backup fails is left as it
//! is, a lost answer makes no second copy, a second attempt in the same night needs none, and neither window nor stop cord is overrun.

#![cfg(test)]

mod journal;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tidegate_cli::drive::{Drive, People};
use tidegate_cli::settle::Rest;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_engine::ports::Cloud as _;
use tidegate_events::Entry;
use tidegate_events::entry::{RunStep, Standing};
use tidegate_events::event::Event;
use tidegate_events::host::Platform;
use tidegate_events::id::TargetKey;
use tidegate_rules::policy;
use tidegate_world::{AccountSpec, Draw, Faults, HostSpec, Spec, Trouble, World};

const RUNBOOK: &str = "Acme-Backup";
const PLAIN: &str = "[backup]\ndocument = \"Acme-Backup\"";

/// A canary of a tenth and the rest, nobody asked, everything at once; `more` is what a test is about.
fn policy_with(budget: &str, more: &str) -> policy::Policy {
    let text = format!(
        "name = \"t\"\nenvironment = \"development\"\nfailure_budget = {budget}\n{more}\n[collect]\ngather_secs = 600\n[approval]\nquorum = 0\n\
         [blast_radius]\nwave = \"100%\"\naccount = \"100%\"\nregion = \"100%\"\norganization = \"100%\"\n[retry]\nattempts_max = 3\nbackoff_secs = 600\n\
         owner = \"the owner\"\n[[wave]]\nname = \"canary\"\nshare = \"10%\"\nbake_secs = 600\n[[wave]]\nname = \"rest\"\nbake_secs = 600\n"
    );
    policy::parse(&text, "t.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn start() -> Timestamp {
    "2026-11-19T19:00:00Z".parse().unwrap()
}

fn key(n: u64) -> TargetKey {
    format!("111122223333/eu-west-1/i-{n:017x}").parse().unwrap()
}

fn found(n: u64) -> HostSpec {
    HostSpec::new(key(n), Platform::Linux).missing(2).found_after(60)
}

fn estate(hosts: impl IntoIterator<Item = HostSpec>) -> Spec {
    let account = AccountSpec::new(key(0).account);
    Spec { seed: 3, accounts: vec![account], hosts: hosts.into_iter().collect(), documents: vec![RUNBOOK.into()], ..Spec::default() }
}

async fn drive(policy: policy::Policy, spec: Spec) -> Drive {
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start()), policy);
    Drive::new(engine, start(), People::default()).await.unwrap()
}

/// Where somebody lets every halted lane go on.
async fn drive_on(policy: policy::Policy, spec: Spec) -> Drive {
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start()), policy);
    let people = People { approve_as: Vec::new(), resume_as: Some("kim".parse().unwrap()) };
    Drive::new(engine, start(), people).await.unwrap()
}

async fn settled(drive: &mut Drive) -> Rest {
    let rest = drive.settle(&mut |_| {}).await.unwrap();
    drive.check_at_rest().await.unwrap();
    assert_eq!(drive.checker.violations(), Vec::<String>::new());
    rest
}

async fn entries(drive: &Drive) -> Vec<(Timestamp, Entry)> {
    journal::lines(drive).await.into_iter().flat_map(|line| line.entries.into_iter().map(move |entry| (line.at, entry))).collect()
}

/// Backups that were begun of each host.
fn backups(drive: &Drive) -> BTreeMap<String, usize> {
    let mut of = BTreeMap::new();
    for start in drive.engine.cloud().starts() {
        assert_eq!((start.document.as_str(), start.target_parameter.as_str()), (RUNBOOK, "InstanceId"));
        for instance in &start.instances {
            *of.entry(instance.to_string()).or_default() += 1;
        }
    }
    of
}

fn installs(drive: &Drive) -> usize {
    drive.engine.cloud().sends().iter().filter(|send| send.marker.contains("/install/")).map(|send| send.instances.len()).sum()
}

fn patched(drive: &Drive) -> BTreeSet<String> {
    let world = drive.engine.cloud();
    world.hosts().iter().filter(|key| world.truth(key).unwrap().is_patched()).map(|key| key.instance.to_string()).collect()
}

#[tokio::test]
async fn nobody_is_patched_before_the_copy_is_made() {
    let mut drive = drive(policy_with("0", PLAIN), estate((0..30).map(found))).await;
    let rest = settled(&mut drive).await;
    assert!(!rest.needs_a_person(), "{rest:?}");
    assert_eq!((patched(&drive).len(), backups(&drive).len(), installs(&drive)), (30, 30, 30));
    assert!(backups(&drive).values().all(|times| *times == 1));
    // Each install is sent after the journal has said of everybody in it that the backup succeeded.
    let mut safe = BTreeSet::new();
    let mut sent = 0;
    for (_, entry) in entries(&drive).await {
        match entry {
            Entry::BackedUp { batch, members } => safe.extend(members.into_iter().map(|member| (batch.clone(), member))),
            Entry::Sending { batch, step: RunStep::Install, .. } => {
                sent += 1;
                assert!(safe.iter().any(|(of, _)| *of == batch), "batch {batch} was installed without a backup");
            }
            _ => {}
        }
    }
    assert!(sent >= 2 && safe.len() == 30, "{sent} {}", safe.len());
}

#[tokio::test]
async fn without_a_rule_nothing_is_backed_up() {
    let mut drive = drive(policy_with("0", ""), estate((0..12).map(found))).await;
    settled(&mut drive).await;
    assert_eq!((patched(&drive).len(), backups(&drive).len()), (12, 0));
}

#[tokio::test]
async fn a_host_whose_backup_fails_is_left_as_it_is_and_counts_as_failed() {
    let hosts = (0..12).map(|n| if n == 7 { found(n).trouble(Trouble::BackupFails { times: 99 }) } else { found(n) });
    let mut drive = drive_on(policy_with("\"100%\"", PLAIN), estate(hosts)).await;
    let rest = settled(&mut drive).await;
    let left = key(7);
    assert_eq!(drive.engine.cloud().truth(&left).unwrap().missing, 2, "nothing was installed");
    assert_eq!(patched(&drive).len(), 11, "its neighbours were patched all the same");
    assert_eq!(backups(&drive)[left.instance.as_str()], 3, "one for each attempt that the policy allows: {rest:?}");
    let entries = entries(&drive).await;
    let said: Vec<String> = entries
        .iter()
        .filter_map(|(_, entry)| match entry {
            Entry::Released { outcomes, .. } => outcomes.iter().find(|outcome| outcome.instance == left.instance).map(|outcome| outcome.why.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(said, vec!["its backup ended as `Failed`: nothing was installed"; 3]);
    assert!(entries.iter().any(|(_, entry)| matches!(entry, Entry::Released { outcomes, .. }
        if outcomes.iter().any(|outcome| outcome.instance == left.instance && matches!(&outcome.to, Standing::Quarantined { owner, .. } if owner == "the owner")))));
}

#[tokio::test]
async fn a_backup_that_does_not_end_is_given_up_and_its_neighbours_go_on() {
    let hosts = (0..12).map(|n| if n == 7 { found(n).trouble(Trouble::BackupHangs) } else { found(n) });
    let mut drive = drive_on(policy_with("\"100%\"", &format!("{PLAIN}\ntimeout_secs = 600")), estate(hosts)).await;
    settled(&mut drive).await;
    assert_eq!(patched(&drive).len(), 11);
    let said: Vec<String> = entries(&drive)
        .await
        .into_iter()
        .filter_map(|(_, entry)| match entry {
            Entry::Released { outcomes, .. } => outcomes.into_iter().find(|outcome| outcome.instance == key(7).instance).map(|outcome| outcome.why),
            _ => None,
        })
        .collect();
    assert_eq!(said, vec!["its backup did not end in time: nothing was installed"; 3]);
    // What was given up was stopped, too: nothing of it runs on.
    let world = drive.engine.cloud();
    for start in world.starts().iter().filter(|start| start.instances.contains(&key(7).instance)) {
        let lines = world.execution(&start.spoke, &start.execution).await.unwrap();
        assert!(lines.iter().all(|line| line.status.is_final()), "{lines:?}");
    }
}

#[tokio::test]
async fn backups_that_fail_over_the_budget_halt_the_lane() {
    let hosts = (0..12).map(|n| found(n).trouble(Trouble::BackupFails { times: 1 }));
    let mut drive = drive(policy_with("0", PLAIN), estate(hosts)).await;
    let rest = settled(&mut drive).await;
    assert_eq!((rest.halted.len(), patched(&drive).len(), installs(&drive)), (1, 0, 0));
    assert_eq!(backups(&drive).len(), 1, "the canary alone was tried");
}

#[tokio::test]
async fn a_runbook_that_is_not_there_installs_nothing() {
    let mut drive = drive(policy_with("0", "[backup]\ndocument = \"Acme-Forgotten\""), estate((0..12).map(found))).await;
    let rest = settled(&mut drive).await;
    assert_eq!((rest.halted.len(), patched(&drive).len(), installs(&drive)), (1, 0, 0));
    let why = entries(&drive).await.into_iter().find_map(|(_, entry)| match entry {
        Entry::Released { outcomes, .. } => outcomes.first().map(|outcome| outcome.why.clone()),
        _ => None,
    });
    assert!(why.as_deref().is_some_and(|why| why.starts_with("SSM refused the backup: AutomationDefinitionNotFoundException")), "{why:?}");
}

#[tokio::test]
async fn a_second_attempt_in_the_same_night_needs_no_second_copy() {
    for (reuse, copies) in [("", 1), ("\nreuse_secs = 0", 2)] {
        let hosts = (0..12).map(|n| if n == 4 { found(n).trouble(Trouble::InstallFails { times: 1 }) } else { found(n) });
        let mut drive = drive_on(policy_with("\"100%\"", &format!("{PLAIN}{reuse}")), estate(hosts)).await;
        settled(&mut drive).await;
        assert_eq!((patched(&drive).len(), installs(&drive)), (12, 13));
        let of = backups(&drive);
        assert_eq!(of[key(4).instance.as_str()], copies);
        assert_eq!(of.values().sum::<usize>(), 11 + copies);
    }
}

#[tokio::test]
async fn a_backup_that_no_install_can_follow_is_not_begun() {
    // Four hours are open; a backup may take three and the install two.
    let window = "execution_timeout_secs = 7200\n[[window]]\nname = \"night\"\ncron = \"0 22 * * ? *\"\ntime_zone = \"UTC\"\nduration_secs = 14400\n";
    let rule = "[backup]\ndocument = \"Acme-Backup\"\ntimeout_secs = 10800";
    let mut never = drive(policy_with("0", &format!("{window}{rule}")), estate((0..3).map(found))).await;
    let later = start().checked_add(SignedDuration::from_hours(72)).unwrap();
    never.move_to(later, &mut |_| {}).await.unwrap();
    assert_eq!((backups(&never).len(), installs(&never)), (0, 0));
    let held = entries(&never).await.iter().any(|(_, entry)| matches!(entry, Entry::CellHeld { hold, .. } if hold.kind() == "too_late_in_window"));
    assert!(held, "nobody says why nothing happens");
    assert_eq!(never.checker.violations(), Vec::<String>::new());
    // With an hour for each, everything begins and ends in the first night.
    let mut night = drive(policy_with("0", &format!("{}{PLAIN}", window.replace("7200", "3600"))), estate((0..3).map(found))).await;
    settled(&mut night).await;
    assert_eq!(patched(&night).len(), 3);
    let cutoff: Timestamp = "2026-11-20T02:00:00Z".parse().unwrap();
    for (at, entry) in entries(&night).await {
        if let Entry::Sending { step: RunStep::Backup | RunStep::Install, .. } = entry {
            assert!(at >= "2026-11-19T22:00:00Z".parse().unwrap() && at < cutoff, "{at}");
        }
    }
}

/// Pulls the cord as soon as the first backup runs, and lets it go two hours later.
async fn pulled(kill: bool) -> Drive {
    let mut drive = drive(policy_with("0", PLAIN), estate((0..12).map(found))).await;
    while drive.engine.cloud().starts().is_empty() {
        let next = drive.now().checked_add(SignedDuration::from_secs(5)).unwrap();
        drive.move_to(next, &mut |_| {}).await.unwrap();
    }
    let by = "kim".parse().unwrap();
    drive.ask(&Event::Cord { pulled: true, by, kill, comment: "INC-9".into() }).await.unwrap();
    let later = drive.now().checked_add(SignedDuration::from_hours(2)).unwrap();
    drive.move_to(later, &mut |_| {}).await.unwrap();
    assert_eq!((installs(&drive), patched(&drive).len()), (0, 0), "nothing is installed while the cord is pulled");
    drive
}

#[tokio::test]
async fn the_stop_cord_keeps_the_install_from_following() {
    for kill in [false, true] {
        let mut drive = pulled(kill).await;
        let by = "kim".parse().unwrap();
        drive.ask(&Event::Cord { pulled: false, by, kill: false, comment: "over".into() }).await.unwrap();
        settled(&mut drive).await;
        assert_eq!(patched(&drive).len(), 12);
        let twice = backups(&drive).into_values().filter(|times| *times > 1).count();
        // What was stopped half-way is no backup; what ended by itself still is one.
        assert_eq!(twice, usize::from(kill));
        let failed = entries(&drive)
            .await
            .iter()
            .any(|(_, entry)| matches!(entry, Entry::Released { outcomes, .. } if outcomes.iter().any(|o| o.verdict.is_some_and(|v| v.name() == "failed"))));
        assert!(!failed, "the stop cord fails nobody");
    }
}

#[tokio::test]
async fn whatever_the_line_loses_each_copy_is_made_once_and_each_install_once() {
    for seed in 0..24 {
        let mut hosts: Vec<HostSpec> = (0..20).map(found).collect();
        for host in &mut hosts {
            match Draw::new(seed, "trouble").text(host.key.instance.as_str()).between(0, 9) {
                0 => host.troubles.push(Trouble::BackupFails { times: 1 }),
                1 => host.troubles.push(Trouble::InstallFails { times: 1 }),
                _ => {}
            }
        }
        let faults = Faults { send_answer_lost: 300, send_lost: 200, send_throttled: 200, event_lost: 300, event_repeated: 300, ..Faults::none() };
        let mut drive = drive_on(policy_with("\"100%\"", PLAIN), Spec { seed, faults, ..estate(hosts.clone()) }).await;
        drive.count_deliveries();
        let rest = settled(&mut drive).await;
        assert_eq!(drive.summary(seed).commands.doubled, 0, "seed {seed}");
        assert_eq!(patched(&drive).len(), 20, "seed {seed}: {rest:?}");
        let of = backups(&drive);
        for host in &hosts {
            let times = 1 + usize::from(host.troubles.contains(&Trouble::BackupFails { times: 1 }));
            assert_eq!(of[host.key.instance.as_str()], times, "seed {seed}, {}", host.key);
        }
    }
}

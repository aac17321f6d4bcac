//! `kill -9` of real processes, at any moment: nothing is lost, nothing is sent twice.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_events::fact::Operation;
use tidegate_tests::process::{Service, awaited, killed_after, tidegate};
use tidegate_world::{Spec, World};

/// Findings of so many instances in three accounts and two Regions, a second after each other, one JSON line each.
fn findings(count: usize) -> String {
    let first: Timestamp = "2026-11-19T19:04:05Z".parse().expect("a time");
    let event = |number: usize| {
        let account = ["111122223333", "444455556666", "777788889999"][number % 3];
        let region = ["us-east-1", "eu-west-1"][number / 3 % 2];
        let resource = format!("AWS::SSM::ManagedInstanceInventory/i-{number:017x}");
        let qualifier = json!({
            "configRuleName": "ec2-managedinstance-patch-compliance-status-check",
            "resourceType": "AWS::SSM::PatchCompliance",
            "resourceId": resource,
        });
        let time = first + Duration::from_secs(u64::try_from(number).expect("a small number"));
        json!({
            "version": "0",
            "id": format!("c0bb891c-77fe-8518-14fc-{number:012x}"),
            "detail-type": "Config Rules Compliance Change",
            "source": "aws.config",
            "account": account,
            "time": time,
            "region": region,
            "resources": [],
            "detail": {
                "resourceId": resource,
                "awsRegion": region,
                "awsAccountId": account,
                "configRuleName": "ec2-managedinstance-patch-compliance-status-check",
                "recordVersion": "1.0",
                "messageType": "ComplianceChangeNotification",
                "newEvaluationResult": {
                    "evaluationResultIdentifier": { "evaluationResultQualifier": qualifier, "orderingTimestamp": "2026-11-19T19:03:50.251Z" },
                    "complianceType": "NON_COMPLIANT",
                    "resultRecordedTime": time,
                },
                "notificationCreationTime": time,
                "resourceType": "AWS::SSM::PatchCompliance",
            },
        })
    };
    (0..count).map(|number| event(number).to_string() + "\n").collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a count"))
}

/// What the organization was really asked for: it keeps that in a file of its own, whoever is killed.
fn each_host_got_one_install(store: &Path, hosts: usize) {
    let mut file = store.as_os_str().to_owned();
    file.push(".world");
    let world = World::open(Spec::default(), Timestamp::UNIX_EPOCH, Some(Path::new(&file))).expect("the world opens");
    let counts = world.counts();
    assert_eq!((counts.doubled, counts.overlaps, counts.mismarked), (0, 0, 0), "{counts:?}");
    let mut installs: BTreeMap<String, u32> = BTreeMap::new();
    for sent in world.sends().iter().filter(|sent| sent.operation == Operation::Install) {
        for instance in &sent.instances {
            *installs.entry(instance.to_string()).or_default() += 1;
        }
    }
    assert_eq!(installs.len(), hosts);
    let more: Vec<_> = installs.iter().filter(|(_, times)| **times != 1).collect();
    assert!(more.is_empty(), "more than one Install: {more:?}");
    assert!(world.hosts().iter().all(|host| world.truth(host).is_some_and(|truth| truth.is_patched())));
}

#[test]
fn a_replay_that_is_killed_again_and_again_ends_as_one_that_is_not() {
    let folder = TempDir::new().expect("a folder");
    let input = folder.path().join("findings.jsonl");
    std::fs::write(&input, findings(150)).expect("an input");
    let store = |name: &str| folder.path().join(name).display().to_string();
    let args = |store: &str| -> Vec<String> {
        let input = input.display().to_string();
        ["replay", &input, "--store", store, "--approve-as", "dana", "--approve-as", "erin", "--json"].map(str::to_owned).to_vec()
    };
    drop(tidegate_tests::binary::tidegate());
    let begun = Instant::now();
    let (whole, broken) = (args(&store("whole.db")), args(&store("broken.db")));
    let (whole, broken): (Vec<&str>, Vec<&str>) = (whole.iter().map(String::as_str).collect(), broken.iter().map(String::as_str).collect());
    let expected = tidegate(&whole).expect("it runs");
    assert_eq!(expected.code, Some(0), "{expected:?}");
    let expected = expected.json().expect("a summary");
    // Shares of an undisturbed run, so that a slow machine is hit in the same places as a fast one.
    let took = begun.elapsed();
    let mut kills = 0;
    for share in [2, 5, 9, 3, 12, 4, 6, 1, 7, 10, 3, 8] {
        kills += u32::from(killed_after(&broken, took * share / 100).expect("it runs"));
    }
    assert!(kills >= 6, "killed {kills} times only");
    let ended = tidegate(&broken).expect("it runs");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = ended.json().expect("a summary");
    for part in ["targets", "verdicts"] {
        assert_eq!(ended[part], expected[part], "{part}");
    }
    assert_eq!(ended["invariants"]["violations"], json!([]));
    assert_eq!((number(&ended["commands"]["doubled"]), number(&ended["events"]["read"])), (0, 150));
    assert_eq!(number(&ended["targets"]["by_state"]["compliant"]), 150);
    each_host_got_one_install(Path::new(&store("broken.db")), 150);

    let again = tidegate(&broken).expect("it runs");
    let again = again.json().expect("a summary");
    assert_eq!(number(&again["events"]["accepted"]), 0, "the store has seen all of it: {}", again["events"]);
    assert_eq!((&again["targets"], &again["commands"]), (&ended["targets"], &ended["commands"]));
}

#[test]
fn a_service_that_is_killed_goes_on_where_it_was() {
    const HOSTS: usize = 24;
    let folder = TempDir::new().expect("a folder");
    let store = folder.path().join("tidegate.db");
    let known = |status: &Value| number(&status["targets"]["total"]);
    let compliant = |status: &Value| number(&status["targets"]["by_state"]["compliant"]);
    let input = findings(HOSTS);

    let service = Service::start(&store).expect("it listens");
    let answer = service.post(&input).expect("it answers");
    assert_eq!(number(&answer["events"]["accepted"]), 24, "{answer}");
    service.kill().expect("it ran");

    let service = Service::start(&store).expect("it listens again");
    assert_eq!(known(&service.status().expect("it answers")), 24, "what was accepted is known");
    let answer = service.post(&input).expect("it answers");
    assert_eq!(number(&answer["events"]["duplicate"]), 24, "{answer}");
    let asked = awaited("an approval is asked for", || Ok(service.status()?["awaiting_approval"][0]["subject"].as_str().map(str::to_owned)));
    let asked = asked.expect("the campaign closes");
    service.approve(&asked, "dana").expect("the first yes");
    service.kill().expect("it ran");

    let service = Service::start(&store).expect("it listens once more");
    let status = service.status().expect("it answers");
    assert_eq!((number(&status["awaiting_approval"][0]["have"]), number(&status["awaiting_approval"][0]["need"])), (1, 2), "a yes is kept: {status}");
    service.approve(&asked, "erin").expect("the second yes");
    drop(service);

    // Killed whenever something was reached, and while it works on it.
    for reached in [1, 3, 7, 12, 18] {
        let service = Service::start(&store).expect("it goes on");
        let what = format!("{reached} are compliant");
        awaited(&what, || Ok((compliant(&service.status()?) >= reached).then_some(()))).expect("it gets there");
        service.kill().expect("it ran");
    }
    let service = Service::start(&store).expect("it goes on");
    awaited("all are compliant", || Ok((compliant(&service.status()?) == 24).then_some(()))).expect("it gets there");
    awaited("the campaign is over", || Ok((service.status()?["campaigns"][0]["state"] == "done").then_some(()))).expect("it gets there");
    service.kill().expect("it ran");
    each_host_got_one_install(&store, HOSTS);
    let status = tidegate(&["status", "--store", &store.display().to_string(), "--json"]).expect("it runs");
    assert_eq!(status.code, Some(0), "nobody is needed any more: {status:?}");
}

#[test]
fn a_service_that_is_killed_while_it_takes_events_has_whole_ones() {
    const HOSTS: usize = 400;
    let folder = TempDir::new().expect("a folder");
    let input = findings(HOSTS);
    for (n, millis) in [1, 15, 60, 150].into_iter().enumerate() {
        let store = folder.path().join(format!("{n}.db"));
        let service = Service::start(&store).expect("it listens");
        let unread = service.send("POST", "/v1/events", &input).expect("it takes a request");
        std::thread::sleep(Duration::from_millis(millis));
        service.kill().expect("it ran");
        drop(unread);

        let service = Service::start(&store).expect("it listens again");
        let before = number(&service.status().expect("it answers")["targets"]["total"]);
        let answer = service.post(&input).expect("it answers");
        let (accepted, duplicate) = (number(&answer["events"]["accepted"]), number(&answer["events"]["duplicate"]));
        assert_eq!((duplicate, accepted + duplicate), (before, 400), "after {millis} ms {before} were in: {}", answer["events"]);
        assert_eq!(number(&service.status().expect("it answers")["targets"]["total"]), 400);
    }
}

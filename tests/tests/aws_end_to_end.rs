//! The whole system as it is deployed: real functions on a third party's queues, table and roles, real SDK calls into a simulated
//! organization, until every finding has ended. What `tests/rig/end_to_end.py` does, and what must have come of it.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate_tests::rig::{self, Clock, Ministack};

/// Spokes that work, in two Regions; one without the role; one suspended. As `tests/rig/deploy.py` makes the roles.
const SPOKES: [&str; 2] = ["111122223333", "222233334444"];
const WITHOUT_ROLE: &str = "333344445555";
const SUSPENDED: &str = "444455556666";

/// Systems Manager of the second spoke slows the functions down, between the SDK and the server: by instance, since every account
/// has the same address.
const THROTTLED: &str = r#"
rules:
- service: ssm
  operation: SendCommand
  body: "contains(InstanceIds, 'i-00000000000000020') || contains(InstanceIds, 'i-00000000000000021') || contains(InstanceIds, 'i-00000000000000030')"
  times: 4
  error: {code: ThrottlingException, message: Rate exceeded}
- service: ssm
  operation: DescribeInstancePatchStates
  body: "contains(InstanceIds, 'i-00000000000000020') || contains(InstanceIds, 'i-00000000000000031')"
  times: 3
  error: {code: ThrottlingException, message: Rate exceeded}
"#;

fn instance(account: &str, region: &str, number: usize) -> Value {
    json!({ "account": account, "region": region, "instance": format!("i-{number:017x}"), "platform": "Linux", "missing": 3 })
}

fn fleet() -> Value {
    let mut instances = Vec::new();
    for (place, (account, region)) in SPOKES.iter().flat_map(|account| ["us-east-1", "eu-west-1"].map(|region| (*account, region))).enumerate() {
        instances.extend((0..2).map(|number| instance(account, region, 16 * place + number)));
    }
    instances.push(instance(WITHOUT_ROLE, "us-east-1", 0x100));
    instances.push(instance(SUSPENDED, "us-east-1", 0x200));
    let account = |id: &str, state: &str| json!({ "id": id, "ous": ["root", "workloads"], "state": state });
    let mut accounts: Vec<Value> = SPOKES.iter().map(|id| account(id, "ACTIVE")).collect();
    accounts.extend([account(rig::HUB, "ACTIVE"), account(WITHOUT_ROLE, "ACTIVE"), account(SUSPENDED, "SUSPENDED")]);
    json!({ "schema": "tidegate.fleet/1", "accounts": accounts, "instances": instances })
}

/// What a server says at a path.
fn read(endpoint: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let host = endpoint.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn list<'a>(report: &'a Value, pointer: &str) -> Vec<&'a Value> {
    report.pointer(pointer).and_then(Value::as_array).map(|list| list.iter().collect()).unwrap_or_default()
}

fn standing<'a>(report: &'a Value, key: &str) -> &'a str {
    report["standings"][key]["standing"]["state"].as_str().unwrap_or("unknown")
}

#[test]
fn deployed_it_patches_what_it_may_and_says_why_it_left_the_rest() {
    let folder = tempfile::tempdir_in(rig::folder().unwrap()).unwrap();
    let zip = rig::package(folder.path(), "").unwrap();
    let clock = Clock::new(folder.path()).unwrap();
    let hub = rig::ministack(Ministack { auth: true, env: clock.env() }).unwrap();
    let world = rig::world(&fleet(), &hub, &["--tempo", "10"], &clock.env()).unwrap();
    let between = rig::microburst(&world.endpoint, THROTTLED).unwrap();
    let ssm = format!("AWS_ENDPOINT_URL_SSM={}", between.endpoint);
    let (zip, clock_file) = (zip.display().to_string(), clock.file().display().to_string());
    let arguments = ["--endpoint", &hub.endpoint, "--world", &world.endpoint, "--zip", &zip, "--clock", &clock_file, "--set", &ssm];
    let report = rig::drive("end_to_end.py", &arguments, &clock.env()).unwrap();
    // Kept for whoever looks into a failure.
    std::fs::write(rig::folder().unwrap().join("end_to_end.json"), format!("{report:#}")).unwrap();

    // The second spoke was slowed down for real, and it cost time, not order and not a second install.
    let faults = read(&between.endpoint, "/_microburst/metrics");
    for operation in ["SendCommand", "DescribeInstancePatchStates"] {
        let struck = faults.lines().any(|line| line.starts_with("microburst_faults_total") && line.contains(operation) && !line.ends_with(" 0"));
        assert!(struck, "{operation} was never throttled: {faults}");
    }

    assert_eq!(report["over"], true, "errors {}, trouble {}, standings {}", report["errors"], report["trouble"], report["standings"]);
    assert_eq!(report["errors"], json!({}), "a function said ERROR or ran out of time");
    assert_eq!(report["trouble"], json!([]));

    let hosts = report["hosts"].as_object().unwrap();
    assert_eq!(hosts.len(), 10);
    for (key, truth) in hosts {
        let account = key.split('/').next().unwrap();
        let reachable = SPOKES.contains(&account);
        assert_eq!(truth["patched"], reachable, "{key}: {truth}");
        if reachable {
            assert_eq!(standing(&report, key), "compliant", "{key}");
        }
    }

    // Exactly what nobody can read is in the dead-letter queue, with its reason; nothing crashed its reader.
    let refused = list(&report, "/refused/refused");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["body"], "{not json");
    let reason = refused[0]["attributes"]["reason"].as_str().unwrap();
    assert!(reason.contains("JSON"), "{reason}");
    assert_eq!(report["refused"]["refused-fifo"], json!([]));

    // Subscribers: all notices, and those of one kind, typed for filters.
    let kinds = |queue: &str| list(&report, &format!("/notices/{queue}")).iter().filter_map(|m| m["attributes"]["kind"].as_str()).collect::<BTreeSet<_>>();
    assert_eq!(kinds("approvers"), BTreeSet::from(["approval_asked"]));
    assert!(kinds("operators").is_superset(&BTreeSet::from(["approval_asked", "wave_opened", "campaign_ended"])), "{:?}", kinds("operators"));

    // Two people said yes, each once.
    let decided: Vec<&Value> = list(&report, "/approvals").into_iter().filter(|approval| approval["decided"].is_number()).collect();
    assert!(decided.len() >= 2, "{decided:?}");
    for approval in decided {
        assert_eq!((&approval["looked"], &approval["decided"]), (&json!(200), &json!(200)), "{approval}");
        assert_ne!(approval["again"], 200, "a link decides once: {approval}");
    }

    // One install for each instance, by the marker of its attempt; nothing was sent twice, and nowhere it may not be.
    let mut installs: BTreeMap<String, usize> = BTreeMap::new();
    for command in list(&report, "/commands").into_iter().filter(|command| command["operation"] == "Install") {
        assert!(SPOKES.contains(&command["account"].as_str().unwrap()), "{command}");
        for instance in command["instances"].as_array().unwrap() {
            *installs.entry(instance.to_string()).or_default() += 1;
        }
    }
    assert_eq!(installs.len(), 8);
    assert!(installs.values().all(|count| *count == 1), "{installs:?}");
    assert_eq!(report["counts"]["commands"]["doubled"], 0);
    assert_eq!(report["counts"]["commands"]["overlaps"], 0);
}

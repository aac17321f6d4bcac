//! The whole system as the templates deploy it: stacks in a hub and its spokes, events carried by their rules, functions with their
//! roles, until every finding has ended. What `tests/rig/stacks_end_to_end.py` does, and what must have come of it.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate_tests::rig;

/// As in `tests/rig/deploy_templates.py`: three spokes, and an account of no organization.
const SPOKES: [&str; 3] = ["111122223333", "222233334444", "333344445555"];
const FOREIGN: &str = "999988887777";
/// An account whose stack was given another external id than the hub's.
const WRONG: &str = "444455556666";

fn fleet() -> Value {
    let instance = |account: &str, region: &str, number: u32| json!({ "account": account, "region": region, "instance": format!("i-{number:017x}"), "platform": "Linux", "missing": 2 });
    let mut instances = Vec::new();
    for (place, account) in (0u32..).zip(SPOKES) {
        instances.extend([instance(account, "us-east-1", 16 * place), instance(account, "us-east-1", 16 * place + 1)]);
    }
    instances.extend([instance(SPOKES[0], "eu-west-1", 0x80), instance(WRONG, "us-east-1", 0x100)]);
    let account = |id: &str| json!({ "id": id, "ous": ["root", "workloads"], "state": "ACTIVE" });
    let accounts: Vec<Value> = SPOKES.into_iter().chain([WRONG, rig::HUB]).map(account).collect();
    json!({ "schema": "tidegate.fleet/1", "accounts": accounts, "instances": instances })
}

fn list<'a>(report: &'a Value, pointer: &str) -> &'a [Value] {
    report.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[test]
fn deployed_from_the_templates_it_patches_its_spokes_and_whoever_lacks_a_right_is_refused() {
    let report = rig::drive_deployed("stacks_end_to_end.py", &fleet(), "\n[backup]\ndocument = \"ec2patch-backup\"\n").unwrap();

    assert_eq!(report["over"], true, "errors {}, trouble {}, standings {}", report["errors"], report["trouble"], report["standings"]);
    assert_eq!(report["errors"], json!({}), "a function said ERROR or ran out of time");
    assert_eq!(report["trouble"], json!([]));

    // Patched by the world's own truth, and compliant by Config's word; one with another external id was never entered.
    let hosts = report["hosts"].as_object().unwrap();
    assert_eq!(hosts.len(), 8);
    for (key, truth) in hosts {
        let entered = !key.starts_with(WRONG);
        let standing = &report["standings"][key]["standing"];
        assert_eq!((truth["patched"].as_bool(), standing["state"] == "compliant"), (Some(entered), entered), "{key}: {truth} {standing}");
        if !entered {
            let why = standing["why"].as_str().unwrap();
            assert!(standing["state"] == "unreachable" && why.contains("sts:AssumeRole"), "{standing}");
        }
    }
    let mut installs: BTreeMap<String, usize> = BTreeMap::new();
    for command in list(&report, "/commands").iter().filter(|command| command["operation"] == "Install") {
        for instance in command["instances"].as_array().unwrap() {
            *installs.entry(instance.to_string()).or_default() += 1;
        }
    }
    assert_eq!((installs.len(), installs.values().max()), (7, Some(&1)), "{installs:?}");

    // Each was backed up first, once, by the runbook of the name that its spoke's stack makes.
    let executions = list(&report, "/executions");
    let backed_up: Vec<&str> = executions.iter().flat_map(|execution| execution["instances"].as_array().unwrap()).filter_map(Value::as_str).collect();
    assert_eq!((backed_up.len(), backed_up.iter().collect::<BTreeSet<_>>().len()), (7, 7), "{executions:?}");
    assert!(executions.iter().all(|execution| execution["document"] == "ec2patch-backup" && execution["status"] == "Success"), "{executions:?}");

    // Every event came by the rules: of all that were seen, none was put into a queue by another way, and none stayed behind. What matches no
    // rule is that a backup has begun.
    let courier = &report["courier"];
    let count = |what: &str| courier[what].as_u64().unwrap();
    assert_eq!((count("unmatched"), count("lost")), (executions.len() as u64, 0), "{courier}");
    assert!(count("seen") >= 8 && count("delivered") > count("seen") - count("unmatched"), "{courier}");
    // What nobody can read is the only thing that was refused.
    let refused = list(&report, "/refused/refused");
    assert_eq!((refused.len(), &report["refused"]["refused-fifo"]), (1, &json!([])), "{refused:?}");
    assert_eq!(refused[0]["body"], "{not json");
    // Both people of the quorum said yes by the links of the deployed page, each once.
    let decided: Vec<&Value> = list(&report, "/approvals").iter().filter(|approval| approval["decided"].is_number()).collect();
    assert!(decided.len() >= 2, "{decided:?}");
    assert!(decided.iter().all(|approval| approval["decided"] == 200 && approval["again"] != 200), "{decided:?}");

    // Nobody else gets in: not by the bus, not by the roles.
    let strangers = &report["strangers"];
    assert_eq!(strangers["event"], json!({"delivered": 0, "kept_out": [format!("Config Rules Compliance Change of {FOREIGN}")]}));
    for role in ["PatchExecRole", "PatchVerifyRole"] {
        for who in ["foreign account", "hub's administrator"] {
            assert_eq!(strangers[format!("{who} as {role}")], "AccessDenied", "{strangers:#}");
        }
    }
    // A function that lacks a right does nothing and loses nothing: the event waits until it has it.
    let without = &report["without_a_right"];
    assert!(without["said"][0].as_str().is_some_and(|line| line.contains("dynamodb:")), "{without}");
    assert_eq!((&without["waiting_and_held"], &without["then"], &without["refused"]), (&json!([0, 1]), &json!([0, 0]), &json!([])), "{without}");

    // The evidence is written by the function that may.
    assert!(list(&report, "/evidence").iter().any(|name| name.as_str().is_some_and(|name| name.contains("journal"))), "{}", report["evidence"]);
}

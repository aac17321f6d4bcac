//! The JSON documents keep their schemas: generated from the types, checked in, and what the commands print fits them.

#![cfg(test)]

use std::process::Command;

use schemars::{Schema, schema_for};
use tidegate_cli::cmd;
use tidegate_tests::binary::{root, tidegate};

fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("journal-line", schema_for!(tidegate_events::journal::Line)),
        ("notification", schema_for!(tidegate_events::action::Notice)),
        ("approval", schema_for!(tidegate_events::event::Approval)),
        ("summary", schema_for!(tidegate_cli::summary::Summary)),
        ("status", schema_for!(cmd::status::Status)),
        ("explain", schema_for!(cmd::explain::Explanation)),
        ("verify", schema_for!(cmd::verify::Verification)),
        ("policy", schema_for!(cmd::policy::PolicyReport)),
        ("plan", schema_for!(cmd::plan::PlanReport)),
        ("decision", schema_for!(cmd::approve::Decision)),
        ("refused", schema_for!(cmd::refused::RefusedList)),
        ("replay", schema_for!(cmd::refused::Replay)),
        ("events", schema_for!(cmd::serve::EventsAnswer)),
        ("run-input.schema", tidegate_events::wire::run_input::schema()),
        ("run-asked", schema_for!(cmd::console::RunAnswer)),
        ("doctor", schema_for!(cmd::doctor::Diagnosis)),
        ("kev", schema_for!(cmd::kev::KevStatus)),
    ]
}

#[test]
fn schemas_are_those_that_are_checked_in() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    for (name, schema) in schemas() {
        let path = root().join(format!("events/schema/{name}.json"));
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if bless {
            std::fs::write(&path, text).unwrap();
        } else {
            assert!(std::fs::read_to_string(&path).is_ok_and(|known| known == text), "{} is not what the types say: run `cargo dev bless`", path.display());
        }
    }
}

#[test]
fn what_commands_print_fits_its_schema() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = tmp.path().join("demo");
    let demo = demo.to_str().unwrap();
    let store = format!("{demo}/tidegate.db");
    let json = |args: &[&str]| -> serde_json::Value {
        let output = Command::new(tidegate()).args(args).arg("--json").current_dir(root()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {}", String::from_utf8_lossy(&output.stderr)))
    };
    let summary = json(&["demo", "--headless", "--yes", "--out", demo]);
    let status = json(&["status", "--store", &store]);
    let waiting = status["awaiting_approval"][0]["subject"].as_str().unwrap().to_owned();
    let target = "100000000000/eu-west-1/".to_owned();
    let fleet = json(&["fleet", "generate", "--accounts", "2", "--instances", "8"]);
    assert_eq!(fleet["schema"], "tidegate.fleet/1");
    let known = tidegate_world::Spec::generate(6, 2, 360, 7, tidegate_world::Faults::none());
    let target = known.hosts.iter().find(|host| host.missing > 0 && host.key.to_string().starts_with(&target)).unwrap().key.to_string();
    let load = |outcome: &str| {
        let loaded = json(&["kev", "load", "tests/scenarios/kev/feed.json", "--as", "kim", "--store", &store]);
        assert_eq!((&loaded["outcome"], &loaded["subject"]), (&outcome.into(), &"KEV catalog 2026.11.20".into()), "{loaded}");
        loaded
    };
    for (name, document) in [
        ("summary", summary),
        ("status", status),
        ("explain", json(&["explain", &target, "--store", &store])),
        ("verify", json(&["verify", demo])),
        ("policy", json(&["policy", "explain", "rules/policies/default.toml"])),
        ("plan", json(&["plan", "--list", "--input", "examples/run-inputs/canary-small.json", "--fleet", "tests/scenarios/fleets/examples.json"])),
        ("doctor", json(&["doctor", "--fleet", "tests/scenarios/fleets/unready.json"])),
        ("decision", json(&["approve", &waiting, "--as", "kim", "--store", &store])),
        ("kev", json(&["kev", "show", "--store", &store])),
        ("decision", load("accepted")),
        ("decision", load("duplicate")),
        ("kev", json(&["kev", "show", "--store", &store])),
    ] {
        let schema = schemas().into_iter().find(|(known, _)| *known == name).unwrap().1;
        let validator = jsonschema::validator_for(&serde_json::to_value(schema).unwrap()).unwrap();
        let faults: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
    }
}

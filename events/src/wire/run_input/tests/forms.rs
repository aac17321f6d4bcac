//! One run, written in three ways, is one run; and what is written in several ways within a form.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::run::{Operation, RebootOption, RunAmount};

fn of(value: &Value) -> BulkRun {
    run_of(value.to_string())
}

/// Something common to all forms.
fn common() -> impl Strategy<Value = Value> {
    let amount = prop_oneof![
        (1..=100_u32).prop_map(|share| json!(format!("{share}%"))),
        (1..500_u32).prop_map(|count| json!(count)),
        (1..500_u32).prop_map(|count| json!(count.to_string()))
    ];
    let ssm = (amount.clone(), amount, any::<bool>(), any::<bool>()).prop_map(|(concurrency, errors, scan, reboot)| {
        json!({ "maxConcurrency": concurrency, "maxErrors": errors, "operation": if scan { "Scan" } else { "Install" },
                "rebootOption": if reboot { "RebootIfNeeded" } else { "NoReboot" } })
    });
    (prop::option::of(ssm), prop::option::of(any::<bool>()), any::<bool>(), prop::option::of(0..90_000_u32), "[a-z]{1,9}").prop_map(
        |(ssm, abort, dry, pause, name)| {
            let mut common = json!({ "executionName": name, "dryRun": dry });
            for (key, value) in [("ssm", ssm), ("abortOnIssues", abort.map(Value::from)), ("wavePauseSeconds", pause.map(Value::from))] {
                if let Some(value) = value {
                    common[key] = value;
                }
            }
            common
        },
    )
}

fn with(common: &Value, own: Value) -> Value {
    let mut all = common.as_object().unwrap().clone();
    all.extend(own.as_object().unwrap().clone());
    Value::Object(all)
}

proptest! {
    #[test]
    fn three_ways_to_write_a_run_are_one_run(
        common in common(),
        accounts in prop::collection::vec((0..1_000_000_000_000_u64).prop_map(|number| format!("{number:012}")), 1..4),
        regions in prop::sample::subsequence(&super::super::regions::KNOWN[..], 1..4),
        (key, tag) in ("[A-Za-z]{1,12}", "[a-z0-9-]{0,12}"),
        name in "[a-z][a-z0-9-]{0,20}",
    ) {
        let waves = with(&common, json!({ "waves": [{ "name": name, "accounts": accounts, "regions": regions, "filters": { "tags": { &key: [&tag] }, "platforms": ["Windows", "Linux"] } }] }));
        let account_waves = with(&common, json!({ "accountWaves": [{ "name": name, "accounts": accounts, "regions": regions }], "ec2": { "tagKey": key, "tagValue": tag } }));
        let flat = with(&common, json!({ "waveId": name, "accounts": accounts, "regions": regions, "tagFilters": { &key: &tag } }));
        let run = of(&waves);
        prop_assert_eq!(&run, &of(&account_waves));
        prop_assert_eq!(&run, &of(&flat));
        prop_assert_eq!(run.digest(), of(&flat).digest());
        // And it survives being stored.
        prop_assert_eq!(&run, &serde_json::from_value::<BulkRun>(serde_json::to_value(&run).unwrap()).unwrap());
    }

    /// The order in which accounts, Regions and values are written decides nothing.
    #[test]
    fn order_within_lists_is_nothing(accounts in Just(vec!["111122223333", "444455556666", "123456789012"]).prop_shuffle(), values in Just(vec!["a", "b", "c"]).prop_shuffle()) {
        let of = |accounts: &[&str], values: &[&str]| of(&json!({ "accounts": accounts, "regions": ["us-east-1"], "tagFilters": { "Tier": values } }));
        prop_assert_eq!(of(&accounts, &values).digest(), of(&["111122223333", "444455556666", "123456789012"], &["a", "b", "c"]).digest());
    }
}

fn wave_with(ssm: Value, outer: Value) -> crate::run::RunWave {
    let mut input = json!({ "waves": [{ "accounts": ["111122223333"], "regions": ["us-east-1"], "ssm": ssm }] });
    if !outer.is_null() {
        input["ssm"] = outer;
    }
    of(&input).waves.remove(0)
}

#[test]
fn defaults_are_the_originals() {
    let wave = wave_with(json!({}), Value::Null);
    assert_eq!((wave.max_concurrency, wave.max_errors), (Some(RunAmount::ShareBps(1_000)), Some(RunAmount::Count(1))));
    assert_eq!((wave.operation, wave.reboot, wave.pause_after_secs), (Operation::Install, None, None));
    let run = of(&json!({ "accounts": ["111122223333"], "regions": ["us-east-1"] }));
    assert!(run.abort_on_issues && !run.dry_run);
    assert_eq!(run.approval_required, None);
}

#[test]
fn a_waves_own_ssm_goes_before_the_runs() {
    let wave = wave_with(json!({ "maxErrors": "5%" }), json!({ "maxErrors": 2, "maxConcurrency": "3", "rebootOption": "NoReboot" }));
    assert_eq!((wave.max_errors, wave.max_concurrency, wave.reboot), (Some(RunAmount::ShareBps(500)), Some(RunAmount::Count(3)), Some(RebootOption::NoReboot)));
}

#[test]
fn amounts_have_three_forms() {
    let amount = |value: Value| wave_with(json!({ "maxErrors": value }), Value::Null).max_errors.unwrap();
    assert_eq!(amount(json!("10%")), RunAmount::ShareBps(1_000));
    assert_eq!(amount(json!("100%")), RunAmount::ShareBps(10_000));
    assert_eq!((amount(json!("3")), amount(json!(3)), amount(json!(3.0))), (RunAmount::Count(3), RunAmount::Count(3), RunAmount::Count(3)));
    // A share is never rounded below one host: none at all is a count.
    assert_eq!((amount(json!("0%")), amount(json!("0")), amount(json!(0))), (RunAmount::Count(0), RunAmount::Count(0), RunAmount::Count(0)));
}

#[test]
fn waves_without_a_name_get_one_that_is_free() {
    let one = |name: Option<&str>| {
        let mut wave = json!({ "accounts": ["111122223333"], "regions": ["us-east-1"] });
        if let Some(name) = name {
            wave["name"] = json!(name);
        }
        wave
    };
    let run = of(&json!({ "waves": [one(None), one(Some("wave3")), one(None), one(None)] }));
    assert_eq!(run.waves.iter().map(|wave| wave.name.as_str()).collect::<Vec<_>>(), ["wave1", "wave3", "wave3-2", "wave4"]);
}

#[test]
fn a_byte_order_mark_and_a_schema_line_are_no_harm() {
    let input = r#"{"$schema":"../../events/schema/run-input.schema.json","accounts":["111122223333"],"regions":["us-east-1"]}"#;
    assert_eq!(run_of(format!("\u{feff}{input}\n\n")), run_of(r#"{"accounts":["111122223333"],"regions":["us-east-1"]}"#));
}

#[test]
fn a_scan_never_reboots() {
    let run = of(&json!({ "ssm": { "operation": "Scan" }, "accounts": ["111122223333"], "regions": ["us-east-1"] }));
    assert_eq!(run.waves[0].reboot, Some(RebootOption::NoReboot));
}

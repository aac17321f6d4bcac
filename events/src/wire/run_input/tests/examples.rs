//! The files under `examples/`.

use super::*;
use crate::host::Platform;
use crate::run::{Operation, RebootOption, RunAmount};

/// Every example is read; those that nobody should copy with a warning have none.
#[test]
fn every_example_is_a_run() {
    let all = examples();
    assert!(all.len() >= 12, "{}", all.len());
    for (name, bytes) in all {
        let warnings = warnings_of(&bytes);
        let warned = matches!(name.as_str(), "run-inputs/account-waves.json" | "custom-inputs/custom-ssm-documents.json");
        assert_eq!(!warnings.is_empty(), warned, "{name}: {warnings:?}");
    }
}

#[test]
fn the_examples_of_the_original_are_there() {
    let all: Vec<String> = examples().into_iter().map(|(name, _)| name).collect();
    for name in ["canary-small", "windows-only-multi-region", "linux-by-tags", "multi-wave-staggered", "scan-no-reboot"] {
        assert!(all.contains(&format!("run-inputs/{name}.json")), "{name}");
    }
    for name in ["wave-canary-east", "wave-main-multi"] {
        assert!(all.contains(&format!("custom-inputs/{name}.json")), "{name}");
    }
}

#[test]
fn what_the_examples_say_is_what_is_read() {
    let run = run_of(example("run-inputs/multi-wave-staggered.json"));
    assert_eq!((run.name, run.dry_run, run.abort_on_issues, run.approval_required), (None, false, true, None));
    let [canary, main] = run.waves.as_slice() else { panic!("{:?}", run.waves) };
    assert_eq!((canary.name.as_str(), main.name.as_str()), ("canary", "main"));
    assert_eq!((canary.max_concurrency, canary.max_errors), (Some(RunAmount::ShareBps(500)), Some(RunAmount::Count(1))));
    assert_eq!((main.max_concurrency, main.max_errors), (Some(RunAmount::ShareBps(2_000)), Some(RunAmount::ShareBps(200))));
    assert_eq!((canary.pause_after_secs, canary.reboot, canary.operation), (Some(900), Some(RebootOption::RebootIfNeeded), Operation::Install));
    assert_eq!((main.accounts.len(), main.regions.len(), main.platforms.len()), (2, 2, 0));

    let run = run_of(example("run-inputs/linux-by-tags.json"));
    let [wave] = run.waves.as_slice() else { panic!("{:?}", run.waves) };
    assert_eq!(wave.tags["Environment"].iter().collect::<Vec<_>>(), ["production"]);
    assert_eq!(wave.tags["Tier"].iter().collect::<Vec<_>>(), ["app", "web"]);
    assert_eq!((wave.reboot, wave.platforms.iter().collect::<Vec<_>>()), (Some(RebootOption::NoReboot), vec![&Platform::Linux]));

    let run = run_of(example("run-inputs/scan-no-reboot.json"));
    assert_eq!((run.dry_run, run.waves[0].operation, run.waves[0].reboot), (false, Operation::Scan, Some(RebootOption::NoReboot)));

    let run = run_of(example("run-inputs/account-waves.json"));
    assert_eq!(run.waves.iter().map(|wave| wave.name.as_str()).collect::<Vec<_>>(), ["standard", "wave2"]);
    assert!(run.waves.iter().all(|wave| wave.tags["PatchGroup"].contains("default")));
    assert_eq!(run.bedrock.unwrap().agent_alias_id, "ALIAS_ID");
    assert_eq!(run.topic.as_deref(), Some("arn:aws:sns:us-east-1:111122223333:ec2patch-PatchAlerts"));

    let run = run_of(example("run-inputs/flat-wave.json"));
    assert_eq!((run.name.as_deref(), run.waves[0].name.as_str()), (Some("wave1-critical"), "wave1-critical"));

    let run = run_of(example("run-inputs/flat-inventory.json"));
    assert_eq!((run.name, run.dry_run, run.waves[0].name.as_str()), (None, true, "wave1"));

    let run = run_of(example("custom-inputs/custom-ssm-documents.json"));
    assert_eq!(run.custom_documents[&Platform::Windows].post_patch.as_deref(), Some("WindowsPostPatch"));
    assert!(run.pre_collect);
}

/// The inputs that the original documents print, as they print them, but for the accounts.
#[test]
fn the_inputs_printed_in_the_original_documents_are_read() {
    let contract = r#"{"waves":[{"name":"canary","accounts":["111122223333","444455556666"],"regions":["us-east-1"],
        "filters":{"tags":{"PatchGroup":["default"]},"platforms":["Linux","Windows"]},
        "ssm":{"maxConcurrency":"10%","maxErrors":"1","operation":"Install","rebootOption":"RebootIfNeeded"}}]}"#;
    let account_waves = r#"{"accountWaves":[{"accounts":["111122223333","444455556666"],"regions":["us-east-1"]}],
        "ec2":{"tagKey":"PatchGroup","tagValue":"default"},"snsTopicArn":"arn:aws:sns:us-east-1:111122223333:ec2patch-PatchAlerts",
        "bedrock":{"agentId":"AGENT_ID","agentAliasId":"ALIAS_ID"},"wavePauseSeconds":0,"abortOnIssues":true}"#;
    let dry = r#"{"dryRun":true,"waveId":"development-staging","accounts":["444455556666"],"regions":["us-east-1"]}"#;
    let reference = r#"{"waveId":"wave1-critical","dryRun":false,"accounts":["111122223333"],"regions":["us-east-1"],
        "tagFilters":{"PatchGroup":"default"},"instanceIds":["i-1234567890abcdef0"],"approvalRequired":true,"notificationEmail":"ops@example.com"}"#;
    for input in [contract, account_waves, dry, reference] {
        run_of(input);
    }
    assert_eq!(run_of(dry).name.as_deref(), Some("development-staging"));
    assert_eq!(run_of(account_waves).waves[0].pause_after_secs, Some(0));
    assert_eq!(run_of(reference).approval_required, Some(true));
}

//! Remediations beside the plain one: hooks around a patch, and a runbook that AWS Config alone can prove, in worlds that lose and
//! repeat what is said.

#![cfg(test)]

use std::collections::BTreeSet;

use tidegate_cli::cmd::simulate;
use tidegate_cli::drive::{Drive, People};
use tidegate_cli::settle::Rest;
use tidegate_cli::summary::Summary;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_engine::ports::Cloud as _;
use tidegate_events::event::SendOutcome;
use tidegate_events::host::Platform;
use tidegate_events::id::TargetKey;
use tidegate_rules::policy::{self, Policy};
use tidegate_world::{AccountSpec, Faults, HostSpec, RuleSpec, Spec, Trouble, World};

fn key(n: u32) -> TargetKey {
    format!("111122223333/us-east-1/i-{n:017x}").parse().unwrap()
}

fn spec(hosts: impl IntoIterator<Item = HostSpec>) -> Spec {
    Spec { seed: 5, accounts: vec![AccountSpec::new(key(0).account)], hosts: hosts.into_iter().collect(), ..Spec::default() }
}

fn found(n: u32) -> HostSpec {
    HostSpec::new(key(n), Platform::Linux).missing(2).found_after(60 + u64::from(n))
}

fn imdsv2(hosts: u32, faults: Faults) -> Spec {
    let rule = RuleSpec {
        name: "OrgConfigRule-ec2-imdsv2-check-a1b2c3d4".into(),
        resource_type: "AWS::EC2::Instance".into(),
        mended_by: "AWSSupport-ConfigureEC2Metadata".into(),
    };
    Spec { rule: Some(rule), faults, ..spec((1..=hosts).map(found)) }
}

async fn run(spec: Spec, policy: &str, people: People) -> (Drive, Rest, Summary) {
    let policy: Policy = policy::parse(policy, "test.toml").unwrap();
    let start = simulate::start().unwrap();
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start), policy);
    let mut drive = Drive::new(engine, start, people).await.unwrap();
    drive.count_deliveries();
    let rest = drive.settle(&mut |_| {}).await.unwrap();
    drive.check_at_rest().await.unwrap();
    let summary = drive.summary(5);
    assert_eq!(summary.invariants.violations, Vec::<String>::new());
    (drive, rest, summary)
}

const HOOKED: &str = "name = \"hooked\"\nfailure_budget = 0\n[approval]\nquorum = 0\n[hooks]\npre = \"Acme-DrainHost\"\n[[wave]]\nname = \"all\"\n";

#[tokio::test]
async fn a_hook_that_fails_keeps_the_patch_from_running_and_spends_the_budget() {
    let hosts = (1..=4).map(|n| if n == 3 { found(n).trouble(Trouble::PreHookFails { times: 9 }) } else { found(n) });
    let nobody = People { approve_as: Vec::new(), resume_as: None };
    let (drive, rest, summary) = run(spec(hosts), HOOKED, nobody).await;
    let world = drive.engine.cloud();
    assert!(!rest.halted.is_empty(), "a failure over the budget halts the lane");
    assert_eq!(world.truth(&key(3)).unwrap().missing, 2, "nothing was installed where the hook failed");
    assert_eq!(summary.verdicts["failed"], 1, "{:?}", summary.verdicts);
    for send in world.sends() {
        let (document, hook) = (send.document.as_str(), send.parameters.get("PreInstallHookDocName"));
        match send.marker.split('/').nth(2) {
            Some("install") => assert_eq!((document, hook), ("AWS-RunPatchBaselineWithHooks", Some(&vec!["Acme-DrainHost".to_owned()]))),
            _ => assert_eq!((document, hook), ("AWS-RunPatchBaseline", None)),
        }
    }
    // A search finds what was sent with hooks: another world loses the answers, and nothing is sent twice.
    let losing = Faults { send_answer_lost: 500, ..Faults::default() };
    let (drive, _, summary) = run(Spec { faults: losing, ..spec((1..=6).map(found)) }, HOOKED, simulate::people().unwrap()).await;
    assert_eq!((summary.commands.doubled, summary.targets.by_state["compliant"]), (0, 6));
    assert!(drive.engine.cloud().sends().iter().any(|send| !send.answered), "no answer was lost");
}

const IMDSV2: &str = "name = \"p\"\nremediation = \"imdsv2\"\n[approval]\nquorum = 1\nfour_eyes = false\n";

#[tokio::test]
async fn a_runbook_runs_once_for_each_target_and_config_proves_it() {
    for faults in [Faults::none(), Faults { send_answer_lost: 400, send_lost: 200, event_repeated: 300, event_lost: 300, ..Faults::none() }] {
        let lossy = faults.send_lost > 0;
        let (drive, _, summary) = run(imdsv2(24, faults), IMDSV2, simulate::people().unwrap()).await;
        let world = drive.engine.cloud();
        assert_eq!((summary.verdicts["remediated"], summary.targets.by_state["compliant"]), (24, 24), "{:?}", summary.verdicts);
        assert!(world.sends().is_empty(), "no command was sent");
        let starts = world.starts();
        let mut targets = BTreeSet::new();
        assert!(starts.iter().all(|start| start.instances.iter().all(|instance| targets.insert(instance.clone()))), "a target was mended twice");
        assert_eq!((targets.len(), starts.iter().all(|start| start.document == "AWSSupport-ConfigureEC2Metadata")), (24, true));
        assert_eq!(starts.iter().any(|start| !start.answered), lossy);
        // Whoever starts the first of them once more, as a sender that froze and woke would, gets the execution that is there.
        let first = starts.first().unwrap();
        let again = tidegate_engine::ports::AutomationRequest {
            spoke: first.spoke.clone(),
            document: first.document.clone(),
            parameters: first.parameters.clone(),
            target_parameter: first.target_parameter.clone(),
            instances: first.instances.clone(),
            token: first.token.clone(),
            timeout_secs: 600,
            max_concurrency: 1,
            signed_at: world.now(),
        };
        assert!(matches!(world.start_automation(&again).await, SendOutcome::Accepted { command, .. } if command == first.execution));
        assert_eq!(world.starts().len(), starts.len());
    }
}

#[tokio::test]
async fn what_config_does_not_confirm_is_never_good() {
    let hosts = (1..=6).map(|n| match n {
        1 => found(n).trouble(Trouble::FalseSuccess { times: 9 }),
        2 => found(n).trouble(Trouble::InstallFailsAlways),
        3 => found(n).trouble(Trouble::FalseFailure { times: 1 }),
        _ => found(n),
    });
    let spec = Spec { hosts: hosts.collect(), ..imdsv2(0, Faults::none()) };
    let (drive, _, summary) =
        run(spec, &format!("failure_budget = \"100%\"\n{IMDSV2}[retry]\nattempts_max = 2\n[[wave]]\nname = \"all\"\n"), simulate::people().unwrap()).await;
    assert_eq!(summary.targets.by_state["quarantined"], 2, "{:?}", summary.targets.by_state);
    // The third one's run failed and Config called that false only after it had counted as failed: it is compliant all the same.
    assert_eq!((summary.verdicts["remediated"], summary.targets.by_state["compliant"]), (3, 4), "{:?}", summary.verdicts);
    assert_eq!(drive.engine.cloud().truth(&key(1)).unwrap().missing, 2);
}

#[tokio::test]
async fn a_report_goes_to_the_owner_and_runs_nothing() {
    let rule = RuleSpec { name: "ec2-instance-managed-by-systems-manager".into(), resource_type: "AWS::EC2::Instance".into(), mended_by: String::new() };
    let spec = Spec { rule: Some(rule), ..spec((1..=3).map(found)) };
    let (drive, _, summary) = run(spec, "name = \"p\"\nremediation = \"unmanaged\"\n[retry]\nowner = \"ann\"\n", simulate::people().unwrap()).await;
    let world = drive.engine.cloud();
    assert!(world.sends().is_empty() && world.starts().is_empty());
    assert_eq!(summary.targets.by_state["quarantined"], 3);
}

#[tokio::test]
async fn associations_are_applied_anew_by_command() {
    let rule = RuleSpec {
        name: "ec2-managedinstance-association-compliance-status-check".into(),
        resource_type: "AWS::SSM::AssociationCompliance".into(),
        mended_by: "AWS-RefreshAssociation".into(),
    };
    let spec = Spec { rule: Some(rule), ..spec((1..=5).map(found)) };
    let policy = "name = \"p\"\nremediation = \"association\"\n[approval]\nquorum = 0\n";
    let (drive, _, summary) = run(spec, policy, simulate::people().unwrap()).await;
    assert_eq!((summary.verdicts["remediated"], summary.commands.scan), (5, 0), "{:?}", summary.verdicts);
    assert!(drive.engine.cloud().sends().iter().all(|send| send.document == "AWS-RefreshAssociation" && send.parameters.is_empty()));
}

use super::facts::*;
use super::*;

fn parameters(pairs: &[(&str, &str)]) -> Option<Parameters> {
    Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect())
}

fn linux(online: u64, silent: u64) -> Nodes {
    Nodes { platform: Some(tidegate_events::host::Platform::Linux), name: "Amazon Linux".into(), version: "2023".into(), online, silent }
}

fn recorder_of(scope: Scope, frequency: Frequency, overrides: Vec<FrequencyOverride>) -> Recorder {
    Recorder {
        name: "default".into(),
        role: Some("arn:aws:iam::111122223333:role/config".into()),
        is_recording: Some(true),
        last_failure: None,
        scope,
        has_global_types: true,
        frequency: Some(frequency),
        overrides,
    }
}

/// A spoke with which nothing is wrong.
fn well() -> SpokeFacts {
    SpokeFacts {
        account: "111122223333".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        hub: HubFacts {
            partition: "aws".into(),
            principal: Some("arn:aws:iam::123456789012:role/tidegate-patch".into()),
            spoke_role: "PatchExecRole".into(),
            says_external_id: true,
        },
        session: Ok(Session { account: "111122223333".parse().unwrap(), is_own: false, opens_without_external_id: Some(false), skew_millis: Some(-400) }),
        rules: Ok(vec![
            RuleSeen { name: "s3-bucket-public-read-prohibited".into(), identifier: "S3_BUCKET_PUBLIC_READ_PROHIBITED".into(), is_active: true },
            RuleSeen { name: "OrgConfigRule-patches-abcdefgh".into(), identifier: "EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK".into(), is_active: true },
        ]),
        recorder: Ok(Some(recorder_of(Scope::All, Frequency::Continuous, Vec::new()))),
        nodes: Ok(vec![linux(19, 1)]),
        baselines: Ok(vec![DefaultBaseline {
            system: "AMAZON_LINUX_2023".into(),
            id: "pb-0123456789abcdef0".into(),
            name: "AWS-AmazonLinux2023DefaultPatchBaseline".into(),
        }]),
        associations: Ok(vec![AssociationSeen {
            id: "8dfe3659-4309-493a-8755-0123456789ab".into(),
            name: "inventory".into(),
            document: "AWS-GatherSoftwareInventory".into(),
            schedule: Some("rate(1 day)".into()),
            parameters: None,
        }]),
        windows: Ok(Vec::new()),
    }
}

fn check(facts: &SpokeFacts, name: Topic) -> Check {
    let checks = examine(facts);
    assert_eq!(checks.iter().map(|check| check.name).collect::<Vec<_>>(), Topic::ALL, "every topic once, in the same order");
    checks.into_iter().find(|check| check.name == name).unwrap()
}

fn outcome(facts: &SpokeFacts, name: Topic) -> Outcome {
    check(facts, name).outcome
}

#[test]
fn a_spoke_with_which_nothing_is_wrong_is_ok_throughout() {
    for check in examine(&well()) {
        assert_eq!((check.outcome, check.mend.len()), (Outcome::Ok, 0), "{check:?}");
    }
}

#[test]
fn names_are_what_json_says() {
    for topic in Topic::ALL {
        assert_eq!(serde_json::to_value(topic).unwrap(), topic.name());
    }
}

#[test]
fn nothing_that_was_not_read_is_ok() {
    for fault in [SpokeFault::Throttled, SpokeFault::NoAnswer("time-out".into()), SpokeFault::RoleDenied("config:DescribeConfigRules: AccessDenied".into())] {
        let facts = SpokeFacts {
            rules: Err(fault.clone()),
            recorder: Err(fault.clone()),
            nodes: Err(fault.clone()),
            baselines: Err(fault.clone()),
            associations: Err(fault.clone()),
            windows: Err(fault.clone()),
            ..well()
        };
        for check in examine(&facts).into_iter().skip(3) {
            assert_eq!(check.outcome, Outcome::Unknown, "{check:?}");
            assert!(!check.mend.is_empty(), "{check:?}");
        }
    }
    let facts = SpokeFacts { rules: Err(SpokeFault::RoleDenied("no".into())), ..well() };
    assert!(check(&facts, Topic::Rule).mend[0].contains("config:DescribeConfigRules"));
}

#[test]
fn a_closed_door_is_told_once_with_what_opens_it() {
    let closed = SpokeFault::RoleDenied("AccessDenied".into());
    let facts = SpokeFacts { session: Err(closed.clone()), rules: Err(closed.clone()), recorder: Err(closed.clone()), nodes: Err(closed), ..well() };
    let trust = check(&facts, Topic::Trust);
    assert_eq!(trust.outcome, Outcome::Fail);
    let update = trust.mend.last().unwrap();
    assert!(update.starts_with("aws iam update-assume-role-policy --role-name PatchExecRole --policy-document '{"), "{update}");
    assert!(update.contains("arn:aws:iam::123456789012:role/tidegate-patch") && update.contains(r#""sts:ExternalId":"'"$TIDEGATE_EXTERNAL_ID"'""#), "{update}");
    for name in [Topic::ExternalId, Topic::Clock, Topic::Rule, Topic::Agents] {
        let check = check(&facts, name);
        assert_eq!((check.outcome, check.mend.len()), (Outcome::Unknown, 0), "{check:?}");
    }
    assert_eq!(outcome(&SpokeFacts { session: Err(SpokeFault::AccountSuspended), ..well() }, Topic::Trust), Outcome::Fail);
    assert_eq!(outcome(&SpokeFacts { session: Err(SpokeFault::Throttled), ..well() }, Topic::Trust), Outcome::Unknown);
}

fn with_session(change: impl Fn(&mut Session)) -> SpokeFacts {
    let mut facts = well();
    change(facts.session.as_mut().unwrap());
    facts
}

#[test]
fn a_session_elsewhere_or_a_role_for_everybody_is_no_trust() {
    assert_eq!(outcome(&with_session(|session| session.account = "444455556666".parse().unwrap()), Topic::Trust), Outcome::Fail);
    assert_eq!(outcome(&with_session(|session| session.opens_without_external_id = Some(true)), Topic::ExternalId), Outcome::Fail);
    assert_eq!(outcome(&with_session(|session| session.opens_without_external_id = None), Topic::ExternalId), Outcome::Unknown);
    let mut facts = well();
    facts.hub.says_external_id = false;
    assert_eq!(outcome(&facts, Topic::ExternalId), Outcome::Warn);
    assert_eq!(outcome(&with_session(|session| session.is_own = true), Topic::ExternalId), Outcome::Ok);
}

#[test]
fn a_clock_is_judged_by_what_aws_bears() {
    for (skew, expected) in [
        (Some(0), Outcome::Ok),
        (Some(60_000), Outcome::Ok),
        (Some(-60_001), Outcome::Warn),
        (Some(240_000), Outcome::Warn),
        (Some(-240_001), Outcome::Fail),
        (Some(i64::MIN), Outcome::Fail),
        (None, Outcome::Unknown),
    ] {
        assert_eq!(outcome(&with_session(|session| session.skew_millis = skew), Topic::Clock), expected, "{skew:?}");
    }
}

#[test]
fn a_rule_counts_by_what_it_is_not_by_its_name() {
    let misnamed = RuleSeen { name: "ec2-managedinstance-patch-compliance-status-check".into(), identifier: "EBS_OPTIMIZED".into(), is_active: true };
    let facts = SpokeFacts { rules: Ok(vec![misnamed]), ..well() };
    let none = check(&facts, Topic::Rule);
    assert_eq!(none.outcome, Outcome::Fail);
    assert!(none.mend[0].contains("\"SourceIdentifier\":\"EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK\""), "{none:?}");
    let mut facts = well();
    facts.rules.as_mut().unwrap()[1].is_active = false;
    assert_eq!(outcome(&facts, Topic::Rule), Outcome::Fail);
    let osaka = SpokeFacts { region: "ap-northeast-3".parse().unwrap(), rules: Ok(Vec::new()), ..well() };
    assert_eq!(outcome(&osaka, Topic::Rule), Outcome::Warn);
}

fn recording(recorder: Option<Recorder>) -> (Check, Check) {
    let facts = SpokeFacts { recorder: Ok(recorder), ..well() };
    (check(&facts, Topic::Recorder), check(&facts, Topic::Frequency))
}

#[test]
fn a_recorder_must_run_and_have_the_type() {
    let ours = || vec![RESOURCE_TYPE.to_owned()];
    let other = || vec!["AWS::EC2::Instance".to_owned()];
    let by = |scope| recording(Some(recorder_of(scope, Frequency::Continuous, Vec::new()))).0.outcome;
    assert_eq!(by(Scope::Only(ours())), Outcome::Ok);
    assert_eq!(by(Scope::Only(other())), Outcome::Fail);
    assert_eq!(by(Scope::AllBut(other())), Outcome::Ok);
    assert_eq!(by(Scope::AllBut(ours())), Outcome::Fail);
    let (none, frequency) = recording(None);
    assert_eq!((none.outcome, none.mend.len(), frequency.outcome), (Outcome::Fail, 4, Outcome::Unknown));
    let with = |is_recording, last_failure: Option<&str>| {
        let recorder = recorder_of(Scope::All, Frequency::Continuous, Vec::new());
        recording(Some(Recorder { is_recording, last_failure: last_failure.map(str::to_owned), ..recorder })).0.outcome
    };
    assert_eq!(with(Some(false), None), Outcome::Fail);
    assert_eq!(with(None, None), Outcome::Unknown);
    assert_eq!(with(Some(true), Some("AccessDenied")), Outcome::Warn);
}

/// The document of a `put-configuration-recorder`.
fn put(check: &Check) -> serde_json::Value {
    let (_, document) = check.mend[0].split_once("--configuration-recorder ").unwrap();
    serde_json::from_str(document.trim_matches('\'')).unwrap()
}

#[test]
fn what_mends_a_recorder_keeps_everything_else_of_it() {
    let queue = || vec!["AWS::SQS::Queue".to_owned()];
    let change = |types: Vec<String>, frequency| vec![FrequencyOverride { types, frequency: Some(frequency) }];
    let scope = Scope::Only(vec!["AWS::EC2::Instance".to_owned()]);
    let (left_out, _) = recording(Some(recorder_of(scope, Frequency::Continuous, Vec::new())));
    assert_eq!(put(&left_out)["recordingGroup"]["resourceTypes"], serde_json::json!(["AWS::EC2::Instance", RESOURCE_TYPE]));
    let daily = |frequency, overrides| {
        let (_, check) = recording(Some(recorder_of(Scope::All, frequency, overrides)));
        assert_eq!(check.outcome, Outcome::Warn);
        let mut put = put(&check);
        assert_eq!((&put["name"], &put["recordingGroup"]["includeGlobalResourceTypes"]), (&"default".into(), &true.into()));
        put["recordingMode"].take()
    };
    let ours_too = serde_json::json!({ "recordingFrequency": "DAILY",
        "recordingModeOverrides": [{ "recordingFrequency": "CONTINUOUS", "resourceTypes": ["AWS::SQS::Queue", RESOURCE_TYPE] }] });
    assert_eq!(daily(Frequency::Daily, change(queue(), Frequency::Continuous)), ours_too);
    let only_ours = serde_json::json!({ "recordingFrequency": "DAILY",
        "recordingModeOverrides": [{ "recordingFrequency": "CONTINUOUS", "resourceTypes": [RESOURCE_TYPE] }] });
    assert_eq!(daily(Frequency::Daily, Vec::new()), only_ours);
    let both = vec!["AWS::SQS::Queue".to_owned(), RESOURCE_TYPE.to_owned()];
    let theirs_alone = serde_json::json!({ "recordingFrequency": "CONTINUOUS",
        "recordingModeOverrides": [{ "recordingFrequency": "DAILY", "resourceTypes": ["AWS::SQS::Queue"] }] });
    assert_eq!(daily(Frequency::Continuous, change(both, Frequency::Daily)), theirs_alone);
}

#[test]
fn agents_are_judged_by_their_share() {
    for (online, silent, expected) in
        [(9, 1, Outcome::Ok), (899, 101, Outcome::Warn), (1, 1, Outcome::Warn), (49, 51, Outcome::Fail), (0, 3, Outcome::Fail), (0, 0, Outcome::Warn)]
    {
        assert_eq!(outcome(&SpokeFacts { nodes: Ok(vec![linux(online, silent)]), ..well() }, Topic::Agents), expected, "{online} {silent}");
    }
    assert!(check(&SpokeFacts { nodes: Ok(vec![linux(2, 1)]), ..well() }, Topic::Agents).found.contains("2 of 3 running instances answer (66.66 %)"));
}

#[test]
fn every_system_needs_its_default_baseline() {
    let windows = Nodes { platform: Some(tidegate_events::host::Platform::Windows), name: "Microsoft Windows Server 2025".into(), ..linux(1, 0) };
    let facts = SpokeFacts { nodes: Ok(vec![linux(1, 0), windows]), ..well() };
    let none = check(&facts, Topic::Baselines);
    assert_eq!((none.outcome, none.found.as_str()), (Outcome::Fail, "no default patch baseline for WINDOWS"));
    assert!(none.mend[0].contains("register-default-patch-baseline --region us-east-1") && none.mend[0].contains("Values=WINDOWS"), "{none:?}");
    let strange = Nodes { platform: None, name: "Plan 9".into(), version: "4".into(), ..linux(1, 0) };
    assert_eq!(outcome(&SpokeFacts { nodes: Ok(vec![linux(1, 0), strange]), ..well() }, Topic::Baselines), Outcome::Unknown);
}

fn association(name: &str, pairs: &[(&str, &str)]) -> AssociationSeen {
    let id = "8dfe3659-4309-493a-8755-0123456789ab".to_owned();
    AssociationSeen { id, name: name.into(), document: "AWS-RunPatchBaseline".into(), schedule: None, parameters: parameters(pairs) }
}

#[test]
fn rivals_fail_where_they_install_and_warn_where_they_judge_otherwise() {
    let with = |associations| SpokeFacts { associations: Ok(associations), ..well() };
    let install = with(vec![association("daily", &[("Operation", "Scan")]), association("weekly", &[("Operation", "Install")])]);
    let found = check(&install, Topic::Associations);
    assert_eq!(found.outcome, Outcome::Fail);
    assert_eq!(found.mend, ["aws ssm delete-association --region us-east-1 --association-id 8dfe3659-4309-493a-8755-0123456789ab"]);
    assert_eq!(outcome(&install, Topic::PatchPolicies), Outcome::Ok);
    let scan = with(vec![association("daily", &[("Operation", "Scan")])]);
    assert_eq!(check(&scan, Topic::Associations).found, "none installs; 1 only scan by the instances' own baseline");
    let bucket = "s3://aws-quicksetup-patchpolicy-111122223333-abcde/baseline_overrides.json";
    let policy = with(vec![association("AWS-QuickSetup-PatchPolicy-ScanForPatches-LA-abcde", &[("Operation", "Scan"), ("BaselineOverride", bucket)])]);
    assert_eq!((outcome(&policy, Topic::PatchPolicies), outcome(&policy, Topic::Associations)), (Outcome::Warn, Outcome::Ok));
    let policy = with(vec![association("", &[("Operation", "Install"), ("BaselineOverride", bucket)])]);
    assert_eq!((outcome(&policy, Topic::PatchPolicies), outcome(&policy, Topic::Associations)), (Outcome::Fail, Outcome::Ok));
    let unread = with(vec![AssociationSeen { parameters: None, ..association("who knows", &[]) }]);
    assert_eq!(outcome(&unread, Topic::Associations), Outcome::Unknown);
}

#[test]
fn a_window_counts_as_its_heaviest_task() {
    let task = |word: &str| TaskSeen {
        id: "4f7ca192-7e9a-40fe-9192-5cb15abcdef0".into(),
        document: "AWS-RunPatchBaseline".into(),
        parameters: parameters(&[("Operation", word)]),
    };
    let window = |is_enabled, tasks| WindowSeen { id: "mw-0c50858d01EXAMPLE".into(), name: "sunday".into(), is_enabled, tasks };
    let by = |windows| outcome(&SpokeFacts { windows: Ok(windows), ..well() }, Topic::MaintenanceWindows);
    assert_eq!(by(vec![window(true, vec![task("Scan")])]), Outcome::Ok);
    assert_eq!(by(vec![window(true, vec![task("Scan"), task("Install")])]), Outcome::Fail);
    assert_eq!(by(vec![window(true, vec![task("{{ Operation }}")])]), Outcome::Unknown);
    assert_eq!(by(vec![window(false, vec![task("Install")])]), Outcome::Warn);
}

#[test]
fn names_of_others_neither_reach_the_terminal_nor_leave_their_quotes() {
    let mut evil = association("x\u{1b}[2J`$(reboot)`", &[("Operation", "Install")]);
    evil.id = "a'; reboot; '".into();
    let found = check(&SpokeFacts { associations: Ok(vec![evil]), ..well() }, Topic::Associations);
    assert!(!found.found.contains('\u{1b}'), "{found:?}");
    assert!(found.mend[0].ends_with(r"--association-id 'a'\''; reboot; '\'''"), "{found:?}");
}

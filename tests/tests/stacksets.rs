//! The templates: what linters by third parties say of them, and that they are what the code needs. Patterns, rights, settings and
//! the table's keys are read from the sources and from the templates, and compared.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tidegate_tests::binary::root;
use tidegate_tests::rig::{self, Ministack};

/// The faults of each check of the templates, and how much it looked at.
fn check(args: &[&str]) -> BTreeMap<String, (u64, Vec<String>)> {
    checked_by("check_templates.py", args)
}

fn checked_by(driver: &str, args: &[&str]) -> BTreeMap<String, (u64, Vec<String>)> {
    let said = rig::lint(driver, args).unwrap();
    let read =
        |said: &Value| (said["looked"].as_u64().unwrap(), said["faults"].as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect());
    said.as_object().unwrap().iter().map(|(name, said)| (name.clone(), read(said))).collect()
}

#[test]
fn templates_are_what_the_code_needs_and_linters_have_nothing_to_say() {
    let checks = check(&[]);
    assert_eq!(checks.len(), 12, "{:?}", checks.keys());
    let faults: Vec<&String> = checks.values().flat_map(|(_, faults)| faults).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    for (name, (looked, _)) in &checks {
        assert!(*looked >= 3, "{name} looked at {looked} things");
    }
}

/// A check that finds nothing in wrong templates proves nothing.
#[test]
fn what_is_wrong_is_found() {
    let wrong: [(&str, &str, &str, &str, &str); 17] = [
        ("hub.yaml", "Action: s3:PutObject", "Action: s3:GetObject", "rights", "report's role may not do `s3:PutObject`"),
        (
            "hub.yaml",
            "Action: sns:Publish\n                Resource: [!Ref AlertsTopic, !Ref ChatTopic]\n              - Sid",
            "Action: [sns:Publish, sns:Subscribe]\n                Resource: [!Ref AlertsTopic, !Ref ChatTopic]\n              - Sid",
            "rights",
            "notify's role may do `sns:Subscribe`",
        ),
        ("hub.yaml", "Resource: !Ref BedrockAgentAliasArns", "Resource: \"*\"", "rights", "notify may do `bedrock:InvokeAgent` on ['*']"),
        ("spoke.yaml", "ssm:ListCommands, ", "", "rights", "PatchExecRole in spokes may not do `ssm:ListCommands`"),
        ("spoke.yaml", "config:PutRemediationExceptions, ", "", "rights", "PatchVerifyRole in spokes with `MirrorExemptions` may not do"),
        (
            "spoke.yaml",
            "MirrorsExemptions: !Equals [!Ref MirrorExemptions, \"true\"]",
            "MirrorsExemptions: !Equals [\"true\", \"true\"]",
            "rights",
            "PatchVerifyRole in spokes may do `config:PutRemediationExceptions`",
        ),
        ("spoke.yaml", "role/${HubPatchRoleName}", "role/*", "rights", "PatchExecRole trusts"),
        ("hub.yaml", "        Roots: organizations:ListRoots has no resource types.\n", "", "wildcards", "GateRole.Roots"),
        ("spoke.yaml", "Action: iam:PassRole", "Action: iam:GetRole", "rights", "with `TakeBackups` may not do `iam:PassRole`"),
        ("spoke.yaml", "Action: events:PutEvents", "Action: events:PutEvent", "parliament", "PutEvent"),
        ("spoke.yaml", "state: [running, terminated]", "state: [running, stopped]", "patterns", "ec2-instance-state-change"),
        ("hub.yaml", "TIDEGATE_BUCKET: ", "TIDEGATE_BUCKETS: ", "settings", "report is not told `TIDEGATE_BUCKET`"),
        ("hub.yaml", "VisibilityTimeout: 1800", "VisibilityTimeout: 900", "queues", "ec2patch-spokes.fifo"),
        ("hub.yaml", "EnableKeyRotation: true", "EnableKeyRotation: false", "guard", "keys_rotate"),
        ("hub.yaml", "MetricName: SweepPartsLeft", "MetricName: SweepsFailed", "metrics", "nothing makes the metric Tidegate SweepsFailed"),
        ("hub.yaml", "$.kind = \"quarantined\"", "$.kind = \"quarantine\"", "metrics", "notices of the kind `quarantine`"),
        ("hub.yaml", "SubnetIds: !Split [\",\", !Ref VpcSubnetIds]", "SubnetIds: [!Ref VpcSubnetIds]", "network", "ec2patch-enqueue is in"),
    ];
    let stacksets = root().join("stacksets");
    for (file, from, to, name, fault) in wrong {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(&stacksets).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let text = fs::read_to_string(stacksets.join(file)).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        fs::write(folder.path().join(file), text.replacen(from, to, 1)).unwrap();
        let checks = check(&["--templates", &folder.path().display().to_string(), name]);
        let (_, faults) = &checks[name];
        assert!(faults.iter().any(|said| said.contains(fault)), "`{to}` in {file}: {faults:?}");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), &place).unwrap();
        }
    }
}

/// `driver` has nothing to say of what is there, and finds each of these changes: file, what is replaced, by what, the check, the fault.
fn holds_and_finds(driver: &str, folder: &str, option: &str, wrong: &[(&str, &str, &str, &str, &str)]) {
    for (name, (looked, faults)) in checked_by(driver, &[]) {
        assert!(faults.is_empty(), "{name}: {faults:#?}");
        assert!(looked >= 3, "{name} looked at {looked} things");
    }
    let sources = root().join(folder);
    for &(file, from, to, name, fault) in wrong {
        let changed = tempfile::tempdir().unwrap();
        copy_folder(&sources, changed.path());
        let text = fs::read_to_string(sources.join(file)).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        fs::write(changed.path().join(file), text.replacen(from, to, 1)).unwrap();
        let checks = checked_by(driver, &[option, &changed.path().display().to_string(), name]);
        let (_, faults) = &checks[name];
        assert!(faults.iter().any(|said| said.contains(fault)), "`{to}` in {file}: {faults:?}");
    }
}

/// Terraform's configuration passes what the templates take, and has the original documents' variables.
#[test]
fn terraform_deploys_the_same_templates() {
    holds_and_finds(
        "check_terraform.py",
        "stacksets",
        "--templates",
        &[
            ("terraform/hub/main.tf", "    OrganizationId         = var.organization_id\n", "", "parameters", "`OrganizationId` of hub.yaml is not passed"),
            ("terraform/spoke/main.tf", "RoleName       = ", "RoleNames      = ", "parameters", "spoke.yaml takes no `RoleNames`"),
            (
                "terraform/hub/variables.tf",
                "variable \"wave_pause_seconds\"",
                "variable \"wave_pause\"",
                "variables",
                "`wave_pause_seconds` of the original documents is `missing`",
            ),
            ("terraform/hub/outputs.tf", "outputs[\"ApiUrl\"]", "outputs[\"ApiURL\"]", "outputs", "hub.yaml has no output `ApiURL`"),
            ("terraform/hub/main.tf", "accountWaves     =", "accountWave      =", "runs", "`accountWave` is no word of a run input"),
            ("terraform/hub/main.tf", "-work\"", "-works\"", "runs", "hub.yaml makes no queue `works`"),
            ("terraform/hub/main.tf", "    NamePrefix             =", "    NamePrefix =", "format", "hub/main.tf"),
            ("terraform/organization/main.tf", "    HubRegion  ", "   HubRegion   ", "format", "is not indented by 4"),
        ],
    );
}

/// Workflows fit GitHub's schema, give jobs no more than they need, and start runs from files of any name.
#[test]
fn workflows_take_no_keys_and_run_no_input() {
    holds_and_finds(
        "check_workflows.py",
        ".github",
        "--github",
        &[
            ("workflows/ci.yml", "runs-on:", "run-on:", "schema", "ci.yml"),
            ("workflows/patch-canary.yml", "start_run.py start", "start_run.py start ${{ inputs.scenario }}", "zizmor", "template-injection"),
            ("workflows/patch-canary.yml", "start_run.py start", "start_run.py start ${{ inputs.scenario }}", "rules", "an expression in the command"),
            ("workflows/deploy.yml", "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "rules", "`actions/checkout@v7` is no action by its commit"),
            ("workflows/ci.yml", "contents: read #", "contents: write #", "rules", "ci may"),
            (
                "actions/deploy/action.yml",
                "role-to-assume: ${{ inputs.role }}",
                "aws-access-key-id: ${{ inputs.role }}",
                "rules",
                "a key that outlives its job",
            ),
            ("workflows/patch-matrix.yml", "inputs_prefix:", "prefix:", "inputs", "the input `inputs_prefix`"),
            ("start_run.py", "r\"[A-Za-z0-9][A-Za-z0-9._-]*\"", "r\".*\"", "starts", "../custom-inputs/wave-main-multi"),
            ("actions/deploy/parameters.py", "if left:", "if False:", "parameters", "examples are deployed"),
        ],
    );
}

/// The page of costs has the counts, the templates' alarms and the prices of today.
#[test]
fn costs_are_those_of_the_counts() {
    let checks = checked_by("cost.py", &["--check"]);
    let (looked, faults) = &checks["tables"];
    assert!(faults.is_empty() && *looked > 20, "{faults:?}");
}

/// Which sample is for which pattern, by its number: everything else must be left alone. Proactive evaluations (25) and other
/// accounts' Security Hub findings (41, 42) are forwarded, since no pattern can tell them apart, and ignored by the engine.
#[test]
fn patterns_match_their_samples_and_no_others_by_a_third_partys_matcher() {
    let wanted: BTreeMap<&str, &[u32]> = BTreeMap::from([
        ("config-compliance-change", &[1, 2, 3, 4, 16, 17, 18, 24, 25][..]),
        ("ssm-compliance-state-change", &[7, 23]),
        ("ssm-command-status-change", &[8]),
        ("ssm-command-invocation-status-change", &[9, 10]),
        ("ssm-automation-execution-status-change", &[11]),
        ("ec2-instance-state-change", &[12, 22]),
        ("ssm-calendar-state-change", &[19, 28]),
        ("securityhub-findings-imported", &[13, 37, 41, 42]),
        ("securityhub-findings-imported-v2", &[38, 39]),
    ]);
    let hub = rig::ministack(Ministack::default()).unwrap();
    let said = rig::drive("match_patterns.py", &["--endpoint", &hub.endpoint], &[]).unwrap();
    assert!(said["samples"].as_u64().unwrap() >= 45, "{said}");
    let number = |sample: &Value| sample.as_str().unwrap().split('-').next().unwrap().parse::<u32>().unwrap();
    let matched = said["matched"].as_object().unwrap();
    let matched: BTreeMap<&str, Vec<u32>> =
        matched.iter().map(|(name, samples)| (name.as_str(), samples.as_array().unwrap().iter().map(number).collect())).collect();
    let wanted: BTreeMap<&str, Vec<u32>> = wanted.into_iter().map(|(name, samples)| (name, samples.to_vec())).collect();
    assert_eq!(matched, wanted);
}

/// Hub and spokes deployed by CloudFormation, where signatures, roles and policies are enforced by a third party: every function makes
/// every call with its own deployed role, and what the template does not give it is refused. What the emulator does not know of the
/// templates is changed by tests/rig/emulated.py, and here.
#[test]
fn deployed_roles_allow_what_is_needed_and_an_emulators_iam_refuses_the_rest() {
    let hub = rig::ministack(Ministack { auth: true, ..Ministack::default() }).unwrap();
    let said = rig::drive("deploy_templates.py", &["--endpoint", &hub.endpoint], &[]).unwrap();
    assert_eq!(said["faults"], serde_json::json!([]), "{said:#}");
    let count = |path: &str| said.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {said:#}"));
    assert!(count("/made") >= 110, "{said:#}");
    assert!(count("/roles/allowed") >= 60 && count("/roles/denied") >= 90, "{said:#}");
    // Two roles in three accounts; other functions, wrong external ids and a foreign account stay out.
    assert_eq!((count("/spokes/entered"), count("/spokes/refused")), (6, 42), "{said:#}");
    assert_eq!((count("/events/carried"), count("/events/left")), (6, 6), "{said:#}");
    let changed = |name: &str| -> Vec<&str> { said[name].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect() };
    let rejected: Vec<&str> = ["changed_in_hub", "changed_in_spoke"].iter().flat_map(|name| changed(name)).filter(|line| line.contains(": AWS::")).collect();
    assert_eq!(
        rejected,
        [
            "BusTakesTheOrganization: AWS::Events::EventBusPolicy",
            "conditions: AWS::Region",
            "ConfigRule: AWS::Config::ConfigRule",
            "BackupDocument: AWS::SSM::Document"
        ]
    );
}

/// What organization.yaml asks of StackSets, in moto: canaries first, each account in each Region, roles once, nothing in the
/// management account. A role that two Regions made would fail the second.
#[test]
fn stack_sets_make_spokes_in_every_account_and_region() {
    let said = rig::drive_stack_sets("stack_sets.py").unwrap();
    assert_eq!(said["order"], serde_json::json!(["CanarySpokes", "Spokes"]));
    let units = said["units"].as_array().unwrap().iter().map(|accounts| accounts.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>());
    let wanted: Vec<(&str, Vec<&str>)> = ["ec2patch-spoke-canary", "ec2patch-spoke"].into_iter().zip(units).collect();
    assert_eq!(wanted.iter().map(|(_, accounts)| accounts.len()).collect::<Vec<_>>(), [1, 2]);
    for (stack_set, accounts) in wanted {
        let instances = said["instances"][stack_set].as_array().unwrap();
        assert_eq!(instances.len(), accounts.len() * 2, "{said:#}");
        for instance in instances {
            assert!(accounts.contains(&instance[0].as_str().unwrap()) && instance[2] == "SUCCEEDED", "{instance}");
        }
        for account in accounts {
            let made = &said["made"][account];
            assert_eq!(
                made["roles"],
                serde_json::json!(["OrganizationAccountAccessRole", "PatchExecRole", "PatchVerifyRole", "ec2patch-forward"]),
                "{account}"
            );
            assert_eq!(made["rules"], serde_json::json!({"us-east-1": 8, "eu-central-1": 8}), "{account}");
        }
    }
    assert_eq!(said["in_the_management_account"], serde_json::json!([]));
}

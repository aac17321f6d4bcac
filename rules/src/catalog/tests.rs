use super::read::check;
use super::*;
use tidegate_events::entry::RunStep;
use tidegate_events::host::Platform;
use tidegate_events::id::SnapshotId;

const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn job(entry: &CatalogEntry, step: RunStep, platform: Platform, wish: &Wish) -> Result<Job, JobFault> {
    let snapshot: SnapshotId = ID.parse().unwrap();
    let region = "us-gov-west-1".parse().unwrap();
    let fill = Fill { reboot_option: "NoReboot", snapshot: &snapshot, place: Some(("111122223333".parse().unwrap(), &region)) };
    entry.job(step, platform, wish, &fill)
}

fn own(text: &str) -> CatalogEntry {
    Catalog::with([("own.toml", text)]).unwrap().own.remove(0)
}

fn wrong(text: &str) -> String {
    Catalog::with([("own.toml", text)]).unwrap_err().to_string()
}

#[test]
fn every_file_is_an_entry_of_its_own() {
    for text in FILES {
        toml::from_str::<CatalogEntry>(text).unwrap();
    }
    assert_eq!(entries().len(), FILES.len());
    for entry in entries() {
        assert_eq!(check(entry), Vec::<String>::new(), "{}", entry.name);
        assert_eq!(super::entry(&entry.name), Some(entry), "two entries are called `{}`", entry.name);
        for resource_type in &entry.resource_types {
            for rule in &entry.config_rules {
                assert_eq!(for_finding(resource_type, Some(rule)), Some(entry), "two entries answer {rule} about {resource_type}");
            }
        }
        // What is pinned with a policy reads back as what it was.
        let json = serde_json::to_string(entry).unwrap();
        assert_eq!(&serde_json::from_str::<CatalogEntry>(&json).unwrap(), entry);
    }
    assert_eq!(entry("no-such"), None);
    assert_eq!(for_resource_type("AWS::S3::Bucket"), None);
}

#[test]
fn a_finding_leads_to_its_entry_whatever_its_rule_is_called_here() {
    let name = |kind: &str, rule: Option<&str>| for_finding(kind, rule).map(|entry| entry.name.as_str());
    assert_eq!(name(PATCH_COMPLIANCE, Some("anything")), Some("patch"));
    assert_eq!(name(PATCH_COMPLIANCE, None), Some("patch"));
    assert_eq!(name("AWS::SSM::AssociationCompliance", None), Some("association"));
    assert_eq!(name("AWS::EC2::Instance", Some("OrgConfigRule-ec2-imdsv2-check-a1b2c3d4")), Some("imdsv2"));
    assert_eq!(name("AWS::EC2::Instance", Some("securityhub-ec2-instance-managed-by-ssm-1a2b3c4d")), Some("unmanaged"));
    assert_eq!(name("AWS::EC2::Instance", Some("EC2_IMDSV2_CHECK")), Some("imdsv2"));
    // Several rules judge instances: without a name that is known, none of the entries is meant.
    assert_eq!(name("AWS::EC2::Instance", Some("ec2-instance-no-public-ip")), None);
    assert_eq!(name("AWS::EC2::Instance", None), None);
}

#[test]
fn parameters_are_those_of_the_document_and_leave_nothing_open() {
    let patch = entry("patch").unwrap();
    let shown = |step| serde_json::to_string(&job(patch, step, Platform::Linux, &Wish::default()).unwrap().parameters).unwrap();
    assert_eq!(shown(RunStep::Install), format!(r#"{{"Operation":["Install"],"RebootOption":["NoReboot"],"SnapshotId":["{ID}"]}}"#));
    assert_eq!(shown(RunStep::Reboot), format!(r#"{{"Operation":["Install"],"RebootOption":["RebootIfNeeded"],"SnapshotId":["{ID}"]}}"#));
    assert_eq!(shown(RunStep::Scan), format!(r#"{{"Operation":["Scan"],"RebootOption":["NoReboot"],"SnapshotId":["{ID}"]}}"#));
    for entry in entries() {
        for step in [RunStep::Install, RunStep::Reboot, RunStep::Scan] {
            let open =
                job(entry, step, Platform::Windows, &Wish::default()).is_ok_and(|job| job.parameters.values().flatten().any(|value| value.contains('{')));
            assert!(!open, "{}", entry.name);
        }
    }
    let imdsv2 = job(entry("imdsv2").unwrap(), RunStep::Install, Platform::Linux, &Wish::default()).unwrap();
    assert_eq!((imdsv2.runner, imdsv2.target_parameter.as_deref()), (Runner::Automation, Some("InstanceId")));
    assert_eq!(serde_json::to_string(&imdsv2.parameters).unwrap(), r#"{"EnforceIMDSv2":["required"]}"#);
    let association = job(entry("association").unwrap(), RunStep::Install, Platform::Linux, &Wish::default()).unwrap();
    assert_eq!((association.document.as_str(), association.parameters.len()), ("AWS-RefreshAssociation", 0));
    assert!(matches!(job(entry("unmanaged").unwrap(), RunStep::Install, Platform::Linux, &Wish::default()), Err(JobFault::NoStep { .. })));
}

#[test]
fn hooks_change_the_document_of_the_install_alone() {
    let hooks = Hooks { pre: Some("Acme-PreCheck".into()), post: None, on_exit: Some("Acme-Tell".into()) };
    let wish = Wish { hooks, document: None };
    let patch = entry("patch").unwrap();
    let install = job(patch, RunStep::Install, Platform::Linux, &wish).unwrap();
    assert_eq!(install.document, "AWS-RunPatchBaselineWithHooks");
    assert_eq!(
        serde_json::to_string(&install.parameters).unwrap(),
        format!(
            r#"{{"OnExitHookDocName":["Acme-Tell"],"Operation":["Install"],"PreInstallHookDocName":["Acme-PreCheck"],"RebootOption":["NoReboot"],"SnapshotId":["{ID}"]}}"#
        )
    );
    for step in [RunStep::Scan, RunStep::Reboot] {
        assert_eq!(job(patch, step, Platform::Linux, &wish), job(patch, step, Platform::Linux, &Wish::default()));
    }
    // Somebody's check is never left out in silence.
    assert!(matches!(job(entry("association").unwrap(), RunStep::Install, Platform::Linux, &wish), Err(JobFault::NoHooks { .. })));
    let instead = Wish { document: Some("Acme-Patch".into()), ..wish };
    assert!(matches!(job(patch, RunStep::Install, Platform::Linux, &instead), Err(JobFault::NoHooks { .. })));
    let instead = Wish { document: Some("Acme-Patch".into()), hooks: Hooks::default() };
    assert_eq!(job(patch, RunStep::Install, Platform::Linux, &instead).unwrap().document, "Acme-Patch");
    assert_eq!(job(patch, RunStep::Scan, Platform::Linux, &instead).unwrap().document, "AWS-RunPatchBaseline");
}

const OWN: &str = r#"
name = "acme-patch"
title = "patches as Acme does"
resource_types = ["AWS::SSM::PatchCompliance"]
config_rules = ["ec2-managedinstance-patch-compliance-status-check"]
document = "AWS-RunPatchBaseline"
proof = "patch_state"
steps.install = { Operation = "Install", RebootOption = "{reboot_option}", SnapshotId = "{snapshot}" }
steps.scan = { Operation = "Scan", RebootOption = "NoReboot", SnapshotId = "{snapshot}" }
[documents.windows]
document = "arn:{partition}:ssm:{region}:{account}:document/Acme-PatchWindows"
steps.install = { Operation = "Install", Groups = ["a", "{snapshot}"] }
"#;

#[test]
fn each_platform_may_have_a_document_of_its_own() {
    let entry = own(OWN);
    let windows = job(&entry, RunStep::Install, Platform::Windows, &Wish::default()).unwrap();
    assert_eq!(windows.document, "arn:aws-us-gov:ssm:us-gov-west-1:111122223333:document/Acme-PatchWindows");
    assert_eq!(serde_json::to_string(&windows.parameters).unwrap(), format!(r#"{{"Groups":["a","{ID}"],"Operation":["Install"]}}"#));
    assert_eq!(job(&entry, RunStep::Install, Platform::Linux, &Wish::default()).unwrap().document, "AWS-RunPatchBaseline");
}

#[test]
fn what_is_wrong_with_an_entry_is_said_with_its_file() {
    let says = |from: &str, to: &str, what: &str| {
        assert!(OWN.contains(from), "{from}");
        let error = wrong(&OWN.replacen(from, to, 1));
        assert!(error.starts_with("own.toml: ") && error.contains(what), "{error}");
    };
    says(r#"name = "acme-patch""#, r#"name = "patch""#, "`patch` is the name of an entry that comes with Tidegate");
    says(r#"name = "acme-patch""#, r#"name = "Acme Patch""#, "the name `Acme Patch` is wrong");
    says(r#"document = "AWS-RunPatchBaseline""#, r#"document = "no good""#, "the document `no good` is wrong");
    says(r#"proof = "patch_state""#, r#"proof = "exit_code""#, "line 7: unknown variant `exit_code`");
    says(r#"proof = "patch_state""#, r#"proof = "config_verdict""#, "has one step");
    says(r#"title = "patches"#, r#"colour = "patches"#, "unknown field `colour`");
    says(r#"SnapshotId = "{snapshot}" }"#, r#"SnapshotId = "{snapshoot}" }"#, "has the placeholder `{snapshoot}`");
    says(r#"proof = "patch_state""#, "proof = \"patch_state\"\nrunner = \"automation\"", "`target_parameter` is missing");
    says(r#"proof = "patch_state""#, "proof = \"patch_state\"\nrunner = \"report\"", "runs nothing");
    says("AWS::SSM::PatchCompliance", "PatchCompliance", "`resource_types` is wrong");
    let twice = Catalog::with([("a.toml", OWN), ("b.toml", OWN)]).unwrap_err().to_string();
    assert_eq!(twice, "b.toml: `acme-patch` is the name of the entry in a.toml, too: expected a name of its own for each");
    assert!(wrong("name = ").starts_with("own.toml: line 1: "));
}

#[test]
fn a_catalog_knows_both_kinds_of_entries() {
    let catalog = Catalog::with([("own.toml", OWN)]).unwrap();
    assert_eq!(catalog.names(), ["acme-patch", "patch", "association", "imdsv2", "unmanaged"]);
    assert!(catalog.own("acme-patch").is_some() && catalog.own("patch").is_none() && catalog.entry("patch").is_some());
}

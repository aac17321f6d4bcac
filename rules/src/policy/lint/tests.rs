use super::*;
use crate::policy::{BUILTIN_NAMES, builtin, default_policy, parse};

fn rules(text: &str) -> Vec<&'static str> {
    let policy = parse(&format!("name = \"x\"\n{text}"), "p.toml").unwrap_or_else(|errors| panic!("{errors}"));
    lint(&policy).into_iter().map(|lint| lint.rule).collect()
}

/// A policy of one line is right but for its missing window.
fn more_than_default(text: &str) -> Vec<&'static str> {
    rules(text).into_iter().filter(|rule| *rule != "no-window").collect()
}

const WINDOW: &str = "[[window]]\nname = \"w\"\ncron = \"0 2 ? * SUN *\"\ntime_zone = \"UTC\"\nduration_secs = 14400\n";

#[test]
fn of_the_policies_that_come_with_tidegate_only_the_default_lacks_something() {
    for name in BUILTIN_NAMES {
        let found = lint(&parse(builtin(name).unwrap(), name).unwrap());
        let expected: &[&str] = if name == "default" { &["no-window"] } else { &[] };
        assert_eq!(found.iter().map(|lint| lint.rule).collect::<Vec<_>>(), expected, "{name}: {found:?}");
    }
    assert_eq!(rules(WINDOW), Vec::<&str>::new());
}

#[test]
fn each_unwise_thing_has_its_rule() {
    for (text, rule) in [
        ("wave = [{ name = \"all\" }]", "no-canary"),
        ("wave = [{ name = \"a\", share = \"25.01%\" }, { name = \"b\" }]", "no-canary"),
        ("wave = [{ name = \"a\", share = \"5%\", bake_secs = 0 }, { name = \"b\", bake_secs = 0 }]", "no-bake"),
        ("approval = { quorum = 0 }", "no-approval"),
        ("approval = { quorum = 1, four_eyes = false }", "no-four-eyes"),
        ("failure_budget = \"100%\"", "no-budget"),
        ("failure_budget = \"21%\"", "loose-budget"),
        ("wave = [{ name = \"a\", share = \"5%\", failure_budget = \"50%\" }, { name = \"b\" }]", "loose-budget"),
        ("blast_radius = { organization = \"51%\" }", "wide-blast-radius"),
        ("retry = { attempts_max = 1 }", "one-attempt"),
        ("approval = { expires_secs = 7200 }", "early-expiry"),
        ("reboot = \"never\"", "never-reboots"),
    ] {
        assert_eq!(more_than_default(text), [rule], "{text}");
    }
}

#[test]
fn what_is_just_wise_enough_is_not_named() {
    for text in [
        "wave = [{ name = \"a\", share = \"25%\", bake_secs = 1 }, { name = \"b\", bake_secs = 0 }]",
        "wave = [{ name = \"a\", instances = [\"i-01234567\"] }, { name = \"b\" }]",
        "approval = { quorum = 1 }",
        "approval = { quorum = 2, four_eyes = false }",
        "approval = { expires_secs = 7201 }",
        "approval = { expires_secs = 60, per_wave = true }",
        "failure_budget = \"20%\"",
        "failure_budget = 100",
        "blast_radius = { organization = \"50%\" }",
    ] {
        assert_eq!(more_than_default(text), Vec::<&str>::new(), "{text}");
    }
}

#[test]
fn windows_and_waits_must_fit() {
    assert_eq!(rules(&format!("collect = {{ emergency = true }}\n{WINDOW}")), ["emergency-waits"]);
    assert_eq!(rules(&format!("execution_timeout_secs = 14371\n{WINDOW}")), ["short-window"]);
    assert_eq!(rules(&format!("execution_timeout_secs = 14370\n{WINDOW}")), Vec::<&str>::new());
    // Four hours: one for the patch, half an hour until it begins, the rest for the backup.
    let backup = |secs: u32| format!("backup = {{ document = \"Acme\", timeout_secs = {secs} }}\n{WINDOW}");
    assert_eq!(rules(&backup(14_370 - 3_600)), Vec::<&str>::new());
    assert_eq!(rules(&backup(14_371 - 3_600)), ["short-window"]);
    assert_eq!(rules(&format!("{WINDOW}cutoff_secs = 10801")), ["short-window"]);
    // A day of lead and two hours of baking.
    assert_eq!(rules(&format!("approval = {{ expires_secs = 93600 }}\n{WINDOW}")), ["early-expiry"]);
    assert_eq!(rules(&format!("approval = {{ expires_secs = 93601 }}\n{WINDOW}")), Vec::<&str>::new());
}

#[test]
fn other_environments_are_asked_less() {
    let all = "approval = { quorum = 0 }\nwave = [{ name = \"all\" }]\nfailure_budget = \"50%\"";
    assert_eq!(rules(&format!("environment = \"production\"\n{all}")), ["no-canary", "no-approval", "no-window", "loose-budget"]);
    assert_eq!(rules(&format!("environment = \"staging\"\n{all}")), ["no-canary", "loose-budget"]);
    assert_eq!(rules(&format!("environment = \"development\"\n{all}")), ["loose-budget"]);
}

#[test]
fn what_is_over_or_far_off_depends_on_the_date() {
    let text = format!(
        "name = \"x\"\n{WINDOW}[[freeze]]\nname = \"f\"\nfrom = 2026-01-01T00:00:00Z\nuntil = 2026-02-01T00:00:00Z\n[[exemption]]\ninstances = [\"i-01234567\"]\nowner = \"o\"\nreason = \"r\"\nuntil = 2027-06-01T00:00:00Z\n[[window]]\nname = \"once\"\ncron = \"0 2 1 6 ? 2026\"\ntime_zone = \"UTC\"\nduration_secs = 14400\n"
    );
    let policy = parse(&text, "p.toml").unwrap();
    let at = |now: &str| lint_at(&policy, now.parse().unwrap()).into_iter().map(|lint| lint.rule).collect::<Vec<_>>();
    assert_eq!(lint(&policy), []);
    assert_eq!(at("2026-01-15T00:00:00Z"), ["long-exemption"]);
    assert_eq!(at("2026-02-01T00:00:00Z"), ["long-exemption", "past-freeze"]);
    assert_eq!(at("2026-06-01T02:00:00Z"), ["past-freeze", "past-window"]);
    assert_eq!(at("2027-06-01T00:00:00Z"), ["past-exemption", "past-freeze", "past-window"]);
    assert_eq!(lint_at(&default_policy().unwrap(), Timestamp::MAX).len(), 1);
}

#[test]
fn a_mirror_without_exemptions_has_nothing_to_tell() {
    let rules = |text: &str| {
        let policy = parse(&format!("name = \"x\"\n{WINDOW}[exemptions]\nmirror = true\n{text}"), "p.toml").unwrap_or_else(|errors| panic!("{errors}"));
        lint(&policy).into_iter().map(|lint| lint.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules(""), ["mirrors-nothing"]);
    assert_eq!(rules("[[exemption]]\ninstances = [\"i-01234567\"]\nowner = \"o\"\nreason = \"r\"\nuntil = 2027-06-01T00:00:00Z\n"), [""; 0]);
}

#[test]
fn unwise_schedules_and_deadlines_have_their_rules() {
    let at_noon = |text: &str| {
        let policy = parse(&format!("name = \"x\"\n{WINDOW}{text}"), "p.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let found: Vec<&str> = lint_at(&policy, "2026-11-19T12:00:00Z".parse().unwrap()).into_iter().map(|lint| lint.rule).collect();
        found
    };
    let schedule = |cron: &str, more: &str| format!("[[schedule]]\nname = \"s\"\ncron = \"{cron}\"\ntime_zone = \"UTC\"\nrun = \"s.json\"\n{more}\n");
    assert_eq!(at_noon(&schedule("0 2 ? * SUN *", "")), Vec::<&str>::new());
    assert_eq!(at_noon(&schedule("0 2 1 1 ? 2025", "")), ["past-schedule"]);
    assert_eq!(at_noon(&schedule("0 2 1 1 ? 2025", "enabled = false")), Vec::<&str>::new());
    assert_eq!(at_noon(&schedule("0 * * * ? *", "catch_up_secs = 7200")), ["long-catch-up"]);
    let sla = |days: u32| format!("[[sla]]\nname = \"all\"\ndays = {days}\nsource = \"s\"\nversion = \"1\"\n");
    assert_eq!(at_noon(&sla(6)), ["sla-before-window"]);
    assert_eq!(at_noon(&sla(7)), Vec::<&str>::new());
}

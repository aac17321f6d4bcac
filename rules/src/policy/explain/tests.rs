use super::*;
use crate::policy::{builtin, default_policy, parse};

fn said(text: &str) -> String {
    let policy = parse(&format!("name = \"x\"\n{text}"), "p.toml").unwrap_or_else(|errors| panic!("{errors}"));
    explain(&policy).join("\n")
}

#[test]
fn the_default_policy_reads_as_a_manager_would_want_it() {
    assert_eq!(
        explain(&default_policy().unwrap()),
        [
            "Policy `default` (careful defaults for any fleet) is for production. It installs the patches that the instance's baseline approves.",
            "When AWS Config finds an instance non-compliant, the instance joins a campaign. The campaign closes 1 hour after its first finding; what is found later joins the next one.",
            "2 different people have to approve the campaign, once for all its waves, before anything is touched. A yes is good for exactly what was shown, and only for waves that start within 7 days of it.",
            "Instances are patched in 3 waves, one after the other: `canary` (5% of the campaign), then `early` (25% of the campaign), then `rest` (everyone who is left).",
            "A wave starts only when the one before it is proven and has been watched after its last instance: `canary` for 1 hour and `early` for 1 hour.",
            "If more than 5% of a wave fail or end unknown, everything under this policy halts until a named person resumes it.",
            "At the same time at most 25% of a wave, 20% of an account, 25% of a Region and 10% of the organization are touched; a percentage is rounded down, but never below one.",
            "There is no maintenance window: patching may start at any time of any day.",
            "The patch command reboots the instance where something was installed or a reboot is pending. A patch may run for 1 hour on one instance. It counts as patched when a scan afterwards finds nothing missing, and as remediated when AWS Config agrees.",
            "An instance whose attempt fails is tried again in a later campaign, 3 attempts in all, first after 30 minutes, then twice as long each time, at most 1 day; then `platform-team` must look at it.",
            "A bulk run of more than 1000 targets, or of more than 20% of the inventory, is refused.",
        ]
    );
}

#[test]
fn windows_are_told_in_words_where_words_are_shorter() {
    let slow = explain(&parse(builtin("slow-roll").unwrap(), "p").unwrap()).join("\n");
    assert!(slow.contains("Patching starts only in a maintenance window. `sunday-night` opens every Sunday at 02:00 UTC for 6 hours; what starts must be able to end 1 hour before that."), "{slow}");
    assert!(slow.contains("The campaign closes 2 days before the next maintenance window opens"), "{slow}");
    let two = said(
        "[[window]]\nname = \"a\"\ncron = \"0 2 ? * SUN *\"\ntime_zone = \"Europe/Berlin\"\nduration_secs = 14400\n[[window]]\nname = \"b\"\ncron = \"cron(0/20 1-3 ? * SUN 2027)\"\ntime_zone = \"UTC\"\nduration_secs = 5400\n",
    );
    assert!(two.contains("`a` opens every Sunday at 02:00 Europe/Berlin for 4 hours; what starts must be able to end by then."), "{two}");
    assert!(two.contains("Another window: `b` opens at the times of `cron(0/20 1-3 ? * SUN 2027)` UTC for 1 hour and 30 minutes;"), "{two}");
}

#[test]
fn whatever_is_set_is_said() {
    for (text, says) in [
        ("approval = { quorum = 0 }", "Nobody has to approve"),
        ("approval = { quorum = 1, four_eyes = false, per_wave = true }", "One person has to approve each wave before it starts."),
        (
            "approval = { quorum = 1, approvers = [\"ann\", \"bob\"], comment_required = true }",
            "2 of `ann` and `bob` must approve the campaign, once for all its waves, before anything is touched, with a comment.",
        ),
        ("collect = { gather_secs = 900 }", "closes 15 minutes after its first finding"),
        ("failure_budget = 0", "If a single target of a wave fails or ends unknown, everything"),
        ("failure_budget = 1", "If more than 1 target of a wave fails or ends unknown, everything"),
        ("failure_budget = 3", "If more than 3 targets of a wave fail or end unknown, everything"),
        (
            "blast_radius = { account = 2, tag = { key = \"PatchGroup\", limit = \"50%\" } }",
            "25% of a wave, 2 targets of an account, 25% of a Region, 10% of the organization and 50% of the instances that share a value of tag `PatchGroup` are touched",
        ),
        ("wave = [{ name = \"all\" }]", "All instances are patched in one wave, `all` (everyone who is left)."),
        (
            "wave = [{ name = \"dev\", select = { tags = { Env = [\"dev\", \"test\"] }, platforms = [\"Linux\"] }, bake_secs = 0 }, { name = \"rest\" }]",
            "`dev` (all with tag Env=dev or test and platform Linux), then `rest` (everyone who is left)",
        ),
        (
            "wave = [{ name = \"dev\", select = { accounts = [\"111122223333\"] }, share = \"5%\", bake_secs = 0 }, { name = \"rest\" }]",
            "`dev` (up to 5% of the campaign, out of account 111122223333)",
        ),
        ("wave = [{ name = \"dev\", share = \"5%\", bake_secs = 0 }, { name = \"rest\" }]", "after its last instance: `dev` not at all."),
        ("wave = [{ name = \"a\", instances = [\"i-01234567\"] }, { name = \"rest\", at_once = 5, failure_budget = 1 }]", "`a` (`i-01234567` by name)"),
        (
            "wave = [{ name = \"a\", instances = [\"i-01234567\"] }, { name = \"rest\", at_once = 5, failure_budget = 1 }]",
            "in `rest` at most 5 targets of it at the same time",
        ),
        (
            "wave = [{ name = \"a\", instances = [\"i-01234567\"] }, { name = \"rest\", at_once = 5, failure_budget = 1 }]",
            "(for `rest` the limit is 1 target of it)",
        ),
        ("reboot = \"separate\"", "The patch command does not reboot;"),
        ("reboot = \"never\"", "Nothing reboots:"),
        ("retry = { attempts_max = 1 }", "is not tried again: `platform-team` must look at it"),
        ("calendars = [\"quiet\"]", "Nothing starts while one of these change calendars is closed, or its state unknown: `quiet`."),
        (
            "[[freeze]]\nname = \"f\"\nfrom = 2026-12-20T00:00:00Z\nuntil = 2027-01-04T00:00:00Z\nreason = \"books\"",
            "Nothing is touched from 2026-12-20T00:00:00Z until 2027-01-04T00:00:00Z (freeze `f`: books).",
        ),
        (
            "[[exemption]]\ninstances = [\"i-01234567\"]\nselect = { regions = [\"eu-west-1\"] }\nowner = \"o\"\nreason = \"vendor.\"\nuntil = 2027-01-04T00:00:00Z",
            "Left alone until 2027-01-04T00:00:00Z: `i-01234567` and everything with Region eu-west-1. `o` answers for it: vendor.",
        ),
        ("[exemptions]\nmirror = true", "AWS Config is told who is exempt, as remediation exceptions"),
    ] {
        let found = said(text);
        assert!(found.contains(says), "{text}:\n{found}");
    }
}

#[test]
fn a_stricter_policy_tells_of_both_calendars() {
    let window = |day: &str| format!("name = \"x\"\n[[window]]\nname = \"{day}\"\ncron = \"0 2 ? * {day} *\"\ntime_zone = \"UTC\"\nduration_secs = 14400\n");
    let (one, two) = (parse(&window("SUN"), "p").unwrap(), parse(&window("MON"), "p").unwrap());
    let found = explain(&one.stricter(&two)).join("\n");
    assert!(found.contains("At the same time one of these must be open. `MON` opens every Monday at 02:00 UTC for 4 hours;"), "{found}");
}

#[test]
fn schedules_and_deadlines_are_told_in_words() {
    let text = said(
        "[[schedule]]\nname = \"weekly\"\ncron = \"0 2 ? * SUN *\"\ntime_zone = \"UTC\"\nrun = \"weekly.json\"\n\
         [[schedule]]\nname = \"monthly\"\npatch_tuesday_plus_days = 3\nat = \"22:00\"\ntime_zone = \"UTC\"\nrun = \"monthly.json\"\n\
         [[sla]]\nname = \"critical\"\nframework = \"PCI DSS 6.3.3\"\nseverity = [\"Critical\"]\ndays = 30\nsource = \"standard 7\"\nversion = \"2026\"\n",
    );
    assert!(text.contains("starts the bulk run of `monthly.json` 3 days after the second Tuesday of each month at 22:00 UTC"), "{text}");
    assert!(text.contains("Schedule `weekly` starts the bulk run of `weekly.json` ") && text.contains("more than 1 hour late does not start"), "{text}");
    let rule = "An instance must be patched within 30 days of its first finding for a missing patch of severity Critical (`critical`: PCI DSS 6.3.3; standard 7, version 2026).";
    assert!(text.contains(rule), "{text}");
}

use proptest::prelude::*;
use tidegate_events::host::Platform;

use super::*;
use crate::policy::{Amount, BUILTIN_NAMES, ShareBps, builtin, default_policy, explain, lint, lint_at};

fn errors(text: &str) -> Vec<String> {
    match parse(text, "p.toml") {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

/// Every error of a policy that is right but for `extra`.
fn errors_of(extra: &str) -> Vec<String> {
    errors(&format!("name = \"x\"\n{extra}"))
}

#[test]
fn the_policies_that_come_with_tidegate_are_right() {
    for name in BUILTIN_NAMES {
        let policy = parse(builtin(name).unwrap(), name).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(policy.name, name);
        assert!(policy.approvals_needed() >= 2, "{name}");
        assert_eq!(serde_json::from_str::<Policy>(&policy.to_json()).unwrap(), policy);
        assert!(!explain(&policy).is_empty());
    }
    assert_eq!(builtin("no-such"), None);
}

#[test]
fn the_default_policy_says_what_the_defaults_are() {
    let written = default_policy().unwrap();
    let short = parse("name = \"default\"\ndescription = \"careful defaults for any fleet\"", "p.toml").unwrap();
    assert_eq!(written, short);
}

#[test]
fn the_default_policy_keeps_its_contract() {
    let policy = default_policy().unwrap();
    assert!(policy.approval.quorum <= 2 && policy.approvals_needed() == 2);
    assert_eq!(policy.reboot, RebootMode::InCommand);
    assert!(policy.windows.is_empty() && policy.freezes.is_empty() && policy.calendars.is_empty() && policy.exemptions.is_empty());
    let names: Vec<(&str, Option<ShareBps>, u32)> = policy.waves.iter().map(|wave| (wave.name.as_str(), wave.share, wave.bake_secs)).collect();
    assert_eq!(names, [("canary", Some(ShareBps(500)), 3600), ("early", Some(ShareBps(2500)), 3600), ("rest", None, 3600)]);
    assert_eq!(policy.collect.gather_secs, 3600);
    for limit in [policy.blast_radius.wave, policy.blast_radius.account, policy.blast_radius.region, policy.blast_radius.organization] {
        assert!(matches!(limit, Amount::Share(_)) && limit.of(1) == 1);
    }
    assert_eq!(policy.lane().unwrap().as_str(), "patch-default");
}

#[test]
fn the_examples_in_the_comments_of_the_default_policy_are_right() {
    let text = builtin("default").unwrap();
    let is_toml = |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    let mut examples: Vec<String> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| is_toml(line)) {
        if line.starts_with("[[") || line.starts_with("tag = ") {
            examples.push(String::new());
        }
        let example = examples.last_mut().unwrap();
        example.push_str(line);
        example.push('\n');
    }
    assert_eq!(examples.len(), 5, "{examples:?}");
    for example in examples {
        let around = match example.get(..6) {
            Some("tag = ") => format!("name = \"x\"\n[blast_radius]\n{example}"),
            Some("[[wave") => format!("name = \"x\"\n{example}[[wave]]\nname = \"rest\""),
            _ => format!("name = \"x\"\n{example}"),
        };
        assert_eq!(errors(&around), Vec::<String>::new(), "{around}");
    }
}

#[test]
fn emergency_is_fast_and_skips_no_gate() {
    let policy = parse(builtin("emergency").unwrap(), "emergency").unwrap();
    assert_eq!((policy.collect.gather_secs, policy.collect.emergency), (900, true));
    assert!(policy.waves.len() == 3 && policy.waves.iter().all(|wave| wave.bake_secs == 300));
    assert_eq!(policy.approvals_needed(), 2);
}

#[test]
fn every_key_reads_into_its_field() {
    let policy = parse(
        r#"
name = "all"
description = " everything "
environment = "staging"
remediation = "patch"
execution_timeout_secs = 7_200
reboot = "separate"
failure_budget = 3
calendars = ["arn:aws:ssm:eu-west-1:111122223333:document/quiet", "my-calendar"]
collect = { gather_secs = 0, close_lead_secs = 60, emergency = true }
approval = { quorum = 1, four_eyes = false, per_wave = true, expires_secs = 3600, approvers = ["ann", "bob"], comment_required = true }
belts = { targets_max = 5, share_max = "0.25%" }
retry = { attempts_max = 1, backoff_secs = 1, backoff_max_secs = 2, owner = "me" }
[blast_radius]
wave = 1
account = 2
region = "3%"
organization = "4.5%"
tag = { key = "PatchGroup", limit = "50%" }
[[wave]]
name = "dev"
instances = ["i-0123456789abcdef0"]
select = { tags = { Env = ["dev", "test"], Tier = "web" }, accounts = ["111122223333"], regions = ["eu-west-1"], platforms = ["Linux", "Windows"], ous = ["ou-ab12-cd34ef56", "/Prod/Web"] }
share = "12.5%"
bake_secs = 5
failure_budget = 0
at_once = "10%"
[[wave]]
name = "rest"
[[window]]
name = "w"
cron = "cron(0 2 ? * SUN#2 *)"
time_zone = "europe/berlin"
duration_secs = 14400
cutoff_secs = 600
[[freeze]]
name = "f"
from = 2026-12-20T00:00:00+01:00
until = "2027-01-04T00:00:00Z"
reason = "books"
[[exemption]]
select = { tags = { A = "b" } }
instances = ["mi-0123456789abcdef0"]
owner = "o"
reason = "r"
until = 2027-01-04T00:00:00Z
"#,
        "p.toml",
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let json: serde_json::Value = serde_json::from_str(&policy.to_json()).unwrap();
    let expected = serde_json::json!({
        "name": "all", "description": "everything", "environment": "staging", "remediation": "patch",
        "collect": {"gather_secs": 0, "close_lead_secs": 60, "emergency": true},
        "waves": [
            {"name": "dev",
             "select": {"tags": {"Env": ["dev", "test"], "Tier": ["web"]}, "accounts": ["111122223333"], "regions": ["eu-west-1"],
                        "platforms": ["Linux", "Windows"], "ous": ["ou-ab12-cd34ef56", "/Prod/Web"]},
             "instances": ["i-0123456789abcdef0"], "share": 1250, "bake_secs": 5, "failure_budget": {"count": 0}, "at_once": {"share": 1000}},
            {"name": "rest", "select": {"tags": {}, "accounts": [], "regions": [], "platforms": [], "ous": []},
             "instances": [], "share": null, "bake_secs": 3600, "failure_budget": null, "at_once": null}
        ],
        "approval": {"quorum": 1, "four_eyes": false, "per_wave": true, "expires_secs": 3600, "approvers": ["ann", "bob"], "comment_required": true},
        "blast_radius": {"wave": {"count": 1}, "account": {"count": 2}, "region": {"share": 300}, "organization": {"share": 450},
                         "tag": {"key": "PatchGroup", "limit": {"share": 5000}}},
        "failure_budget": {"count": 3},
        "windows": [{"name": "w", "cron": "cron(0 2 ? * SUN#2 *)", "time_zone": "Europe/Berlin", "duration_secs": 14400, "cutoff_secs": 600}],
        "freezes": [{"name": "f", "from": "2026-12-19T23:00:00Z", "until": "2027-01-04T00:00:00Z", "reason": "books"}],
        "calendars": ["arn:aws:ssm:eu-west-1:111122223333:document/quiet", "my-calendar"],
        "retry": {"attempts_max": 1, "backoff_secs": 1, "backoff_max_secs": 2, "owner": "me"},
        "reboot": "separate",
        "exemptions": [{"select": {"tags": {"A": ["b"]}, "accounts": [], "regions": [], "platforms": [], "ous": []},
                        "instances": ["mi-0123456789abcdef0"], "owner": "o", "reason": "r", "until": "2027-01-04T00:00:00Z"}],
        "belts": {"targets_max": 5, "share_max": 25},
        "execution_timeout_secs": 7200
    });
    assert_eq!(json, expected);
}

#[test]
fn shares_that_add_up_to_all_leave_the_last_wave_whoever_is_left() {
    let policy = parse("name = \"x\"\nwave = [{ name = \"a\", share = \"33.33%\" }, { name = \"b\", share = \"66.67%\" }]", "p").unwrap();
    assert_eq!(policy.waves.iter().map(|wave| wave.share).collect::<Vec<_>>(), [Some(ShareBps(3333)), None]);
    let policy = parse("name = \"x\"\nwave = [{ name = \"all\", share = \"100%\" }]", "p").unwrap();
    assert_eq!(policy.waves.first().unwrap().share, None);
}

#[test]
fn all_errors_come_together_in_the_order_of_the_file() {
    let text = "name = \"My Policy\"\nquorom = 2\n\n[approval]\nquorum = \"2\"\n    expires = 5\n[[window]]\nname = \"ö\"\ncron = \"0 2 * * *\"\ntime_zone = \"Europe/Berln\"\nduration_secs = 0\n";
    assert_eq!(
        errors(text),
        [
            "p.toml:1:8: the name `My Policy` is wrong: expected 1 to 58 lower-case letters, digits or `-`",
            "p.toml:2:1: unknown key `quorom` in the policy: expected one of `name`, `description`, `environment`, `remediation`, `execution_timeout_secs`, `reboot`, `failure_budget`, `calendars`, `collect`, `approval`, `blast_radius`, `group`, `wave`, `window`, `freeze`, `retry`, `exemption`, `exemptions`, `belts`, `schedule`, `sla`, `by_cve`, `hooks`, `backup` and `health`",
            "p.toml:5:10: `quorum` in `[approval]` must be a whole number of people from 0 to 10, not the string \"2\"",
            "p.toml:6:5: unknown key `expires` in `[approval]`: did you mean `expires_secs`?",
            "p.toml:9:8: `0 2 * * *` has 5 fields: expected six (minutes hours day-of-month month day-of-week year), such as `cron(0 2 ? * SUN *)`, in window `ö`",
            "p.toml:10:13: the time zone `Europe/Berln` in window `ö` is unknown: did you mean `Europe/Berlin`?",
            "p.toml:11:17: `duration_secs` in window `ö` is `0`: expected a whole number of seconds from 1 to 604800",
        ]
    );
    assert_eq!(parse(text, "p.toml").unwrap_err().to_string().lines().count(), 7);
}

#[test]
fn what_is_not_a_policy_at_all_says_so() {
    assert_eq!(errors(""), ["p.toml:1:1: the policy is empty: expected at least `name = \"...\"`"]);
    assert_eq!(errors("# nothing\n\n"), ["p.toml:1:1: the policy is empty: expected at least `name = \"...\"`"]);
    assert_eq!(errors("name = \"x\"\nname = \"y\""), ["p.toml:2:1: this is not TOML: duplicate key"]);
    let two = errors("name = \nreboot = [\n");
    assert!(two.len() >= 2 && two.iter().all(|error| error.contains("this is not TOML")), "{two:?}");
    assert!(errors(&" ".repeat(300_000)).concat().contains("expected at most 262144"));
    let missing = errors("reboot = \"never\"");
    assert_eq!(missing, ["p.toml:1:1: `name` is missing in the policy: expected such as `name = \"default\"`; it names the lane that the policy drives"]);
}

/// A right wave before a wrong last one, and so on: `[[wave]]` is long to write.
fn wave_errors(waves: &str) -> String {
    errors_of(&format!("wave = [{waves}]")).join("\n")
}

#[test]
fn wrong_waves_are_named() {
    for (waves, says) in [
        ("", "p.toml:2:8: there are no waves: expected at least one `[[wave]]`"),
        ("1", "`wave` in the policy must be a list of tables, each under `[[wave]]`, not the number 1"),
        ("{ share = \"5%\" }, { name = \"rest\" }", "p.toml:2:9: `name` is missing in `[[wave]]` number 1"),
        ("{ name = \"a\", share = \"5%\" }, { name = \"a\" }", "two waves are called `a`: expected a name of its own"),
        ("{ name = \"A b\" }", "the wave name `A b` is wrong: expected 1 to 64 lower-case letters, digits or `-`"),
        ("{ name = \"a\", share = \"60%\" }, { name = \"b\", share = \"60%\" }", "the shares of the waves add up to 120%: expected at most 100%"),
        ("{ name = \"a\", share = \"60%\" }, { name = \"b\", share = \"60%\" }, { name = \"c\" }", "add up to 120%"),
        ("{ name = \"a\", share = \"0%\" }, { name = \"b\" }", "`share` in wave `a` is `0%`: expected more than 0%"),
        ("{ name = \"a\", share = \"101%\" }, { name = \"b\" }", "`share` in wave `a` is `101%`: expected at most 100%"),
        ("{ name = \"a\", share = \"5\" }, { name = \"b\" }", "`share` in wave `a` is `5`: expected a percentage such as \"5%\", with at most two decimals"),
        ("{ name = \"a\", share = \"5.125%\" }, { name = \"b\" }", "with at most two decimals"),
        ("{ name = \"a\", share = \"-5%\" }, { name = \"b\" }", "expected a percentage"),
        ("{ name = \"a\", share = 0.05 }, { name = \"b\" }", "must be a percentage in quotes, such as \"5%\", not the decimal number 0.05"),
        (
            "{ name = \"a\", share = \"5%\" }, { name = \"b\", share = \"90%\" }",
            "wave `b` is the last wave and must take whoever is left, but the shares add up to 95%",
        ),
        ("{ name = \"a\", select = { regions = [\"eu-west-1\"] } }, { name = \"b\", share = \"90%\" }", "must take whoever is left: remove its `share`"),
        (
            "{ name = \"a\", share = \"5%\" }, { name = \"b\", select = { regions = [\"eu-west-1\"] } }",
            "expected no `select`, or another wave without one after it",
        ),
        (
            "{ name = \"a\" }, { name = \"b\" }",
            "wave `a` takes everyone and leaves nobody for the waves after it: expected a `share`, a `select` or `instances`",
        ),
        ("{ name = \"a\", instances = [] }, { name = \"b\" }", "wave `a` takes everyone"),
        (
            "{ name = \"a\", instances = [\"i-dev123456789abcdef0\"] }, { name = \"b\" }",
            "`instances` in wave `a`: `i-dev123456789abcdef0` is not an instance id: expected `i-`",
        ),
        ("{ name = \"a\", instances = [\"i-01234567\", \"i-01234567\"] }, { name = \"b\" }", "`i-01234567` stands twice in `instances`"),
        (
            "{ name = \"a\", instances = [\"i-01234567\"] }, { name = \"b\", instances = [\"i-01234567\"] }",
            "`i-01234567` is named for wave `b` and for wave `a`",
        ),
        ("{ name = \"a\", select = {} }, { name = \"b\" }", "`select` of wave `a` selects nothing in particular"),
        ("{ name = \"a\", select = { tags = {} } }, { name = \"b\" }", "selects nothing in particular"),
        ("{ name = \"a\", select = { tags = { Env = [] } } }, { name = \"b\" }", "the tag `Env` in `select` of wave `a` accepts no value"),
        ("{ name = \"a\", select = { tags = { Env = 5 } } }, { name = \"b\" }", "must be a string or a list of strings, not the number 5"),
        ("{ name = \"a\", select = { tags = [\"x\"] } }, { name = \"b\" }", "must be a table, not a list"),
        ("{ name = \"a\", select = { accounts = [\"1234\"] } }, { name = \"b\" }", "expected 12 digits"),
        (
            "{ name = \"a\", select = { accounts = [111122223333] } }, { name = \"b\" }",
            "must be a list of strings, such as [\"a\", \"b\"], not the number 111122223333",
        ),
        ("{ name = \"a\", select = { regions = [\"Ireland\"] } }, { name = \"b\" }", "expected a name such as `eu-west-1`"),
        (
            "{ name = \"a\", select = { platforms = [\"linux\"] } }, { name = \"b\" }",
            "the platform `linux` is unknown: expected one of `Linux`, `Windows` and `MacOS`",
        ),
        ("{ name = \"a\", select = { ous = [\"ou-AB\"] } }, { name = \"b\" }", "the organizational unit `ou-AB` is wrong"),
        ("{ name = \"a\", select = { account = [\"111122223333\"] } }, { name = \"b\" }", "did you mean `accounts`?"),
        ("{ name = \"a\", bake = \"1h\" }", "unknown key `bake` in wave `a`: did you mean `bake_secs`?"),
        ("{ name = \"a\", bake_secs = -1 }", "`bake_secs` in wave `a` is `-1`: expected a whole number of seconds from 0 to 31622400"),
        ("{ name = \"a\", bake_secs = 99999999999999999999 }", "expected a whole number of seconds"),
        ("{ name = \"a\", bake_secs = 40000000 }", "expected a whole number of seconds from 0 to 31622400"),
        ("{ name = \"a\", bake_secs = \"1h\" }", "must be a whole number of seconds from 0 to 31622400, not the string \"1h\""),
        ("{ name = \"a\", at_once = 0 }", "`at_once` in wave `a` is 0, with which nothing would ever be patched"),
        ("{ name = \"a\", failure_budget = \"0%\" }", "write 0 without `%` for none"),
    ] {
        let found = wave_errors(waves);
        assert!(found.contains(says), "{waves}: {found}");
    }
}

#[test]
fn wrong_values_are_named_with_what_is_expected() {
    for (extra, says) in [
        ("environment = \"prod\"", "p.toml:2:15: `environment` in the policy is `prod`: expected one of `production`, `staging` and `development`"),
        ("environment = true", "must be one of `production`, `staging` and `development`, not `true`"),
        ("remediation = \"patches\"", "the remediation `patches` is not in the catalog: did you mean `patch`?"),
        ("remediation = \"something-else\"", "expected one of `patch`"),
        ("execution_timeout_secs = 59", "expected a whole number of seconds from 60 to 172800"),
        ("execution_timeout_secs = 172801", "expected a whole number of seconds from 60 to 172800"),
        ("reboot = \"later\"", "expected one of `in_command`, `separate` and `never`"),
        ("failure_budget = \"101%\"", "`failure_budget` in the policy is `101%`: expected at most 100%, or a plain number of targets"),
        ("failure_budget = 0.5", "must be a number of targets such as 3, or a percentage in quotes such as \"10%\", not the decimal number 0.5"),
        ("failure_budget = -1", "expected a number of targets up to 10000000"),
        ("calendars = [\"arn:aws:ssm:eu-west-1:1:document/x\"]", "expected the ARN `arn:aws:ssm:<region>:<account>:document/<name>`"),
        ("calendars = [\"abc\", \"abc\"]", "the change calendar `abc` in `calendars` is named twice"),
        ("collect = 5", "`collect` in the policy must be a table, not the number 5"),
        ("collect = { emergency = \"yes\" }", "`emergency` in `[collect]` must be `true` or `false`, not the string \"yes\""),
        ("approval = { quorum = 11 }", "expected a whole number of people from 0 to 10"),
        (
            "approval = { quorum = 3, approvers = [\"ann\", \"bob\"] }",
            "3 approvals are needed, but only 2 people are named in `approvers`: expected at least 3",
        ),
        ("approval = { quorum = 1, approvers = [\"ann\"] }", "2 approvals are needed (four eyes), but only 1 person is named"),
        ("approval = { approvers = [\"ann\"] }", "2 approvals are needed, but only 1 person is named"),
        ("approval = { approvers = [\"ann\", \"bob\", \"ann\"] }", "`ann` stands twice in `approvers` in `[approval]`"),
        ("approval = { approvers = [\"ann smith\", \"bob\"] }", "`ann smith` is not a person's name"),
        ("approval = { expires_secs = 0 }", "expected a whole number of seconds from 60 to 31622400"),
        ("blast_radius = { wave = 0 }", "`wave` in `[blast_radius]` is 0, with which nothing would ever be patched: use a `[[freeze]]` to stop for a while"),
        ("blast_radius = { region = \"0%\" }", "`region` in `[blast_radius]` is 0%, with which nothing would ever be patched"),
        ("blast_radius = { region = \"10\" }", "`region` in `[blast_radius]` is `10`: expected a percentage"),
        ("blast_radius = { accounts = 5 }", "did you mean `account`?"),
        ("blast_radius = { tag = { limit = 5 } }", "`key` is missing in `tag` in `[blast_radius]`"),
        ("blast_radius = { tag = {} }", "`key` and `limit` are missing in `tag`"),
        ("retry = { attempts_max = 0 }", "expected a whole number of attempts from 1 to 10"),
        ("retry = { attempts_max = 11 }", "expected a whole number of attempts from 1 to 10"),
        ("retry = { backoff_secs = 100, backoff_max_secs = 10 }", "the longest wait (`backoff_max_secs`, 10) is shorter than the first (`backoff_secs`, 100)"),
        ("retry = { backoff_secs = 100000 }", "the longest wait (`backoff_max_secs`, 86400) is shorter than the first"),
        ("retry = { owner = \" \" }", "`owner` in `[retry]` is empty"),
        ("remediation = \"unmanaged\"\nbackup = { document = \"Acme\" }", "catalog entry `unmanaged` installs nothing: remove `[backup]`"),
        (
            "backup = {}",
            "p.toml:2:10: `document` is missing in `[backup]`: expected the Automation runbook that takes it, such as `document = \"Tidegate-Backup\"`",
        ),
        ("backup = { document = \"a b\" }", "p.toml:2:23: the document `a b` is wrong: expected a document's name or ARN"),
        ("backup = { document = \"Acme\", timeout_secs = 59 }", "expected a whole number of seconds from 60 to 86400"),
        ("backup = { document = \"Acme\", parameters = { InstanceId = \"i-1\" } }", "`InstanceId` takes the instance: expected no value of yours for it"),
        ("backup = { document = \"Acme\", parameters = { Vault = 5 } }", "not the number 5"),
        ("backup = { document = \"Acme\", vault = \"v\" }", "unknown key `vault` in `[backup]`"),
        ("belts = { targets_max = 0 }", "expected a whole number of targets from 1 to 10000000"),
        ("belts = { share_max = 20 }", "must be a percentage in quotes, such as \"5%\", not the number 20"),
        ("[wave]\nname = \"a\"", "p.toml:2:1: `wave` in the policy must be a list of tables, each under `[[wave]]`, not a table"),
        ("[[window]]", "p.toml:2:1: `name`, `cron`, `time_zone` and `duration_secs` are missing in `[[window]]` number 1"),
        (
            "[[window]]\nname = \"w\"\ncron = \"0 2 ? * SUN *\"\ntime_zone = \"UTC\"\nduration_secs = 604801",
            "p.toml:6:17: `duration_secs` in window `w` is `604801`",
        ),
        (
            "[[window]]\nname = \"w\"\ncron = \"0 2 ? * SUN *\"\ntime_zone = \"UTC\"\nduration_secs = 60\ncutoff_secs = 60",
            "`cutoff_secs` (60) leaves nothing of window `w`, which lasts 60 seconds",
        ),
        ("[[window]]\nname = \"w\"\ncron = \"0 2 30 2 ? *\"\ntime_zone = \"Etc/Unknown\"\nduration_secs = 60", "never occurs"),
        (
            "[[window]]\nname = \"w\"\ncron = \"0 2 30 2 ? *\"\ntime_zone = \"Etc/Unknown\"\nduration_secs = 60",
            "the time zone `Etc/Unknown` in window `w` is unknown",
        ),
        (
            "[[freeze]]\nname = \"f\"\nfrom = 2027-01-04T00:00:00Z\nuntil = 2027-01-04T00:00:00Z",
            "p.toml:5:9: freeze `f` ends at 2027-01-04T00:00:00Z, not after it begins",
        ),
        (
            "[[freeze]]\nname = \"f\"\nfrom = 2027-01-04\nuntil = 2027-01-04T00:00:00",
            "p.toml:4:8: `from` in freeze `f` is `2027-01-04`: expected a time with its offset",
        ),
        ("[[freeze]]\nname = \"f\"\nfrom = 5\nuntil = \"tomorrow\"", "p.toml:5:9: `until` in freeze `f` is `tomorrow`: expected a time with its offset"),
        ("[[freeze]]\nreason = \"x\"", "`name`, `from` and `until` are missing"),
        ("[[exemption]]\ninstances = [\"i-01234567\"]", "p.toml:2:1: `owner`, `reason` and `until` are missing in `[[exemption]]` number 1"),
        (
            "[[exemption]]\nowner = \"a\"\nreason = \"b\"\nuntil = 2027-01-04T00:00:00Z",
            "`[[exemption]]` number 1 would exempt everything: expected a `select` or `instances`",
        ),
        ("[[exemption]]\nselect = {}\nowner = \"a\"\nreason = \"b\"\nuntil = 2027-01-04T00:00:00Z", "selects nothing in particular"),
        ("[[exemption]]\ninstances = []\nowner = \"a\"\nreason = \"b\"\nuntil = 2027-01-04T00:00:00Z", "`instances` in `[[exemption]]` number 1 is empty"),
        (
            "[[exemption]]\ninstances = [\"i-01234567\"]\nowner = \"a\"\nreason = \"\"\nuntil = 2027-01-04T00:00:00Z",
            "p.toml:5:10: `reason` in `[[exemption]]` number 1 is empty",
        ),
    ] {
        let found = errors_of(extra).join("\n");
        assert!(found.contains(says), "{extra}: {found}");
    }
}

#[test]
fn two_windows_or_freezes_of_one_name_are_an_error() {
    let window = "[[window]]\nname = \"w\"\ncron = \"0 2 ? * SUN *\"\ntime_zone = \"UTC\"\nduration_secs = 60\n";
    assert!(errors_of(&window.repeat(2)).concat().contains("p.toml:8:8: the name `w` is taken"));
    let freeze = "[[freeze]]\nname = \"f\"\nfrom = 2026-12-20T00:00:00Z\nuntil = 2027-01-04T00:00:00Z\n";
    assert!(errors_of(&freeze.repeat(2)).concat().contains("the name `f` is taken"));
    assert!(errors_of(&freeze.repeat(201)).concat().contains("there are 201 of `[[freeze]]`: expected at most 200"));
}

#[test]
fn a_name_that_makes_the_lane_too_long_is_an_error() {
    let name = "x".repeat(60);
    let found = errors(&format!("name = \"{name}\"")).concat();
    assert!(found.starts_with("p.toml:1:8: ") && found.contains("has 66 characters: expected at most 64"), "{found}");
}

proptest! {
    #[test]
    fn mutated_policies_parse_or_say_why(name in 0usize..4, cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[ -~\n\"\\[\\]{}=%0-9é]{0,6}"), 1..6)) {
        let mut text = builtin(BUILTIN_NAMES[name]).unwrap().to_owned();
        for (place, len, insert) in cuts {
            let chars: Vec<char> = text.chars().collect();
            let at = place.index(chars.len());
            let end = (at + len).min(chars.len());
            text = chars[..at].iter().copied().chain(insert.chars()).chain(chars[end..].iter().copied()).collect();
        }
        match parse(&text, "p.toml") {
            Ok(policy) => {
                prop_assert!(explain(&policy).len() > 5);
                let _ = (lint(&policy), lint_at(&policy, jiff::Timestamp::UNIX_EPOCH));
                prop_assert!(policy.lane().is_ok());
                let last = policy.waves.last().unwrap();
                prop_assert!(last.share.is_none() && last.select.is_empty());
                prop_assert!(policy.opening(jiff::Timestamp::UNIX_EPOCH).is_ok());
                prop_assert_eq!(serde_json::from_str::<Policy>(&policy.to_json()).unwrap(), policy);
            }
            Err(errors) => {
                prop_assert!(!errors.0.is_empty());
                let lines = text.matches('\n').count() + 1;
                for error in &errors.0 {
                    prop_assert!(error.line >= 1 && error.line <= lines && error.column >= 1 && !error.message.is_empty());
                    prop_assert!(!error.message.contains('\n'), "{:?}", error.message);
                }
            }
        }
    }

    #[test]
    fn lines_dropped_or_doubled_parse_or_say_why(name in 0usize..4, edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 1..5)) {
        let mut lines: Vec<&str> = builtin(BUILTIN_NAMES[name]).unwrap().lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        for (from, to, drop) in edits {
            let line = lines[from.index(lines.len())];
            if drop && lines.len() > 1 { lines.remove(from.index(lines.len())); } else { let at = to.index(lines.len()); lines.insert(at, line); }
        }
        if let Err(errors) = parse(&lines.join("\n"), "p.toml") {
            prop_assert!(!errors.0.is_empty());
        }
    }

    #[test]
    fn shares_keep_their_written_form(bps in 1u32..=10_000) {
        let share = ShareBps(bps);
        prop_assert_eq!(crate::policy::text::share(&share.to_string()), Ok(share));
    }
}

const SCHEDULE: &str = "[[schedule]]\nname = \"weekly\"\ntime_zone = \"europe/berlin\"\nrun = \"weekly.json\"\n";

#[test]
fn schedules_are_read_and_every_fault_is_named() {
    use crate::schedule::When;
    let read = |more: &str| parse(&format!("name = \"x\"\n{SCHEDULE}{more}"), "p.toml").unwrap().schedules.remove(0);
    let weekly = read("cron = \"cron(0 2 ? * SUN *)\"");
    assert_eq!((weekly.time_zone.as_str(), weekly.enabled, weekly.catch_up_secs), ("Europe/Berlin", true, 3_600));
    assert_eq!(weekly.when, When::Cron("cron(0 2 ? * SUN *)".into()));
    let monthly = read("patch_tuesday_plus_days = 3\nat = \"22:05\"\nenabled = false\ncatch_up_secs = 60");
    assert_eq!(monthly.when, When::PatchTuesday { plus_days: 3, at: jiff::civil::time(22, 5, 0, 0) });
    assert!(!monthly.enabled && monthly.catch_up_secs == 60);
    for (more, expected) in [
        ("", "`cron` is missing"),
        ("cron = \"0 2 * * *\"", "has 5 fields"),
        ("cron = \"0 2 ? * SUN *\"\npatch_tuesday_plus_days = 1", "names both `cron` and `patch_tuesday_plus_days`"),
        ("cron = \"0 2 ? * SUN *\"\nat = \"22:00\"", "stands beside a `cron`"),
        ("patch_tuesday_plus_days = 1", "`at` is missing"),
        ("patch_tuesday_plus_days = 28\nat = \"22:00\"", "from 0 to 27"),
        ("patch_tuesday_plus_days = 1\nat = \"22\"", "expected a time of the day"),
        ("patch_tuesday_plus_days = 1\nat = \"24:00\"", "expected a time of the day"),
        ("cron = \"0 2 ? * SUN *\"\ncatch_up_secs = 30", "from 60 to 604800"),
        ("cron = \"0 2 ? * SUN *\"\ncron_zone = \"UTC\"", "unknown key `cron_zone`"),
    ] {
        let errors = errors_of(&format!("{SCHEDULE}{more}"));
        assert!(errors.iter().any(|error| error.contains(expected)), "{more}: {errors:?}");
    }
    for run in ["../weekly.json", "/etc/weekly.json", "weekly.toml", ".json", "c:weekly.json"] {
        let errors = errors_of(&SCHEDULE.replace("weekly.json", run));
        assert!(errors.iter().any(|error| error.contains("the name of a JSON file beside the policy")), "{run}: {errors:?}");
    }
    let long = errors_of(&SCHEDULE.replace("\"weekly\"", &format!("\"{}\"", "w".repeat(41))));
    assert!(long.iter().any(|error| error.contains("expected 1 to 40")), "{long:?}");
    let twice = errors_of(&format!("{SCHEDULE}cron = \"0 2 ? * SUN *\"\n{SCHEDULE}cron = \"0 2 ? * SUN *\""));
    assert!(twice[0].contains("is taken"), "{twice:?}");
}

#[test]
fn deadlines_are_read_and_every_fault_is_named() {
    use crate::deadline::Severity;
    let sla = "[[sla]]\nname = \"critical\"\nseverity = [\"Critical\", \"Important\"]\ndays = 14\nsource = \"standard 7\"\nversion = \"2026\"\n";
    let policy = parse(&format!("name = \"x\"\n{sla}"), "p.toml").unwrap();
    assert_eq!(policy.slas[0].severities, [Severity::Critical, Severity::Important]);
    assert_eq!(serde_json::from_str::<Policy>(&policy.to_json()).unwrap(), policy);
    for (from, to, expected) in [
        ("days = 14\n", "", "`days` is missing"),
        ("days = 14", "days = 4000", "from 0 to 3650"),
        ("\"Important\"", "\"Critical\"", "stands twice in `severity`"),
        ("\"Important\"", "\"Severe\"", "expected one of `Critical`"),
        ("version = \"2026\"", "version = \"\"", "is empty"),
        ("version = \"2026\"\n", "version = \"2026\"\nselect = {}\n", "selects nothing in particular"),
    ] {
        let errors = errors_of(&sla.replace(from, to));
        assert!(errors.iter().any(|error| error.contains(expected)), "{to}: {errors:?}");
    }
}

#[test]
fn neither_schedules_nor_deadlines_change_the_digest_of_a_policy_without_them() {
    let json = default_policy().unwrap().to_json();
    assert!(!json.contains("schedules") && !json.contains("slas"));
}

const OWN: &str = r#"
name = "acme"
title = "does as Acme does"
resource_types = ["AWS::EC2::Instance"]
config_rules = ["acme-rule"]
runner = "automation"
document = "Acme-Mend"
target_parameter = "InstanceId"
proof = "config_verdict"
[steps.run]
Role = "arn:{partition}:iam::{account}:role/acme"
"#;

#[test]
fn hooks_are_read_and_change_the_digest_only_where_they_are() {
    let plain = parse("name = \"p\"\n", "p.toml").unwrap();
    assert!(!plain.to_json().contains("hooks") && !plain.to_json().contains("custom_entry"), "digests of yesterday stay");
    let text = "name = \"p\"\n[hooks]\npre = \"Acme-Check\"\n[[wave]]\nname = \"canary\"\nshare = \"5%\"\nhooks = { pre = \"Acme-Look\", on_exit = \"Acme-Tell\" }\n[[wave]]\nname = \"rest\"\n";
    let hooked = parse(text, "p.toml").unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&hooked.to_json()).unwrap(), hooked);
    let wish = |wave: &str| serde_json::to_string(&hooked.wish_for(wave, Platform::Linux).hooks).unwrap();
    assert_eq!(wish("canary"), r#"{"pre":"Acme-Look","on_exit":"Acme-Tell"}"#);
    assert_eq!(wish("rest"), r#"{"pre":"Acme-Check"}"#);
    assert_ne!(hooked.digest(), parse(&text.replace("Acme-Look", "Acme-Luck"), "p.toml").unwrap().digest());
    let said = crate::policy::explain(&hooked).join(" ");
    assert!(
        said.contains("`Acme-Check` before the install")
            && said.contains("In wave `canary` the hooks are `Acme-Look` before the install and `Acme-Tell` at the end"),
        "{said}"
    );
    let wrong = |text: &str| parse(text, "p.toml").unwrap_err().to_string();
    assert!(
        wrong("name = \"p\"\n[hooks]\npre = \"no good\"\n").contains("3:7: the document `no good` is wrong"),
        "{}",
        wrong("name = \"p\"\n[hooks]\npre = \"no good\"\n")
    );
    assert!(wrong("name = \"p\"\n[hooks]\nprae = \"Acme\"\n").contains("unknown key `prae`"));
    assert!(wrong("name = \"p\"\nremediation = \"association\"\n[hooks]\npre = \"Acme-Check\"\n").contains("has no document that runs them"));
}

#[test]
fn an_entry_of_the_users_own_is_pinned_with_the_policy() {
    let catalog = Catalog::with([("acme.toml", OWN)]).unwrap();
    let text = "name = \"p\"\nremediation = \"acme\"\n";
    let policy = parse_with(text, "p.toml", &catalog).unwrap();
    assert_eq!((policy.lane().unwrap().as_str(), policy.entry().document.as_str()), ("acme-p", "Acme-Mend"));
    let again: Policy = serde_json::from_str(&policy.to_json()).unwrap();
    assert_eq!((again.entry(), again.digest()), (policy.entry(), policy.digest()));
    let changed = Catalog::with([("acme.toml", OWN.replace("Acme-Mend", "Acme-Break").as_str())]).unwrap();
    assert_ne!(parse_with(text, "p.toml", &changed).unwrap().digest(), policy.digest(), "an approval covers what the entry says");
    let unknown = parse(text, "p.toml").unwrap_err().to_string();
    assert!(unknown.contains("the remediation `acme` is not in the catalog"), "{unknown}");
    assert!(
        crate::policy::explain(&policy)
            .join(" ")
            .contains("It runs the Automation runbook `Acme-Mend` about the instance, as a catalog entry of your own says")
    );
}

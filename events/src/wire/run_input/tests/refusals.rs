//! Wrong inputs, and the exact words that say what to write instead.

use super::table::{TABLE, spelled};
use super::*;

#[test]
fn wrong_inputs_are_refused_with_the_path_and_what_to_write() {
    for (input, expected, _) in TABLE {
        let input = spelled(input);
        assert_eq!(problems_of(&input), *expected, "{input}");
    }
}

#[test]
fn all_problems_are_told_together() {
    let input = r#"{
        "waves": [
            { "name": "canary", "accounts": ["11112222333"], "region": ["us-east-1"], "filters": { "tags": { "PatchGroup": ["default"] } } },
            { "name": "canary", "accounts": [], "regions": ["us-east-1"], "filters": { "tags": { "PatchGroup": 7 } }, "ssm": { "maxErrors": "a few" } }
        ],
        "tagFilters": { "PatchGroup": "default" },
        "wavePauseSeconds": "900",
        "abortOnIssue": true
    }"#;
    let expected = [
        "abortOnIssue: unknown key: did you mean `abortOnIssues`?",
        "tagFilters: `tagFilters` does not go together with `waves`: write the tags into each wave's `filters.tags`",
        "wavePauseSeconds: expected whole seconds, a number from 0 to 31622400, got the string `900`",
        "waves[1].name: `canary` is the name of `waves[0]` too: give each wave its own",
        "waves[0].region: unknown key: did you mean `regions`?",
        "waves[0].accounts[0]: `11112222333` is not an AWS account id: expected 12 digits, such as `111122223333`",
        "waves[0].regions: missing: expected a list of Regions, such as `[\"us-east-1\"]`",
        "waves[1].accounts: the list is empty: expected a list of account ids, such as `[\"111122223333\"]`",
        "waves[1].filters.tags.PatchGroup: expected a string or a list of strings, got `7`",
        "waves[1].ssm.maxErrors: expected a count such as `\"3\"` or a whole percentage such as `\"10%\"`, got the string `a few`",
    ];
    assert_eq!(problems_of(input), expected);
}

#[test]
fn what_is_not_json_is_told_with_line_and_column() {
    for (input, expected) in [
        ("", "the input is empty: expected a JSON object, such as one of examples/run-inputs"),
        (" \n", "the input is empty: expected a JSON object, such as one of examples/run-inputs"),
        ("{\"waves\": [", "line 1, column 11: the JSON is cut off (EOF while parsing a list)"),
        ("{\n  \"dryRun\": tru\n}", "line 2, column 16: not JSON (expected ident)"),
        ("{\n  'dryRun': true\n}", "line 2, column 3: not JSON (key must be a string)"),
        ("{\"accounts\": [],\n}", "line 2, column 1: not JSON (trailing comma)"),
        ("{} {}", "line 1, column 4: not JSON (trailing characters)"),
        ("waves:\n  - name: canary", "line 1, column 1: not JSON (expected value)"),
    ] {
        assert_eq!(problems_of(input), [expected], "{input}");
    }
    let deep = format!("{{\"waves\":{}", "[".repeat(500));
    assert_eq!(problems_of(deep), ["line 1, column 136: nested too deep: a run input has at most 5 levels"]);
    assert_eq!(problems_of([0xff, 0xfe, b'{', 0]), ["the input is UTF-16: save it as UTF-8"]);
    assert!(problems_of(b"{\"waves\": \"\xff\"}")[0].starts_with("line 1, column"));
}

#[test]
fn what_is_too_long_is_refused() {
    let input = |bytes: usize| format!("{}{}", spelled("{FLAT}"), " ".repeat(bytes - spelled("{FLAT}").len()));
    run_of(input(RUN_INPUT_BYTES_MAX));
    let expected = "the input has 262145 bytes: expected at most 262144 (256 KiB); split it into several runs";
    assert_eq!(problems_of(input(RUN_INPUT_BYTES_MAX + 1)), [expected]);
}

#[test]
fn a_thousand_problems_are_not_a_thousand_lines() {
    let accounts: Vec<String> = (0..1_000).map(|number| format!("\"{number}\"")).collect();
    let input = format!(r#"{{"accounts":[{}],"regions":["us-east-1"]}}"#, accounts.join(","));
    let problems = parse(input.as_bytes()).unwrap_err();
    assert_eq!((problems.iter().count(), problems.lines().count(), problems.lines().last().unwrap().as_str()), (1_000, 51, "and 950 more"));
}

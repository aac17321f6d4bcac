use proptest::prelude::*;

use super::*;
use crate::policy::{BUILTIN_NAMES, ShareBps, builtin, default_policy, parse};

fn policy(text: &str) -> Policy {
    parse(&format!("name = \"x\"\n{text}"), "p.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

const SUNDAY: &str = "[[window]]\nname = \"sunday\"\ncron = \"0 2 ? * SUN *\"\ntime_zone = \"UTC\"\nduration_secs = 14400\n";
const MONDAY: &str = "[[window]]\nname = \"monday\"\ncron = \"0 2 ? * MON *\"\ntime_zone = \"UTC\"\nduration_secs = 14400\n";

#[test]
fn a_policy_is_as_strict_as_itself() {
    for name in BUILTIN_NAMES {
        let policy = parse(builtin(name).unwrap(), name).unwrap();
        assert_eq!(policy.stricter(&policy), policy, "{name}");
    }
}

#[test]
fn the_partition_stays_and_bakes_only_grow() {
    let pinned = policy(
        "reboot = \"separate\"\nwave = [{ name = \"a\", share = \"5%\", bake_secs = 10, at_once = 5 }, { name = \"b\", bake_secs = 20, failure_budget = 1 }]",
    );
    let current = policy(
        "wave = [{ name = \"b\", share = \"50%\", bake_secs = 5, failure_budget = \"2%\" }, { name = \"a\", share = \"1%\", bake_secs = 30 }, { name = \"c\", bake_secs = 99, at_once = 1 }]",
    );
    let both = pinned.stricter(&current);
    let waves: Vec<_> = both.waves.iter().map(|wave| (wave.name.as_str(), wave.share, wave.bake_secs, wave.failure_budget, wave.at_once)).collect();
    let least = Amount::Least { count: 1, share: ShareBps(200) };
    assert_eq!(waves, [("a", Some(ShareBps(500)), 30, None, Some(Amount::Count(5))), ("b", None, 20, Some(least), None)]);
    assert_eq!((both.name, both.reboot), (pinned.name, pinned.reboot));
    // A wave of another name bears on the one in its place; a place that is gone on none.
    let renamed = policy("wave = [{ name = \"other\", share = \"5%\", bake_secs = 77 }, { name = \"rest\", bake_secs = 0 }]");
    assert_eq!(policy("").stricter(&renamed).waves.iter().map(|wave| wave.bake_secs).collect::<Vec<_>>(), [3600, 3600, 3600]);
    assert_eq!(policy("wave = [{ name = \"a\", bake_secs = 1 }]").stricter(&renamed).waves[0].bake_secs, 77);
}

#[test]
fn a_wave_budget_never_escapes_the_stricter_policy_budget() {
    let pinned = policy("failure_budget = 5\nwave = [{ name = \"a\", share = \"5%\", failure_budget = 9 }, { name = \"b\" }]");
    let current = policy("failure_budget = 2\nwave = [{ name = \"a\", share = \"5%\" }, { name = \"b\", failure_budget = 1 }]");
    let both = pinned.stricter(&current);
    assert_eq!(both.failure_budget, Amount::Count(2));
    assert_eq!(both.waves.iter().map(|wave| wave.failure_budget).collect::<Vec<_>>(), [Some(Amount::Count(2)), Some(Amount::Count(1))]);
}

#[test]
fn more_people_are_asked_and_never_anyone_by_accident() {
    let pinned = policy("approval = { quorum = 1, four_eyes = false, expires_secs = 100, approvers = [\"ann\", \"bob\"] }");
    let current =
        policy("approval = { quorum = 2, four_eyes = true, per_wave = true, expires_secs = 200, approvers = [\"bob\", \"eve\"], comment_required = true }");
    let rule = pinned.stricter(&current).approval;
    assert_eq!((rule.quorum, rule.four_eyes, rule.per_wave, rule.expires_secs, rule.comment_required), (2, true, true, 100, true));
    assert_eq!(rule.approvers, ["bob".parse().unwrap()]);
    let strangers = policy("approval = { approvers = [\"eve\", \"zoe\"] }");
    assert_eq!(pinned.stricter(&strangers).approval.approvers, strangers.approval.approvers);
    assert_eq!(pinned.stricter(&policy("")).approval.approvers, pinned.approval.approvers);
    assert_eq!(policy("").stricter(&pinned).approval.approvers, pinned.approval.approvers);
}

#[test]
fn both_calendars_must_be_open() {
    let (none, sunday, monday) = (policy(""), policy(SUNDAY), policy(MONDAY));
    assert_eq!(none.stricter(&sunday).windows, sunday.windows);
    assert_eq!(sunday.stricter(&none).windows, sunday.windows);
    assert_eq!(sunday.stricter(&sunday).also_windows, []);
    let both = sunday.stricter(&monday);
    assert_eq!((&both.windows, &both.also_windows), (&sunday.windows, &monday.windows));
    assert_eq!(both.stricter(&monday), both);
    let text = both.to_json();
    assert!(text.contains("also_windows") && !sunday.to_json().contains("also_windows"));
    assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), both);
    assert_eq!(both.opening("2026-11-22T03:00:00Z".parse().unwrap()), Ok(crate::window::Opening::Closed { opens_at: None }));
}

#[test]
fn freezes_calendars_and_exemptions_add_up() {
    let one = policy("calendars = [\"one\"]\n[[freeze]]\nname = \"f\"\nfrom = 2026-12-20T00:00:00Z\nuntil = 2027-01-04T00:00:00Z\n");
    let two =
        policy("calendars = [\"two\", \"one\"]\n[[exemption]]\ninstances = [\"i-01234567\"]\nowner = \"o\"\nreason = \"r\"\nuntil = 2027-01-04T00:00:00Z\n");
    let both = one.stricter(&two);
    assert_eq!((both.freezes.len(), both.exemptions.len()), (1, 1));
    assert_eq!(both.calendars, ["one", "two"]);
}

#[test]
fn the_tag_limit_stays_on_the_pinned_tag() {
    let tag = |key: &str, limit: &str| policy(&format!("blast_radius = {{ tag = {{ key = \"{key}\", limit = {limit} }} }}"));
    let of = |one: &Policy, other: &Policy| one.stricter(other).blast_radius.tag.map(|tag| (tag.key, tag.limit));
    assert_eq!(of(&tag("A", "5"), &tag("A", "3")), Some(("A".to_owned(), Amount::Count(3))));
    assert_eq!(of(&tag("A", "5"), &tag("B", "3")), Some(("A".to_owned(), Amount::Count(5))));
    assert_eq!(of(&default_policy().unwrap(), &tag("B", "3")), Some(("B".to_owned(), Amount::Count(3))));
}

fn any_amount() -> impl Strategy<Value = Amount> {
    prop_oneof![
        (0u64..500).prop_map(Amount::Count),
        (1u32..=10_000).prop_map(|share| Amount::Share(ShareBps(share))),
        (0u64..500, 1u32..=10_000).prop_map(|(count, share)| Amount::Least { count, share: ShareBps(share) }),
    ]
}

proptest! {
    #[test]
    fn the_smaller_amount_is_smaller_of_any_total(one in any_amount(), other in any_amount(), total in 0u64..100_000) {
        prop_assert_eq!(one.min(other).of(total), one.of(total).min(other.of(total)));
        prop_assert_eq!(one.min(other), other.min(one));
        prop_assert_eq!(one.min(one), one);
    }

    #[test]
    fn the_stricter_policy_allows_nothing_that_either_forbids(one in 0usize..4, other in 0usize..4, total in 0u64..10_000, second in 1_795_000_000i64..1_800_000_000) {
        let get = |place: usize| parse(builtin(BUILTIN_NAMES[place]).unwrap(), "p").unwrap();
        let (pinned, current) = (get(one), get(other));
        let both = pinned.stricter(&current);
        let now = jiff::Timestamp::from_second(second).unwrap();
        let opens = |policy: &Policy| policy.opening(now).unwrap().lets_start(now);
        prop_assert_eq!(opens(&both), opens(&pinned) && opens(&current));
        for policy in [&pinned, &current] {
            prop_assert!(both.approvals_needed() >= policy.approvals_needed());
            prop_assert!(both.failure_budget.of(total) <= policy.failure_budget.of(total));
            prop_assert!(both.blast_radius.organization.of(total) <= policy.blast_radius.organization.of(total));
            prop_assert!(both.retry.attempts_max <= policy.retry.attempts_max);
        }
        prop_assert_eq!(&both.stricter(&current), &both);
    }
}

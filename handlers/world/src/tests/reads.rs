//! What the reading APIs show, when they show it, what they cost, and how they fail.

use tidegate_events::host::{Ping, SpokeFault};

use super::*;
use crate::{AccountState, Role};

fn listed(world: &World) -> usize {
    ask(world.list_commands(&spoke(), "AWS-RunPatchBaseline", start(), world.now())).unwrap().len()
}

#[test]
fn a_new_command_shows_after_seconds() {
    let world = world((1..=20).map(host));
    let mut lags = (1..=8).map(|n| {
        let command = install(&world, [n]);
        let mut lags = (0, 0);
        for second in 0..=6 {
            if ask(world.invocations(&spoke(), &command)).unwrap().is_empty() {
                lags.0 = second + 1;
            }
            if !ask(world.list_commands(&spoke(), "AWS-RunPatchBaseline", start(), world.now())).unwrap().iter().any(|seen| seen.command == command) {
                lags.1 = second + 1;
            }
            pass(&world, 1);
        }
        lags
    });
    assert!(lags.all(|(invocations, commands)| invocations <= 3 && commands <= 5));
    assert_eq!(listed(&world), 8);
}

#[test]
fn with_faults_the_list_lags_by_up_to_a_minute() {
    let world = faulty([host(1)], Faults { list_lag_max_secs: 60, invocation_lag_max_secs: 30, ..Faults::none() });
    let most = (0..8)
        .map(|_| {
            let before = listed(&world);
            install(&world, [1]);
            (0..=60)
                .find(|_| {
                    pass(&world, 1);
                    listed(&world) > before
                })
                .unwrap()
        })
        .max();
    assert!(most.is_some_and(|most| most > 5), "{most:?}");
}

#[test]
fn the_list_is_by_document_and_time_newest_first_and_thirty_days_long() {
    let world = world([host(1), host(2)]);
    let first = install(&world, [1]);
    pass(&world, HOUR);
    let second = scan(&world, [2]);
    pass(&world, HOUR);
    let all = ask(world.list_commands(&spoke(), "AWS-RunPatchBaseline", start(), world.now())).unwrap();
    assert_eq!(all.iter().map(|seen| seen.command.clone()).collect::<Vec<_>>(), [second.clone(), first]);
    assert_eq!((all[0].requested_at, all[0].instances.clone()), (start() + SignedDuration::from_hours(1), ids([2])));
    let late = ask(world.list_commands(&spoke(), "AWS-RunPatchBaseline", start() + SignedDuration::from_secs(1), world.now())).unwrap();
    assert_eq!(late.len(), 1);
    assert!(ask(world.list_commands(&spoke(), "AWS-RunShellScript", start(), world.now())).unwrap().is_empty());
    pass(&world, 30 * 24 * HOUR);
    assert_eq!((listed(&world), ask(world.invocations(&spoke(), &second)).unwrap().len()), (0, 0));
}

#[test]
fn a_look_up_shows_managed_nodes_and_whether_they_answer() {
    let hosts = [
        host(1).tag("PatchGroup", "default"),
        troubled(2, Trouble::OFFLINE_ALWAYS),
        troubled(3, Trouble::NotRegistered),
        troubled(4, Trouble::Stopped { from_secs: 0, until_secs: Some(600) }),
        troubled(5, Trouble::TerminatedAt { after_secs: 5 }),
    ];
    let world = world(hosts);
    pass(&world, MINUTE);
    let seen = ask(world.describe(&spoke(), &ids(1..=6))).unwrap();
    assert_eq!(
        seen.iter().map(|host| (host.instance.clone(), host.ping)).collect::<Vec<_>>(),
        [(key(1).instance, Ping::Online), (key(2).instance, Ping::ConnectionLost)]
    );
    assert_eq!(seen[0].tags["PatchGroup"], "default");
    let events = pass(&world, 10 * MINUTE);
    assert_eq!(of_type(&events, "EC2 Instance")[0]["detail"]["state"], "running", "a stopped instance is back");
    assert_eq!(ask(world.describe(&spoke(), &ids([4]))).unwrap().len(), 1);
}

#[test]
fn who_never_reported_has_no_patch_state() {
    let world = world([host(1), troubled(2, Trouble::NotRegistered)]);
    assert_eq!(ask(world.patch_states(&spoke(), &ids([1, 2, 3]))).unwrap().len(), 1);
}

#[test]
fn a_session_is_opened_once_an_hour() {
    let world = world([host(1)]);
    for _ in 0..3 {
        ask(world.describe(&spoke(), &ids([1]))).unwrap();
        pass(&world, 25 * MINUTE);
    }
    assert_eq!((calls(&world, "sts:AssumeRole"), calls(&world, "ssm:DescribeInstanceInformation")), (1, 3));
    ask(world.describe(&spoke(), &ids([1]))).unwrap();
    assert_eq!(calls(&world, "sts:AssumeRole"), 2);
    let by_spoke = world.api_calls_by_spoke();
    assert_eq!(by_spoke[&(spoke().account, spoke().region, "ssm:DescribeInstanceInformation".to_owned())], 4);
}

#[test]
fn a_spoke_that_cannot_be_entered_says_why() {
    let account = |n: u64, role, state| AccountSpec { role, state, ..AccountSpec::new(tidegate_events::id::AccountId::from_number(n).unwrap()) };
    let accounts = vec![
        account(1, Role::Missing, AccountState::Active),
        account(2, Role::WrongTrust, AccountState::Active),
        account(3, Role::Ok, AccountState::Suspended),
    ];
    let world = World::new(Spec { accounts, ..spec([]) }, start());
    let fault = |n: u64| {
        let spoke = Spoke { account: tidegate_events::id::AccountId::from_number(n).unwrap(), region: spoke().region };
        ask(world.describe(&spoke, &ids([1]))).unwrap_err()
    };
    assert!(matches!(fault(1), SpokeFault::RoleDenied(_)) && matches!(fault(2), SpokeFault::RoleDenied(_)));
    assert_eq!((fault(3), fault(4)), (SpokeFault::AccountSuspended, SpokeFault::AccountUnknown));
    fault(1);
    assert_eq!(calls(&world, "sts:AssumeRole"), 4, "each try, but none for an account that is not known");
}

#[test]
fn reads_fail_by_their_rates_and_differently_a_second_later() {
    let world = faulty([host(1)], Faults { read_throttled: 300, read_unanswered: 300, ..Faults::none() });
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..200 {
        let answer = ask(world.describe(&spoke(), &ids([1]))).map(|_| ());
        assert_eq!(ask(world.describe(&spoke(), &ids([1]))).map(|_| ()), answer, "the same question in the same second");
        *seen.entry(answer.map_or_else(|fault| matches!(fault, SpokeFault::Throttled).to_string(), |()| "answered".to_owned())).or_insert(0) += 1;
        pass(&world, 1);
    }
    assert!(seen.len() == 3 && seen.values().all(|times| *times > 30), "{seen:?}");
}

#[test]
fn the_inventory_counts_active_accounts_and_is_asked_for_once_an_hour() {
    let mut spec = Spec::generate(25, 2, 250, 3, Faults::none());
    spec.accounts[1].state = AccountState::Suspended;
    let world = World::new(spec, start());
    let inventory = ask(world.inventory(Some("PatchGroup"))).unwrap();
    assert_eq!((inventory.total, inventory.by_account.len(), inventory.ous.len()), (240, 24, 25));
    assert_eq!(inventory.by_region.values().sum::<u64>(), 240);
    assert!(inventory.by_tag["default"] > 96 && inventory.by_tag.values().sum::<u64>() < 240);
    assert!(ask(world.inventory(None)).unwrap().by_tag.is_empty());
    assert_eq!((calls(&world, "organizations:ListAccounts"), calls(&world, "config:SelectAggregateResourceConfig")), (2, 3));
    pass(&world, HOUR);
    ask(world.inventory(Some("PatchGroup"))).unwrap();
    assert_eq!(calls(&world, "organizations:ListAccounts"), 4);
}

#[test]
fn a_notice_is_counted_and_forgotten() {
    let world = world([]);
    let notice = tidegate_events::action::Notice {
        kind: tidegate_events::action::NoticeKind::LaneHalted,
        subject: "patch-default".to_owned(),
        message: String::new(),
        at: start(),
    };
    ask(world.notify(&notice)).unwrap();
    assert_eq!(calls(&world, "sns:Publish"), 1);
}

#[test]
fn the_nodes_of_a_spoke_come_page_by_page() {
    let world = world((1..=120).map(host));
    let spokes = ask(world.spokes()).unwrap();
    assert_eq!(spokes, [spoke()]);
    let mut sizes = Vec::new();
    let mut seen = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let page = ask(world.managed_nodes(&spokes[0], next.as_deref(), false)).unwrap();
        sizes.push(page.items.len());
        seen.extend(page.items.into_iter().map(|host| host.instance));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 20]);
    let mut all = ids(1..=120);
    all.sort();
    assert_eq!(seen, all);
    let nowhere = Spoke { account: spoke().account, region: "eu-west-3".parse().unwrap() };
    assert_eq!(ask(world.managed_nodes(&nowhere, None, false)).unwrap().items, []);
}

use std::time::Instant;

use proptest::prelude::*;
use tidegate_events::host::{Host, Ping};
use tidegate_events::id::InstanceId;
use tidegate_events::run::{RunAmount, RunWave};

use super::*;

pub(crate) fn wave(name: &str) -> RunWave {
    RunWave {
        name: name.into(),
        accounts: (0..8).map(account).collect(),
        regions: ["eu-west-1", "us-east-1"].map(|region| region.parse().unwrap()).into(),
        tags: BTreeMap::new(),
        platforms: BTreeSet::new(),
        instances: BTreeSet::new(),
        operation: Operation::Install,
        reboot: None,
        max_concurrency: None,
        max_errors: None,
        pause_after_secs: None,
    }
}

pub(crate) fn run(waves: Vec<RunWave>) -> BulkRun {
    BulkRun {
        name: None,
        dry_run: false,
        abort_on_issues: true,
        approval_required: None,
        comment: None,
        topic: None,
        notification_email: None,
        bedrock: None,
        pre_collect: false,
        custom_documents: BTreeMap::new(),
        waves,
    }
}

fn account(n: u64) -> AccountId {
    AccountId::from_number(111_122_223_000 + n).unwrap()
}

fn now() -> Timestamp {
    "2026-11-19T08:00:00Z".parse().unwrap()
}

/// Hosts with their places, owned.
pub(crate) struct Estate {
    hosts: Vec<(AccountId, Region, Host)>,
}

impl Estate {
    /// So many hosts, drawn from `seed` without a library: accounts, Regions, platforms, two tags, and who answers.
    pub(crate) fn new(hosts: u64, accounts: u64, seed: u64) -> Self {
        let regions: [Region; 2] = ["eu-west-1", "us-east-1"].map(|region| region.parse().unwrap());
        let mut draw = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = move |below: u64| {
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            (draw >> 11) % below
        };
        let hosts = (0..hosts)
            .map(|n| {
                let platform =
                    [Platform::Linux, Platform::Linux, Platform::Windows, Platform::MacOS][usize::try_from(next(if n % 9 == 0 { 4 } else { 3 })).unwrap()];
                let ping = if next(20) == 0 { Ping::ConnectionLost } else { Ping::Online };
                let group = ["default", "web", "db"][usize::try_from(next(3)).unwrap()];
                let instance: InstanceId = format!("i-{n:017x}").parse().unwrap();
                let host = Host { instance, platform, ping, tags: BTreeMap::from([("PatchGroup".to_owned(), group.to_owned())]) };
                (account(next(accounts)), regions[usize::try_from(next(2)).unwrap()].clone(), host)
            })
            .collect();
        Self { hosts }
    }

    pub(crate) fn fleet(&self) -> Fleet<'_> {
        Fleet {
            hosts: self.hosts.iter().map(|(account, region, host)| Known { account: *account, region, host }).collect(),
            accounts: self.hosts.iter().map(|(account, ..)| (*account, vec!["root".to_owned()])).collect(),
            ..Fleet::default()
        }
    }
}

fn policy(text: &str) -> Policy {
    crate::policy::parse(&format!("name = \"t\"\n{text}"), "t.toml").unwrap()
}

fn tagged(name: &str, value: &str) -> RunWave {
    RunWave { tags: BTreeMap::from([("PatchGroup".to_owned(), BTreeSet::from([value.to_owned()]))]), ..wave(name) }
}

#[test]
fn limits_of_the_run_are_counts_and_never_above_the_policys() {
    let estate = Estate::new(400, 4, 3);
    let policy = policy("failure_budget = \"5%\"\n[blast_radius]\nwave = \"25%\"\n");
    let asked = run(vec![
        RunWave {
            max_concurrency: Some(RunAmount::ShareBps(1_000)),
            max_errors: Some(RunAmount::Count(1)),
            pause_after_secs: Some(900),
            ..tagged("web", "web")
        },
        RunWave { max_concurrency: Some(RunAmount::ShareBps(9_000)), max_errors: Some(RunAmount::ShareBps(5_000)), ..tagged("rest", "default") },
    ]);
    let plan = plan(&policy, &asked, &estate.fleet(), now()).unwrap();
    let [web, rest] = plan.waves.as_slice() else { panic!("{:?}", plan.waves) };
    assert_eq!((web.max_concurrency.to_string(), web.at_once), ("10%".to_owned(), web.targets / 10));
    assert_eq!((web.max_errors, web.failures_max, web.pause_after_secs), (Amount::Count(1), 1, 900));
    assert_eq!((rest.max_concurrency.to_string(), rest.at_once), ("25%".to_owned(), rest.targets / 4));
    assert_eq!((rest.max_errors.to_string(), rest.failures_max), ("5%".to_owned(), rest.targets / 20));
    assert_eq!(plan.warnings.iter().filter(|warning| warning.contains("`rest`")).count(), 2, "{:?}", plan.warnings);
    assert_eq!(web.needs_approvals, policy.approvals_needed());
}

#[test]
fn every_host_that_is_left_out_has_the_closest_miss_as_its_reason() {
    let estate = Estate::new(2_000, 10, 4);
    let mut asked = run(vec![RunWave { regions: ["eu-west-1".parse().unwrap()].into(), platforms: [Platform::Linux].into(), ..tagged("web", "web") }]);
    let fleet = Fleet { closed: [account(3)].into(), ..estate.fleet() };
    let exempt = policy("[[exemption]]\nselect = { accounts = [\"111122223001\"] }\nowner = \"o\"\nreason = \"r\"\nuntil = \"2027-01-01T00:00:00Z\"\n");
    let made = plan(&exempt, &asked, &fleet, now()).unwrap();
    let expected = |known: &Known<'_>| {
        let host = known.host;
        if known.account >= account(8) {
            Err(LeftOut::OtherAccount)
        } else if known.region.as_str() != "eu-west-1" {
            Err(LeftOut::OtherRegion)
        } else if host.platform != Platform::Linux {
            Err(LeftOut::OtherPlatform)
        } else if host.tags["PatchGroup"] != "web" {
            Err(LeftOut::NoMatchingTag)
        } else if known.account == account(1) {
            Err(LeftOut::Exempt)
        } else if host.ping != Ping::Online || known.account == account(3) {
            Err(LeftOut::Unreachable)
        } else {
            Ok(0)
        }
    };
    for (known, placed) in fleet.hosts.iter().zip(&made.placed) {
        assert_eq!(*placed, expected(known), "{known:?}");
    }
    assert_eq!(made.left_out.len(), 6, "{:?}", made.left_out);
    let named = fleet.hosts.iter().zip(&made.placed).find(|(_, placed)| placed.is_ok()).unwrap().0.host.instance.clone();
    asked.waves[0].instances = [named].into();
    let made = plan(&exempt, &asked, &fleet, now()).unwrap();
    assert_eq!(made.selected, 1);
    assert!(made.left_out[&LeftOut::NotNamed] > 0);
}

#[test]
fn an_empty_wave_is_shown_and_changes_no_digest() {
    let estate = Estate::new(100, 4, 5);
    let asked = run(vec![tagged("none", "nobody"), wave("all")]);
    let plan = plan(&policy(""), &asked, &estate.fleet(), now()).unwrap();
    assert_eq!((plan.waves[0].targets, plan.waves[0].batches), (0, 0));
    assert!(plan.warnings.iter().any(|warning| warning.contains("`none` takes nobody")), "{:?}", plan.warnings);
    assert!(plan.waves[1].targets > 50);
}

#[test]
fn the_forecast_grows_with_what_is_asked() {
    let estate = Estate::new(1_000, 4, 6);
    let of = |waves: Vec<RunWave>, dry: bool| plan(&policy(""), &BulkRun { dry_run: dry, ..run(waves) }, &estate.fleet(), now()).unwrap().forecast;
    let install = of(vec![wave("all")], false);
    let scan = of(vec![RunWave { operation: Operation::Scan, ..wave("all") }], false);
    let slow = of(vec![RunWave { max_concurrency: Some(RunAmount::Count(1)), ..wave("all") }], false);
    let dry = of(vec![wave("all")], true);
    assert!(scan.api_calls < install.api_calls && scan.finish.after_secs < install.finish.after_secs);
    assert!(slow.api_calls > install.api_calls && slow.finish.after_secs > install.finish.after_secs);
    let backed_up = plan(&policy("[backup]\ndocument = \"Acme-Backup\"\n"), &run(vec![wave("one")]), &estate.fleet(), now()).unwrap().forecast;
    let plain = plan(&policy(""), &run(vec![wave("one")]), &estate.fleet(), now()).unwrap().forecast;
    assert!(backed_up.api_calls > plain.api_calls && backed_up.finish.after_secs > plain.finish.after_secs);
    assert!(dry.api_calls < scan.api_calls && dry.cost_micros < scan.cost_micros);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn sums_add_up_and_the_first_wave_wins(hosts in 1u64..600, accounts in 1u64..12, seed in 0u64..1_000_000, tag in 0usize..3, concurrency in 1u64..40) {
        let estate = Estate::new(hosts, accounts, seed);
        let fleet = estate.fleet();
        let value = ["default", "web", "db"][tag];
        let asked = run(vec![
            tagged("one", value),
            RunWave { platforms: [Platform::Windows].into(), max_concurrency: Some(RunAmount::Count(concurrency)), ..wave("two") },
            wave("three"),
        ]);
        let made = plan(&policy(""), &asked, &fleet, now()).unwrap();
        prop_assert_eq!(made.inventory, hosts);
        prop_assert_eq!(made.inventory, made.selected + made.left_out.values().sum::<u64>());
        prop_assert_eq!(made.selected, made.waves.iter().map(|wave| wave.targets).sum::<u64>());
        prop_assert!(made.waves[1].at_once <= concurrency);
        let mut batches: BTreeMap<(u16, AccountId, &Region, Platform), u64> = BTreeMap::new();
        for (known, placed) in fleet.hosts.iter().zip(&made.placed) {
            let takes: Vec<bool> = asked.waves.iter().map(|wave| wave.leaves_out(known.account, known.region, known.host).is_none()).collect();
            match placed {
                Ok(index) => {
                    prop_assert!(takes[usize::from(*index)]);
                    prop_assert!(!takes[..usize::from(*index)].iter().any(|takes| *takes), "an earlier wave takes it");
                    *batches.entry((*index, known.account, known.region, known.host.platform)).or_default() += 1;
                }
                Err(LeftOut::Unreachable) => prop_assert!(known.host.ping != Ping::Online && takes.contains(&true)),
                Err(_) => prop_assert!(!takes.contains(&true)),
            }
        }
        for (index, wave) in (0u16..).zip(&made.waves) {
            let need: u64 = batches.iter().filter(|((of, ..), _)| *of == index).map(|(_, members)| members.div_ceil(50)).sum();
            prop_assert_eq!(wave.batches, need);
        }
    }

    #[test]
    fn the_same_fleet_in_any_order_gives_the_same_plan(hosts in 2u64..300, seed in 0u64..1_000_000, turn in 1usize..50) {
        let estate = Estate::new(hosts, 6, seed);
        let asked = run(vec![tagged("one", "web"), wave("rest")]);
        let once = plan(&policy(""), &asked, &estate.fleet(), now()).unwrap();
        prop_assert_eq!(&once, &plan(&policy(""), &asked, &estate.fleet(), now()).unwrap());
        let mut turned = estate.fleet();
        let by = turn % turned.hosts.len();
        turned.hosts.rotate_left(by);
        turned.hosts.reverse();
        let again = plan(&policy(""), &asked, &turned, now()).unwrap();
        prop_assert_eq!(again.digest, once.digest);
        prop_assert_eq!(&again.waves, &once.waves);
        prop_assert_eq!(again.forecast, once.forecast);
        if once.selected > 0 {
            // One host fewer is another plan.
            let gone = turned.hosts.iter().position(|known| asked.waves[1].leaves_out(known.account, known.region, known.host).is_none() && known.host.ping == Ping::Online).unwrap();
            turned.hosts.remove(gone);
            prop_assert_ne!(plan(&policy(""), &asked, &turned, now()).unwrap().digest, once.digest);
        }
    }
}

#[test]
fn hosts_that_cannot_make_their_deadline_are_counted() {
    let estate = Estate::new(200, 2, 3);
    let misses = |days: u32| {
        let policy = policy(&format!("[[sla]]\nname = \"all\"\ndays = {days}\nsource = \"s\"\nversion = \"1\"\n"));
        let plan = plan(&policy, &run(vec![wave("all")]), &estate.fleet(), now()).unwrap();
        (plan.forecast.sla_misses, plan.selected)
    };
    let (all, selected) = misses(0);
    assert!(selected > 0 && all == selected, "{all} of {selected}");
    assert_eq!(misses(3_650).0, 0);
}

/// `cargo test --release -p tidegate-rules a_million -- --ignored --nocapture` prints what a plan takes.
#[test]
#[ignore = "a benchmark"]
fn a_million_hosts_are_planned_in_seconds() {
    let estate = Estate::new(1_000_000, 1_000, 1);
    let fleet = estate.fleet();
    let everywhere: BTreeSet<AccountId> = (0..1_000).map(account).collect();
    let asked = run([tagged("web", "web"), tagged("db", "db"), wave("rest")].map(|wave| RunWave { accounts: everywhere.clone(), ..wave }).into());
    let policy = policy("");
    for _ in 0..3 {
        let began = Instant::now();
        let plan = plan(&policy, &asked, &fleet, now()).unwrap();
        println!("{} of {} hosts in {} batches: {:?}", plan.selected, plan.inventory, plan.waves.iter().map(|wave| wave.batches).sum::<u64>(), began.elapsed());
        assert!(plan.selected > 900_000 && began.elapsed().as_secs() < 20);
    }
}

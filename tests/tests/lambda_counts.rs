//! What a thousand remediated instances cost: calls to AWS, messages, DynamoDB's units; from the run itself, beside the least that is
//! safe. The numbers of docs/operations/performance.md: `cargo test -p tidegate-tests --test lambda_counts -- --nocapture`.

#![cfg(test)]

use std::collections::BTreeMap;

use tidegate_aws::clients::{Hub, endpoint_config};
use tidegate_aws::dynamo::{DynamoStore, Units, create_table};
use tidegate_aws::secret::Secret;
use tidegate_cli::cmd::simulate;
use tidegate_rules::policy::Policy;
use tidegate_tests::queues::{Ended, Luck, Site};
use tidegate_tests::rig::{self, Ministack};
use tidegate_tests::twin::{Ledger, Twin};
use tidegate_world::{Faults, Spec};

const CALM: Luck = Luck { store: 0, post: 0, twice: 0 };
const ACCOUNTS: u64 = 20;
const EACH: u64 = 50;
const REMEDIATED: u64 = ACCOUNTS * EACH;

/// 20 accounts of 50 Linux instances that all lack patches, found one after the other within half an hour.
fn fleet(only: Option<&str>) -> Spec {
    // A third of a generated fleet lacks patches, give or take.
    let mut spec = Spec::generate(20, 1, 6_000, 5, Faults::none());
    let mut taken: BTreeMap<String, u64> = BTreeMap::new();
    spec.hosts.retain(|host| {
        let taken = taken.entry(host.key.account.to_string()).or_default();
        let wanted = host.missing > 0 && only.is_none_or(|platform| platform == format!("{:?}", host.platform)) && *taken < EACH;
        *taken += u64::from(wanted);
        wanted
    });
    assert_eq!(u64::try_from(spec.hosts.len()).unwrap(), REMEDIATED);
    spec
}

/// The default policy in every respect but how much may be patched at once: the whole fleet is one wave.
fn policy() -> Policy {
    let wide = "name = \"wide\"\n[blast_radius]\nwave = \"100%\"\naccount = \"100%\"\nregion = \"100%\"\norganization = \"100%\"\n[[wave]]\nname = \"all\"\n";
    tidegate_rules::policy::parse(wide, "wide.toml").unwrap()
}

/// Calls that cannot be fewer, for so many cells of so many instances each: a session for each account; for each 50 instances an install
/// and a scan, what became of each, and one read of patch states; for each cell one evaluation.
fn least(call: &str) -> Option<u64> {
    let fifties = ACCOUNTS * EACH.div_ceil(50);
    Some(match call {
        "sts:AssumeRole" | "config:StartConfigRulesEvaluation" => ACCOUNTS,
        "ssm:SendCommand" | "ssm:ListCommandInvocations" => 2 * fifties,
        "ssm:DescribeInstancePatchStates" => fifties,
        _ => return None,
    })
}

fn kept(ended: &Ended) {
    assert_eq!(ended.violations, Vec::<String>::new());
    assert_eq!((ended.doubled, &ended.moving, ended.left), (0, &None, 0));
    assert_eq!(ended.patched as u64, REMEDIATED);
}

fn print_calls(title: &str, ended: &Ended) {
    println!("\n{title}\n\n| call | made | least |\n| --- | --: | --: |");
    for (call, made) in &ended.api_calls {
        println!("| `{call}` | {made} | {} |", least(call).unwrap_or(0));
    }
    let sum: u64 = ended.api_calls.values().sum();
    println!("| sum | {sum} | {} |", ended.api_calls.keys().filter_map(|call| least(call)).sum::<u64>());
    println!("\n| queue | messages | SendMessageBatch |\n| --- | --: | --: |");
    for (queue, posted) in &ended.posted {
        println!("| `{queue}` | {} | {} |", posted.messages, posted.requests);
    }
    println!("\nmessages handled: {}, notices: {}", ended.messages, ended.notices);
}

fn print_ledger(ledger: &Ledger) {
    println!("\n| written | times | bytes each |\n| --- | --: | --: |");
    for (kind, written) in ledger.lock().unwrap().iter() {
        println!("| {kind} | {} | {} |", written.times, written.bytes / written.times);
    }
}

fn print_units(units: &Units) {
    println!("\n| DynamoDB | |\n| --- | --: |\n| write units | {} |\n| read units | {} |", units.write, units.read);
    for (operation, requests) in &units.requests {
        println!("| `{operation}` | {requests} |");
    }
}

fn at_most(what: &str, made: u64, most: u64) {
    assert!(made <= most, "{what}: {made} for {REMEDIATED} instances, at most {most}");
}

fn budget(ended: &Ended, factor: u64) {
    let made = |call: &str| ended.api_calls.get(call).copied().unwrap_or(0);
    for call in ["sts:AssumeRole", "ssm:SendCommand", "ssm:ListCommandInvocations", "ssm:DescribeInstancePatchStates", "config:StartConfigRulesEvaluation"] {
        at_most(call, made(call), factor * least(call).unwrap_or(0));
    }
}

#[test]
fn calls_for_a_thousand_instances_stay_near_the_least() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (title, only) in [("one platform", Some("Linux")), ("two platforms", None)] {
        let site = Site::new(fleet(only), policy(), simulate::start().unwrap(), 5, CALM);
        let ended = runtime.block_on(site.settle()).unwrap();
        print_calls(title, &ended);
        kept(&ended);
        budget(&ended, 4);
    }
}

#[test]
fn write_units_for_a_thousand_instances_stay_in_their_budget() {
    let hub = rig::ministack(Ministack::default()).unwrap();
    let region = "us-east-1".parse().unwrap();
    let client = Hub::new(endpoint_config(&hub.endpoint, &region, "test", &Secret::new("test".to_owned())), None).dynamodb().clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ledger = Ledger::default();
    let (ended, units) = runtime.block_on(async {
        create_table(&client, "tidegate").await.unwrap();
        let dynamo = DynamoStore::new(client, "tidegate");
        let start = simulate::start().unwrap();
        let site = Site::over(Twin::new(dynamo.clone(), start, ledger.clone()), fleet(Some("Linux")), policy(), start, 5, CALM);
        (site.settle().await.unwrap(), dynamo.units())
    });
    print_calls("over DynamoDB", &ended);
    print_units(&units);
    print_ledger(&ledger);
    kept(&ended);
    assert!(units.write < 100_000.0, "{} write units for {REMEDIATED} instances", units.write);
}

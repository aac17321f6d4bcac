//! What a thousand remediated instances cost: calls to AWS, messages, DynamoDB's units; from the run itself, beside the least that is
//! safe. The numbers of docs/operations/performance.md: `cargo test -p tidegate-tests --test lambda_counts -- --nocapture`.

#![cfg(test)]

use std::collections::BTreeMap;

use tidegate_aws::clients::{Hub, endpoint_config};
use tidegate_aws::dynamo::{DynamoStore, Units, create_table};
use tidegate_aws::secret::Secret;
use tidegate_cli::cmd::simulate;
use tidegate_rules::policy::Policy;
use tidegate_tests::luck::Luck;
use tidegate_tests::rig::{self, Ministack};
use tidegate_tests::site::{Ended, Site};
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

/// The least that is safe, for so many cells of so many instances each: a session for each account; for each 50 instances an install, a
/// scan, one list of invocations and one read of patch states; for each cell one evaluation.
const LEAST: [(&str, u64); 5] = [
    ("config:StartConfigRulesEvaluation", ACCOUNTS),
    ("ssm:DescribeInstancePatchStates", FIFTIES),
    ("ssm:ListCommandInvocations", FIFTIES),
    ("ssm:SendCommand", 2 * FIFTIES),
    ("sts:AssumeRole", ACCOUNTS),
];
const FIFTIES: u64 = ACCOUNTS * EACH.div_ceil(50);

fn kept(ended: &Ended) {
    assert_eq!(ended.violations, Vec::<String>::new());
    assert_eq!((ended.doubled, &ended.moving, ended.left.clone()), (0, &None, Vec::new()));
    assert_eq!(ended.patched as u64, REMEDIATED);
}

fn print_calls(title: &str, ended: &Ended) {
    println!("\n{title}\n\n| call | made | least |\n| --- | --: | --: |");
    let mut rows: BTreeMap<&str, (u64, u64)> = LEAST.iter().map(|(call, least)| (*call, (0, *least))).collect();
    ended.api_calls.iter().for_each(|(call, made)| rows.entry(call).or_default().0 = *made);
    for (call, (made, least)) in &rows {
        println!("| `{call}` | {made} | {least} |");
    }
    println!("| sum | {} | {} |", sum(ended), LEAST.iter().map(|(_, least)| least).sum::<u64>());
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

fn sum(ended: &Ended) -> u64 {
    ended.api_calls.values().sum()
}

/// A command goes to one platform: each platform of a cell is a batch of its own.
fn budget(ended: &Ended, platforms: u64) {
    let batches = platforms * FIFTIES;
    for (call, most) in [
        ("sts:AssumeRole", ACCOUNTS),
        ("ssm:DescribeInstanceInformation", FIFTIES),
        ("ssm:SendCommand", 2 * batches),
        // An install is looked at when its first instance has ended, and when all have; a scan once.
        ("ssm:ListCommandInvocations", 3 * batches),
        ("ssm:DescribeInstancePatchStates", batches),
        ("config:StartConfigRulesEvaluation", ACCOUNTS),
    ] {
        at_most(call, ended.api_calls.get(call).copied().unwrap_or(0), most);
    }
    // Organizations and the aggregator: the inventory, and sweeps for what no event has told.
    at_most("all calls", sum(ended), 2 * ACCOUNTS + FIFTIES + 6 * batches + 40);
    let posted: u64 = ended.posted.values().map(|posted| posted.messages).sum();
    at_most("messages between functions", posted, 250 * platforms);
}

#[test]
fn calls_for_a_thousand_instances_stay_near_the_least() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (title, only, platforms) in [("one platform", Some("Linux"), 1), ("two platforms", None, 2)] {
        let site = Site::new(fleet(only), policy(), simulate::start().unwrap(), 5, CALM);
        let ended = runtime.block_on(site.settle()).unwrap();
        print_calls(title, &ended);
        kept(&ended);
        budget(&ended, platforms);
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
    budget(&ended, 1);
    // 29.4 for each instance, of which 20 are its own: see the document.
    assert!(units.write <= 33_000.0, "{} write units for {REMEDIATED} instances", units.write);
}

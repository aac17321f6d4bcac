//! The store in a DynamoDB table, on servers that other people wrote: the conformance suite with eight handles, and what a
//! table must do beyond it: keep its order between processes, survive lost answers, cost what is said, and hold tokens.

#![cfg(test)]

#[path = "dynamodb/estate.rs"]
mod estate;
#[path = "dynamodb/faults.rs"]
mod faults;
#[path = "dynamodb/layout.rs"]
mod layout;
#[path = "dynamodb/processes.rs"]
mod processes;
#[path = "dynamodb/tokens.rs"]
mod tokens;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use jiff::Timestamp;
use tidegate_aws::dynamo::{DynamoStore, create_table, new_token};
use tidegate_engine::store::{Commit, NewLine, Put};
use tidegate_events::Action;
use tidegate_events::id::Digest;
use tidegate_rules::Key;
use tidegate_tests::store_conformance;

/// The server that most of this runs on.
fn ministack() -> String {
    endpoint("TIDEGATE_TEST_DYNAMODB")
}

/// A second opinion.
fn moto() -> String {
    endpoint("TIDEGATE_TEST_DYNAMODB_MOTO")
}

fn endpoint(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} must name the endpoint of a running server, such as http://127.0.0.1:4566"))
}

/// A client as a process of its own would have it. Connections are not kept: the suite calls one client from many runtimes.
fn client(endpoint: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new().pool_max_idle_per_host(0).build_http();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .http_client(http);
    Client::from_conf(config.build())
}

/// A new table's name.
fn table(endpoint: &str) -> String {
    let name = format!("tidegate-{}", &new_token().expect("random bytes")[..12]);
    run(create_table(&client(endpoint), &name)).expect("a new table");
    name
}

/// So many handles, each with its own client, on one new table.
fn stores(endpoint: &str, handles: usize) -> (Vec<DynamoStore>, ()) {
    let table = table(endpoint);
    ((0..handles).map(|_| DynamoStore::new(client(endpoint), &table)).collect(), ())
}

fn store() -> DynamoStore {
    let endpoint = ministack();
    DynamoStore::new(client(&endpoint), table(&endpoint))
}

store_conformance!(on_ministack, stores(&ministack(), 8));
// Its transactions are not isolated from each other (two at once exceed a counter's limit that each of them keeps), and it
// counts the size of bytes as that of their base64: races and sizes are told by the other one alone.
store_conformance! { on_moto, stores(&moto(), 8);
    a_new_item_is_written_once
    an_item_is_written_on_the_version_that_was_read
    every_write_replaces_all_of_an_item
    a_commit_may_insist_on_what_it_does_not_write
    counters_are_added_up
    a_counter_never_exceeds_the_limit_of_an_add
    counters_are_listed_by_prefix
    items_are_listed_by_prefix_in_key_order
    a_listing_goes_on_after_any_key
    prefixes_of_each_other_stay_apart
    a_journal_keeps_the_order_of_commits
    a_journal_is_read_in_pages
    a_stream_has_no_gap_and_no_second_line_in_one_place
    a_line_comes_with_the_item_that_counts_it
    actions_come_out_in_the_order_they_were_asked_in
    a_performed_action_is_gone_for_good
    what_is_due_comes_earliest_first
    nothing_is_due_before_its_time
    a_new_time_replaces_the_old_one
    the_end_of_time_never_comes
    the_newest_commit_is_remembered
    the_newest_commit_is_never_rounded_down
    a_hundred_actions_are_taken_and_one_more_is_refused
    a_key_stands_once_in_a_commit
    a_refused_condition_leaves_nothing
    a_refused_limit_leaves_nothing
    a_refused_line_leaves_nothing
    a_refused_size_leaves_nothing
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn key(text: &str) -> Key {
    Key::from_text(text)
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + secs).expect("a time")
}

fn put(text: &str, expect: u64, body: &str) -> Put {
    Put { key: key(text), expect, body: body.as_bytes().to_vec(), due_at: None, seq: 0, head: Digest::default() }
}

fn puts(puts: Vec<Put>) -> Commit {
    Commit { at: at(0), puts, ..Commit::default() }
}

/// An item's next write with the line that it counts.
fn line(text: &str, seq: u64, bytes: &str) -> Commit {
    let lines = vec![NewLine { stream: key(text), seq, bytes: bytes.as_bytes().to_vec() }];
    Commit { lines, ..puts(vec![Put { seq, ..put(text, seq - 1, bytes) }]) }
}

fn action(number: u32) -> Action {
    Action::ListRoster(format!("patch-default.{number}").parse().expect("a campaign"))
}

//! What every store must do, written against the port: [`crate::store_conformance`] makes one test of each case, for any
//! adapter. A case gets handles on one new, empty store.

mod items;
mod limits;
mod outbox;
mod queue;
mod races;
mod stream;
mod undo;

pub use items::*;
pub use limits::*;
pub use outbox::*;
pub use queue::*;
pub use races::*;
pub use stream::*;
pub use undo::*;

use jiff::{SignedDuration, Timestamp};
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{Commit, NewLine, Put, Store};
use tidegate_events::id::Digest;
use tidegate_events::{Action, id::IdError};
use tidegate_rules::Key;
use tidegate_rules::desk::Add;

/// What a case gives: an error is a failure, as an assertion is.
pub type Checked = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Makes one test of each case that is named, or of every case there is.
///
/// `$fresh` is an expression that opens a new, empty store: a list of handles on it, and whatever must live as long as they
/// do. Cases with one writer use the first handle; cases with many writers spread over all of them.
#[macro_export]
macro_rules! store_conformance {
    ($store:ident, $fresh:expr) => {
        $crate::store_conformance! { $store, $fresh;
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
            lines_are_kept_byte_for_byte
            actions_come_out_in_the_order_they_were_asked_in
            a_performed_action_is_gone_for_good
            what_is_due_comes_earliest_first
            nothing_is_due_before_its_time
            a_new_time_replaces_the_old_one
            the_end_of_time_never_comes
            the_newest_commit_is_remembered
            the_newest_commit_is_never_rounded_down
            a_hundred_actions_are_taken_and_one_more_is_refused
            an_item_of_full_size_is_kept_and_a_larger_one_is_refused
            four_megabytes_are_refused
            a_key_stands_once_in_a_commit
            a_refused_condition_leaves_nothing
            a_refused_limit_leaves_nothing
            a_refused_line_leaves_nothing
            a_refused_size_leaves_nothing
            no_write_is_lost_between_writers
            no_limit_is_exceeded_between_writers
            a_stream_is_written_by_one_at_a_time
            what_was_committed_is_seen_at_once
        }
    };
    ($store:ident, $fresh:expr; $($case:ident)+) => {
        mod $store {
            use super::*;
            $(
                #[test]
                fn $case() {
                    let (stores, _kept) = $fresh;
                    let handles: Vec<_> = stores.iter().collect();
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
                    runtime.block_on($crate::conformance::$case(&handles)).expect("the case runs to its end");
                }
            )+
        }
    };
}

fn one<'s, S: Store>(stores: &[&'s S]) -> Result<&'s S, &'static str> {
    stores.first().copied().ok_or("a case needs a store")
}

fn key(text: &str) -> Key {
    Key::from_text(text)
}

fn at(secs: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_secs(1_790_000_000 + secs)).unwrap_or(Timestamp::MAX)
}

fn put(text: &str, expect: u64, body: &str) -> Put {
    Put { key: key(text), expect, body: body.as_bytes().to_vec(), due_at: None, seq: 0, head: Digest::default() }
}

fn due(text: &str, expect: u64, due_at: Option<Timestamp>) -> Put {
    Put { due_at, ..put(text, expect, "{}") }
}

fn line(stream: &str, seq: u64, bytes: &str) -> NewLine {
    NewLine { stream: key(stream), seq, bytes: bytes.as_bytes().to_vec() }
}

fn action(number: u32) -> Result<Action, IdError> {
    Ok(Action::ListRoster(format!("patch-default.{number}").parse()?))
}

fn add(text: &str, delta: i64, max: Option<i64>) -> (Key, Add) {
    (key(text), Add { delta, max })
}

fn puts(puts: Vec<Put>) -> Commit {
    Commit { at: at(0), puts, ..Commit::default() }
}

fn adds(adds: Vec<(Key, Add)>) -> Commit {
    Commit { at: at(0), adds, ..Commit::default() }
}

/// A line with the item that counts it, as the store wants them: the item is written once for each line of its stream.
fn lines(lines: Vec<NewLine>) -> Commit {
    let puts = lines.iter().map(|line| counting(line.stream.as_str(), line.seq.saturating_sub(1), line.seq)).collect();
    Commit { at: at(0), puts, lines, ..Commit::default() }
}

/// An item that counts so many lines afterwards.
fn counting(text: &str, expect: u64, seq: u64) -> Put {
    Put { seq, ..put(text, expect, "{}") }
}

fn conflict(text: &str) -> Result<(), StoreError> {
    Err(StoreError::Conflict(key(text)))
}

async fn body<S: Store>(store: &S, text: &str) -> Result<Option<(u64, String)>, StoreError> {
    let found = store.get(&[key(text)]).await?.into_iter().flatten().next();
    Ok(found.map(|stored| (stored.version, String::from_utf8_lossy(&stored.body).into_owned())))
}

fn some(version: u64, body: &str) -> Option<(u64, String)> {
    Some((version, body.to_owned()))
}

async fn keys<S: Store>(store: &S, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
    let after = after.map(key);
    let page = store.list(prefix, after.as_ref(), limit).await?;
    Ok(page.into_iter().map(|(key, _)| key.as_str().to_owned()).collect())
}

async fn journal<S: Store>(store: &S) -> Result<Vec<String>, StoreError> {
    Ok(store.journal(0, 1000).await?.into_iter().map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).collect())
}

//! All of a commit or nothing of it.

use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ActionId, Commit, ITEM_BYTES_MAX, Page, Put, Store};
use tidegate_events::Action;
use tidegate_rules::Key;

use super::{Checked, action, add, at, conflict, due, key, line, one, put, puts};

/// Everything that a store can be asked.
#[derive(Debug, PartialEq, Eq)]
struct Whole {
    items: Page,
    counts: Vec<(Key, i64)>,
    journal: Vec<(u64, Vec<u8>)>,
    outbox: Vec<(ActionId, Action)>,
    due: Vec<Key>,
    next_due: Option<jiff::Timestamp>,
    newest: Option<jiff::Timestamp>,
}

async fn whole<S: Store>(store: &S) -> Result<Whole, StoreError> {
    Ok(Whole {
        items: store.list("", None, 1000).await?,
        counts: store.list_counts("").await?,
        journal: store.journal(0, 1000).await?,
        outbox: store.outbox(None, 1000).await?,
        due: store.due(at(10_000), 1000).await?,
        next_due: store.next_due().await?,
        newest: store.newest().await?,
    })
}

/// A store with something of everything in it.
async fn furnished<S: Store>(store: &S) -> Result<Whole, Box<dyn std::error::Error + Send + Sync>> {
    let commit = Commit {
        at: at(0),
        puts: vec![Put { seq: 1, ..due("batch/a", 0, Some(at(100))) }, put("lane/a", 0, "{}")],
        adds: vec![add("grant/organization", 3, Some(3)), add("tally/w/ok", 1, None)],
        lines: vec![line("batch/a", 1, "1")],
        actions: vec![action(1)?],
        ..Commit::default()
    };
    store.commit(&commit).await?;
    Ok(whole(store).await?)
}

/// A commit that changes something of everything, and would be taken.
fn sound() -> Result<Commit, tidegate_events::id::IdError> {
    Ok(Commit {
        at: at(50),
        puts: vec![Put { seq: 2, ..due("batch/a", 1, Some(at(200))) }, Put { seq: 1, ..due("batch/new", 0, Some(at(5))) }, put("lane/b", 0, "{}")],
        unchanged: vec![(key("lane/a"), 1), (key("door/d"), 0)],
        adds: vec![add("grant/account/a", 1, Some(1)), add("tally/w/bad", 1, None), add("tally/w/ok", 1, None)],
        lines: vec![line("batch/a", 2, "2"), line("batch/new", 1, "1")],
        actions: vec![action(2)?, action(3)?],
        durable: false,
    })
}

async fn leaves_nothing<S: Store>(store: &S, spoil: impl FnOnce(&mut Commit), expected: impl FnOnce(&Result<(), StoreError>) -> bool) -> Checked {
    let before = furnished(store).await?;
    let mut commit = sound()?;
    spoil(&mut commit);
    let answer = store.commit(&commit).await;
    assert!(expected(&answer), "{answer:?}");
    assert_eq!(whole(store).await?, before);
    store.commit(&sound()?).await?;
    let after = whole(store).await?;
    assert_eq!((after.items.len(), after.journal.len(), after.outbox.len()), (4, 3, 3), "what was right about it is taken afterwards");
    Ok(())
}

/// The condition comes last in the commit, and everything before it is undone.
pub async fn a_refused_condition_leaves_nothing<S: Store>(stores: &[&S]) -> Checked {
    leaves_nothing(one(stores)?, |commit| commit.puts.push(put("lane/c", 7, "{}")), |answer| *answer == conflict("lane/c")).await
}

/// A limit that is reached is a lost race.
pub async fn a_refused_limit_leaves_nothing<S: Store>(stores: &[&S]) -> Checked {
    let over = Err(StoreError::OverLimit(key("grant/organization")));
    leaves_nothing(one(stores)?, |commit| commit.adds.push(add("grant/organization", 1, Some(3))), |answer| *answer == over).await
}

/// A line whose place is taken is a lost race.
pub async fn a_refused_line_leaves_nothing<S: Store>(stores: &[&S]) -> Checked {
    let spoil = |commit: &mut Commit| {
        commit.lines.retain(|line| line.stream != key("batch/a"));
        commit.lines.push(line("batch/a", 1, "the second first"));
        for put in commit.puts.iter_mut().filter(|put| put.key == key("batch/a")) {
            put.seq = 1;
        }
    };
    leaves_nothing(one(stores)?, spoil, |answer| *answer == conflict("batch/a")).await
}

/// A commit that is too large is refused as a whole.
pub async fn a_refused_size_leaves_nothing<S: Store>(stores: &[&S]) -> Checked {
    let spoil = |commit: &mut Commit| commit.puts.extend(puts(vec![Put { body: vec![0; ITEM_BYTES_MAX + 1], ..put("lane/c", 0, "") }]).puts);
    leaves_nothing(one(stores)?, spoil, |answer| matches!(answer, Err(StoreError::TooLarge(_)))).await
}

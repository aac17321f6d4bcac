//! The store conformance suite on the stores of one machine, and what a store in a file must do beyond it.

#![cfg(test)]

use std::path::Path;

use tempfile::TempDir;
use tidegate_embedded::{EmbeddedStore, MemoryStore, OpenError, SqliteStore};
use tidegate_engine::store::{Commit, NewLine, Put, Store};
use tidegate_events::Action;
use tidegate_events::id::Digest;
use tidegate_rules::Key;
use tidegate_rules::desk::Add;
use tidegate_tests::store_conformance;

fn memory() -> (Vec<EmbeddedStore>, ()) {
    (vec![EmbeddedStore::Memory(MemoryStore::new())], ())
}

/// So many handles, as so many processes would have them, on one new file.
fn sqlite(handles: usize) -> (Vec<EmbeddedStore>, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("tidegate.db");
    ((0..handles).map(|_| EmbeddedStore::Sqlite(SqliteStore::open(&path).expect("a new store"))).collect(), folder)
}

store_conformance!(in_memory, memory());
store_conformance!(in_a_file, sqlite(1));
store_conformance!(in_a_file_that_two_have_open, sqlite(2));

/// Runs on a store that answers at once.
fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::Sqlite(SqliteStore::open(path).expect("the store opens"))
}

fn action(number: u32) -> Action {
    Action::ListRoster(format!("patch-default.{number}").parse().expect("a campaign"))
}

#[test]
fn a_file_keeps_everything_when_it_is_opened_again() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("tidegate.db");
    let at: jiff::Timestamp = "2026-11-19T19:04:05.000001Z".parse().expect("a time");
    let lane = Key::from_text("lane/a");
    let put = |expect| Put { key: lane.clone(), expect, body: b"{}".to_vec(), due_at: Some(at), seq: 1, head: Digest::of(b"one") };
    now(async {
        let store = open(&path);
        let commit = Commit {
            at,
            puts: vec![put(0)],
            adds: vec![(Key::from_text("tally/w/ok"), Add { delta: 3, max: None })],
            lines: vec![NewLine { stream: lane.clone(), seq: 1, bytes: b"line".to_vec() }],
            actions: vec![action(1), action(2)],
            ..Commit::default()
        };
        store.commit(&commit).await.expect("a commit");
        let (last, _) = store.outbox(None, 9).await.expect("the outbox").pop().expect("two actions");
        store.performed(&[last]).await.expect("one is done");
        // Not closed: a killed process does not say good-bye either.
        std::mem::forget(store);

        let store = open(&path);
        let stored = store.get(std::slice::from_ref(&lane)).await.expect("the item").pop().flatten().expect("it is there");
        assert_eq!((stored.version, stored.body.as_slice(), stored.seq, stored.head), (1, b"{}".as_slice(), 1, Digest::of(b"one")));
        assert_eq!(store.list_counts("").await, Ok(vec![(Key::from_text("tally/w/ok"), 3)]));
        assert_eq!(store.stream(&lane).await, store.journal(0, 9).await);
        assert_eq!(store.journal(0, 9).await.expect("the journal").len(), 1);
        assert_eq!((store.due(at, 9).await, store.next_due().await, store.newest().await), (Ok(vec![lane.clone()]), Ok(Some(at)), Ok(Some(at))));
        let left = store.outbox(None, 9).await.expect("the outbox");
        assert_eq!(left.iter().map(|(_, action)| action.clone()).collect::<Vec<_>>(), [action(1)]);
        store.commit(&Commit { at, puts: vec![put(1)], actions: vec![action(3)], ..Commit::default() }).await.expect("it goes on");
        let (newer, _) = store.outbox(None, 9).await.expect("the outbox").pop().expect("two actions");
        assert!(newer > last, "an id is not used again, not even that of a performed action before a restart");
    });
}

#[test]
fn a_store_is_not_made_where_it_must_exist() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("none.db");
    assert!(matches!(SqliteStore::open_existing(&path), Err(OpenError::Absent(named)) if named == path));
    assert!(!path.exists(), "looking for it does not make it");
    drop(open(&path));
    assert!(SqliteStore::open_existing(&path).is_ok());
}

#[test]
fn another_programs_database_is_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("other.db");
    let other = rusqlite::Connection::open(&path).expect("a database");
    other.execute_batch("CREATE TABLE photo (name TEXT); INSERT INTO photo VALUES ('sunset')").expect("a table");
    drop(other);
    let before = std::fs::read(&path).expect("its bytes");
    assert!(matches!(SqliteStore::open(&path), Err(OpenError::Foreign(_))));
    assert!(matches!(SqliteStore::open_existing(&path), Err(OpenError::Foreign(_))));
    assert_eq!(std::fs::read(&path).expect("its bytes"), before);
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let text = "This is a letter, not a database, and it is long enough to have a header that SQLite can look at.\n".repeat(20);
    for (name, bytes) in [("letter.txt", text.as_bytes()), ("short.txt", b"hello\n".as_slice())] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        let opened = SqliteStore::open(&path);
        assert!(matches!(opened, Err(OpenError::Foreign(_))), "{name}: {:?}", opened.err());
        assert_eq!(std::fs::read(&path).expect("its bytes"), bytes, "{name}");
    }
}

#[test]
fn an_empty_file_becomes_a_store() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("empty.db");
    std::fs::write(&path, b"").expect("a file");
    assert_eq!(now(open(&path).newest()), Ok(None));
    assert!(SqliteStore::open_existing(&path).is_ok());
}

#[test]
fn a_store_of_a_newer_version_is_not_touched() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("tidegate.db");
    drop(open(&path));
    let newer = rusqlite::Connection::open(&path).expect("the store");
    newer.pragma_update(None, "user_version", 4_711).expect("a newer version");
    drop(newer);
    for opened in [SqliteStore::open(&path), SqliteStore::open_existing(&path)] {
        assert!(matches!(opened, Err(OpenError::Newer { found: 4_711, .. })), "{:?}", opened.err());
    }
    let after: i64 = rusqlite::Connection::open(&path).and_then(|it| it.query_row("PRAGMA user_version", [], |row| row.get(0))).expect("its version");
    assert_eq!(after, 4_711);
}

#[test]
fn many_may_open_a_new_store_at_once() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("tidegate.db");
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| SqliteStore::open(&path).map(drop))).collect();
        for opener in openers {
            let opened = opener.join().expect("no panic");
            assert!(opened.is_ok(), "{opened:?}");
        }
    });
}

//! Many processes work on one store at the same time, as Lambdas do: each hears everything and looks at everything, and what
//! is decided is decided once.

#![cfg(test)]

use std::collections::BTreeMap;

use tempfile::TempDir;
use tidegate_embedded::{EmbeddedStore, SqliteStore};
use tidegate_tests::story::Story;

#[test]
fn processes_that_work_side_by_side_do_everything_once() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("tidegate.db");
    let open = || EmbeddedStore::Sqlite(SqliteStore::open(&path).expect("the store opens"));
    let mut story = Story::on((0..4).map(|_| open()).collect(), 12).expect("a story");
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        story.work_together().await.expect("it comes to rest");
        assert_eq!(story.complaints().await.expect("the store is read"), Vec::<String>::new());
        let mut enrolled: BTreeMap<String, u32> = BTreeMap::new();
        for line in story.journal().await.expect("the journal").lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line");
            for entry in line["entries"].as_array().expect("entries").iter().filter(|entry| entry["entry"] == "enrolled") {
                *enrolled.entry(entry["target"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
        assert_eq!(enrolled.len(), 12, "no finding is lost: {enrolled:?}");
        assert!(enrolled.values().all(|times| *times == 1), "every target joins once: {enrolled:?}");
    });
}

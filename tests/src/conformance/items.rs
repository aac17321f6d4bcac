//! Items, counters and listings.

use tidegate_engine::error::StoreError;
use tidegate_engine::store::{Commit, Put, Store, Stored};
use tidegate_events::id::Digest;

use super::{Checked, add, adds, at, body, conflict, key, keys, one, put, puts, some};

/// Expecting version 0 means that there is nothing yet.
pub async fn a_new_item_is_written_once<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    assert_eq!(body(store, "lane/a").await?, None);
    store.commit(&puts(vec![put("lane/a", 0, "first")])).await?;
    assert_eq!(store.commit(&puts(vec![put("lane/a", 0, "second")])).await, conflict("lane/a"));
    assert_eq!(store.commit(&puts(vec![put("lane/b", 1, "was never there")])).await, conflict("lane/b"));
    assert_eq!(body(store, "lane/a").await?, some(1, "first"));
    assert_eq!(body(store, "lane/b").await?, None);
    Ok(())
}

/// Versions count the writes from 1; whoever read an older one must read again.
pub async fn an_item_is_written_on_the_version_that_was_read<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    store.commit(&puts(vec![put("lane/a", 0, "1")])).await?;
    store.commit(&puts(vec![put("lane/a", 1, "2")])).await?;
    assert_eq!(store.commit(&puts(vec![put("lane/a", 1, "too late")])).await, conflict("lane/a"));
    assert_eq!(store.commit(&puts(vec![put("lane/a", 3, "too early")])).await, conflict("lane/a"));
    store.commit(&puts(vec![put("lane/a", 2, "3")])).await?;
    assert_eq!(body(store, "lane/a").await?, some(3, "3"));
    Ok(())
}

/// Body, sequence and head are what was written last; look-ups answer in the order in which they were asked.
pub async fn every_write_replaces_all_of_an_item<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    let bytes: Vec<u8> = (0..=255).collect();
    let first = Put { body: bytes.clone(), seq: 7, head: Digest::of(b"seven"), due_at: Some(at(1)), ..put("batch/a", 0, "") };
    store.commit(&puts(vec![first, put("batch/b", 0, "")])).await?;
    let kept = Stored { version: 1, body: bytes, seq: 7, head: Digest::of(b"seven") };
    let blank = Stored { version: 1, body: Vec::new(), seq: 0, head: Digest::default() };
    let found = store.get(&[key("batch/b"), key("batch/none"), key("batch/a"), key("batch/b")]).await?;
    assert_eq!(found, [Some(blank.clone()), None, Some(kept.clone()), Some(blank)]);
    assert_eq!(store.list("batch/a", None, 9).await?, [(key("batch/a"), kept)], "a listing gives the whole item");
    store.commit(&puts(vec![put("batch/a", 1, "new")])).await?;
    let replaced = Stored { version: 2, body: b"new".to_vec(), seq: 0, head: Digest::default() };
    assert_eq!(store.get(&[key("batch/a")]).await?, [Some(replaced)]);
    assert_eq!(store.get(&[]).await?, []);
    Ok(())
}

/// Items that are only looked at take part in the condition, the absent ones too.
pub async fn a_commit_may_insist_on_what_it_does_not_write<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    store.commit(&puts(vec![put("lane/a", 0, "1")])).await?;
    store.commit(&puts(vec![put("lane/a", 1, "2")])).await?;
    let insisting = |on: &str, version| Commit { unchanged: vec![(key(on), version)], ..puts(vec![put("target/t", 0, "in")]) };
    assert_eq!(store.commit(&insisting("lane/a", 1)).await, conflict("lane/a"));
    assert_eq!(store.commit(&insisting("lane/a", 0)).await, conflict("lane/a"), "it is there");
    assert_eq!(store.commit(&insisting("door/d", 1)).await, conflict("door/d"), "it is not there");
    assert_eq!(body(store, "target/t").await?, None);
    let both = Commit { unchanged: vec![(key("lane/a"), 2), (key("door/d"), 0)], ..puts(vec![put("target/t", 0, "in")]) };
    store.commit(&both).await?;
    assert_eq!(body(store, "target/t").await?, some(1, "in"));
    assert_eq!(body(store, "lane/a").await?, some(2, "2"), "looking is no write");
    Ok(())
}

/// They begin at 0, take negative numbers, and answer in the order in which they were asked.
pub async fn counters_are_added_up<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    assert_eq!(store.counts(&[key("tally/x/ok")]).await?, [0]);
    store.commit(&adds(vec![add("tally/x/ok", 5, None), add("tally/x/bad", 1, None)])).await?;
    store.commit(&adds(vec![add("tally/x/ok", -2, None)])).await?;
    assert_eq!(store.counts(&[key("tally/x/bad"), key("tally/x/none"), key("tally/x/ok")]).await?, [1, 0, 3]);
    store.commit(&adds(vec![add("tally/x/ok", -4, None)])).await?;
    assert_eq!(store.counts(&[key("tally/x/ok")]).await?, [-1]);
    assert_eq!(store.get(&[key("tally/x/ok")]).await?, [None], "a counter is no item");
    Ok(())
}

/// A limit may be reached, not exceeded, by the first add as by any other.
pub async fn a_counter_never_exceeds_the_limit_of_an_add<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    let over = || Err(StoreError::OverLimit(key("grant/organization")));
    let granting = |count, limit| adds(vec![add("grant/organization", count, Some(limit))]);
    assert_eq!(store.commit(&granting(4, 3)).await, over(), "on a counter that is not there yet");
    store.commit(&granting(3, 3)).await?;
    assert_eq!(store.commit(&granting(1, 3)).await, over());
    store.commit(&granting(1, 4)).await?;
    assert_eq!(store.commit(&granting(-1, 2)).await, over(), "what is left is still above this limit");
    store.commit(&adds(vec![add("grant/organization", -1, None)])).await?;
    assert_eq!(store.counts(&[key("grant/organization")]).await?, [3]);
    Ok(())
}

/// In key order; items under the same prefix are not counters.
pub async fn counters_are_listed_by_prefix<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    store.commit(&adds(vec![add("grant/wave/b", 2, None), add("grant/account/a", 1, None), add("tally/w/ok", 9, None)])).await?;
    store.commit(&puts(vec![put("grant/item", 0, "{}")])).await?;
    assert_eq!(store.list_counts("grant/").await?, [(key("grant/account/a"), 1), (key("grant/wave/b"), 2)]);
    assert_eq!(store.list_counts("grant/wave/b").await?, [(key("grant/wave/b"), 2)]);
    assert_eq!(store.list_counts("none/").await?, []);
    store.commit(&adds(vec![add("grant/wave/b", -2, None)])).await?;
    let left: Vec<_> = store.list_counts("grant/").await?.into_iter().filter(|(_, count)| *count != 0).collect();
    assert_eq!(left, [(key("grant/account/a"), 1)], "a counter at 0 may be listed as 0 or not at all");
    Ok(())
}

/// Byte order, page after page, everything once.
pub async fn items_are_listed_by_prefix_in_key_order<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    let mut names: Vec<String> = (0..95).map(|n| format!("target/{}/i-{n:03}", n % 7)).collect();
    store.commit(&puts(names.iter().rev().map(|name| put(name, 0, "{}")).collect())).await?;
    store.commit(&puts(vec![put("targets", 0, "{}"), put("target", 0, "{}"), put("lane/a", 0, "{}")])).await?;
    names.sort();
    assert_eq!(keys(store, "target/", None, 1000).await?, names);
    let mut read: Vec<String> = Vec::new();
    loop {
        let page = keys(store, "target/", read.last().map(String::as_str), 10).await?;
        assert!(page.len() <= 10, "a page has at most as many as were asked for");
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read, names);
    assert_eq!(keys(store, "", None, 1000).await?.len(), 98, "no prefix is everything");
    assert_eq!(keys(store, "target/9", None, 1000).await?, Vec::<String>::new());
    assert_eq!(keys(store, "target/", None, 0).await?, Vec::<String>::new());
    Ok(())
}

/// The key to go on after needs to be neither there nor below the prefix.
pub async fn a_listing_goes_on_after_any_key<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    store.commit(&puts(["batch/x", "batch/y", "cell/a", "cell/c", "lane/x"].map(|name| put(name, 0, "{}")).to_vec())).await?;
    assert_eq!(keys(store, "cell/", Some("cell/b"), 9).await?, ["cell/c"], "after a key that is not there");
    assert_eq!(keys(store, "cell/", Some("cell/c"), 9).await?, Vec::<String>::new());
    assert_eq!(keys(store, "cell/", Some("lane/x"), 9).await?, Vec::<String>::new(), "after everything below the prefix");
    assert_eq!(keys(store, "cell/", Some("batch/x"), 9).await?, ["cell/a", "cell/c"], "before everything below the prefix");
    Ok(())
}

/// `cell/a.1.w1/` is not `cell/a.1.w10/`, and what sorts close to a prefix does not fall under it.
pub async fn prefixes_of_each_other_stay_apart<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    let all = ["cell/a.1.w1", "cell/a.1.w1-x", "cell/a.1.w1.x", "cell/a.1.w1/1", "cell/a.1.w1/~", "cell/a.1.w10/1", "cell/a.1.w1:", "cell/a.1.w2/1"];
    store.commit(&puts(all.map(|name| put(name, 0, "{}")).to_vec())).await?;
    assert_eq!(keys(store, "cell/a.1.w1/", None, 9).await?, ["cell/a.1.w1/1", "cell/a.1.w1/~"]);
    assert_eq!(keys(store, "cell/a.1.w10/", None, 9).await?, ["cell/a.1.w10/1"]);
    assert_eq!(keys(store, "cell/a.1.w1", None, 9).await?.len(), 7, "a prefix needs no slash at its end");
    assert_eq!(keys(store, "cell/A", None, 9).await?, Vec::<String>::new(), "letters keep their case");
    assert_eq!(keys(store, "cell/%", None, 9).await?, Vec::<String>::new(), "nothing is a wildcard");
    store.commit(&adds(vec![add("tally/a.1.w1/ok", 1, None), add("tally/a.1.w10/ok", 2, None)])).await?;
    assert_eq!(store.list_counts("tally/a.1.w1/").await?, [(key("tally/a.1.w1/ok"), 1)]);
    Ok(())
}

//! DynamoDB's limits, on every store: what passes here passes there.

use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ACTIONS_MAX, COMMIT_BYTES_MAX, Commit, ITEM_BYTES_MAX, NewLine, Put, Store};

use super::{Checked, action, add, at, body, counting, journal, key, keys, line, one, put, puts};

fn large(name: &str, size: usize) -> Put {
    Put { body: vec![b'x'; size], ..put(name, 0, "") }
}

async fn refused<S: Store>(store: &S, commit: &Commit) -> Checked {
    let answer = store.commit(commit).await;
    assert!(matches!(answer, Err(StoreError::TooLarge(_))), "{answer:?}");
    assert_eq!(keys(store, "", None, 9).await?, Vec::<String>::new(), "nothing is written");
    assert_eq!(journal(store).await?, Vec::<String>::new());
    assert_eq!((store.outbox(None, 9).await?, store.list_counts("").await?, store.newest().await?), (vec![], vec![], None));
    Ok(())
}

/// Items, conditions, counters, lines and asks all count.
pub async fn a_hundred_actions_are_taken_and_one_more_is_refused<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    let twenty = |kind: &str| (0..20).map(|n| format!("{kind}/{n:02}")).collect::<Vec<_>>();
    let full = Commit {
        at: at(0),
        puts: twenty("cell").iter().map(|name| counting(name, 0, 1)).collect(),
        unchanged: twenty("door").iter().map(|name| (key(name), 0)).collect(),
        adds: twenty("tally").iter().map(|name| add(name, 1, None)).collect(),
        lines: twenty("cell").iter().map(|name| line(name, 1, "{}")).collect(),
        actions: (1..=20).map(action).collect::<Result<_, _>>()?,
        durable: true,
    };
    let mut over = full.clone();
    over.puts.push(put("cell/more", 0, "{}"));
    refused(store, &over).await?;
    let mut over = full.clone();
    over.actions.push(action(21)?);
    refused(store, &over).await?;
    let all_puts = puts((0..=ACTIONS_MAX).map(|n| put(&format!("lane/{n:03}"), 0, "{}")).collect());
    refused(store, &all_puts).await?;
    store.commit(&full).await?;
    assert_eq!((keys(store, "cell/", None, 99).await?.len(), journal(store).await?.len(), store.outbox(None, 99).await?.len()), (20, 20, 20));
    Ok(())
}

/// Of a line as of an item.
pub async fn an_item_of_full_size_is_kept_and_a_larger_one_is_refused<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    refused(store, &puts(vec![put("cell/small", 0, "{}"), large("cell/large", ITEM_BYTES_MAX + 1)])).await?;
    let bytes = vec![b'x'; ITEM_BYTES_MAX + 1];
    refused(store, &Commit { lines: vec![NewLine { stream: key("cell/small"), seq: 1, bytes }], ..puts(vec![counting("cell/small", 0, 1)]) }).await?;
    store.commit(&puts(vec![large("cell/full", ITEM_BYTES_MAX)])).await?;
    let kept = body(store, "cell/full").await?.map(|(version, body)| (version, body.len(), body.bytes().all(|byte| byte == b'x')));
    assert_eq!(kept, Some((1, ITEM_BYTES_MAX, true)));
    Ok(())
}

/// In all, over items and lines.
pub async fn four_megabytes_are_refused<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    let many = COMMIT_BYTES_MAX / ITEM_BYTES_MAX;
    let mut commit = puts((0..many).map(|n| large(&format!("cell/{n:02}"), ITEM_BYTES_MAX)).collect());
    let rest = COMMIT_BYTES_MAX - many * ITEM_BYTES_MAX;
    if let Some(first) = commit.puts.first_mut() {
        first.seq = 1;
    }
    commit.lines.push(NewLine { stream: key("cell/00"), seq: 1, bytes: vec![b'x'; rest + 1] });
    refused(store, &commit).await?;
    if let Some(line) = commit.lines.first_mut() {
        line.bytes.truncate(rest);
    }
    store.commit(&commit).await?;
    assert_eq!(keys(store, "cell/", None, 99).await?.len(), many, "all of it fits");
    Ok(())
}

/// Whatever is done with it.
pub async fn a_key_stands_once_in_a_commit<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    refused(store, &puts(vec![put("cell/a", 0, "1"), put("cell/b", 0, "1"), put("cell/a", 0, "2")])).await?;
    refused(store, &Commit { unchanged: vec![(key("cell/a"), 0)], ..puts(vec![put("cell/a", 0, "1")]) }).await?;
    refused(store, &Commit { unchanged: vec![(key("cell/a"), 0), (key("cell/a"), 0)], ..puts(vec![put("cell/b", 0, "1")]) }).await?;
    refused(store, &Commit { adds: vec![add("tally/a", 1, None), add("tally/a", 1, None)], ..puts(vec![put("cell/b", 0, "1")]) }).await?;
    refused(store, &Commit { adds: vec![add("tally/a", 1, None)], ..puts(vec![put("tally/a", 0, "1")]) }).await?;
    store.commit(&Commit { lines: vec![line("cell/a", 1, "{}")], ..puts(vec![Put { seq: 1, ..put("cell/a", 0, "1") }]) }).await?;
    assert_eq!(body(store, "cell/a").await?, Some((1, "1".to_owned())), "a line and the item of its stream are two");
    Ok(())
}

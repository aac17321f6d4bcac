//! Many writers at once, each on a thread of its own, spread over all handles.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tidegate_engine::error::StoreError;
use tidegate_engine::store::{Commit, Put, Store};

use super::{Checked, action, add, adds, at, body, due, key, line, lines, one, put, puts, some};

const WRITERS: u64 = 8;
const WRITES: u64 = 50;
/// A writer that loses this often in a row is starved.
const TRIES_MAX: u32 = 100_000;

/// Runs `work` on one thread for each writer, and gives the first failure.
fn on_threads<S: Store>(stores: &[&S], writers: u64, work: impl AsyncFn(&S, u64) -> Checked + Sync) -> Checked {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .zip(stores.iter().cycle())
            .map(|(writer, store)| {
                scope.spawn(move || -> Checked { tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work(store, writer)) })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a writer panicked")?)
    })
}

/// Each adds one to an item that all of them write, and tries again when it was too late.
pub async fn no_write_is_lost_between_writers<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    store.commit(&puts(vec![put("lane/sum", 0, "0")])).await?;
    on_threads(stores, WRITERS, async |store, _| {
        for _ in 0..WRITES {
            let mut tries = 0;
            loop {
                let (version, sum) = body(store, "lane/sum").await?.ok_or("it is there")?;
                let next = put("lane/sum", version, &(sum.parse::<u64>()? + 1).to_string());
                match store.commit(&Commit { adds: vec![add("tally/sum", 1, None)], ..puts(vec![next]) }).await {
                    Ok(()) => break,
                    Err(StoreError::Conflict(_)) if tries < TRIES_MAX => tries += 1,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    })?;
    let sum = WRITERS * WRITES;
    assert_eq!(body(store, "lane/sum").await?, some(sum + 1, &sum.to_string()));
    assert_eq!(store.counts(&[key("tally/sum")]).await?, [i64::try_from(sum)?], "what was refused counted nowhere");
    Ok(())
}

/// Each takes and gives back; whoever looks never sees more than the limit.
pub async fn no_limit_is_exceeded_between_writers<S: Store>(stores: &[&S]) -> Checked {
    const LIMIT: i64 = 5;
    let held = AtomicI64::new(0);
    on_threads(stores, WRITERS, async |store, _| {
        for turn in 0..WRITES {
            match store.commit(&adds(vec![add("grant/organization", 2, Some(LIMIT))])).await {
                Ok(()) => held.fetch_add(2, Ordering::SeqCst),
                Err(StoreError::OverLimit(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let seen = store.counts(&[key("grant/organization")]).await?;
            assert!(seen.iter().all(|count| (2..=LIMIT).contains(count)), "{seen:?} while something is held, at most {LIMIT}");
            // The last one of each writer is kept.
            if turn + 1 < WRITES {
                held.fetch_sub(2, Ordering::SeqCst);
                store.commit(&adds(vec![add("grant/organization", -2, None)])).await?;
            }
        }
        Ok(())
    })?;
    assert_eq!(one(stores)?.counts(&[key("grant/organization")]).await?, [held.into_inner()]);
    Ok(())
}

/// Each appends to one stream at the place that it thinks is next.
pub async fn a_stream_is_written_by_one_at_a_time<S: Store>(stores: &[&S]) -> Checked {
    let each = 20;
    on_threads(stores, WRITERS, async |store, writer| {
        for turn in 0..each {
            let text = format!("{writer}:{turn}");
            let mut tries = 0;
            loop {
                let next = u64::try_from(store.stream(&key("lane/a")).await?.len())? + 1;
                match store.commit(&lines(vec![line("lane/a", next, &text)])).await {
                    Ok(()) => break,
                    Err(StoreError::Conflict(_)) if tries < TRIES_MAX => tries += 1,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    })?;
    let mut written: Vec<String> =
        one(stores)?.stream(&key("lane/a")).await?.into_iter().map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).collect();
    written.sort();
    written.dedup();
    assert_eq!(u64::try_from(written.len())?, WRITERS * each, "every line once");
    Ok(())
}

/// A commit that has returned is seen by every read that begins afterwards, through whatever handle.
pub async fn what_was_committed_is_seen_at_once<S: Store>(stores: &[&S]) -> Checked {
    const TURNS: u64 = 200;
    let committed = AtomicU64::new(1);
    one(stores)?.commit(&Commit { actions: vec![action(1)?], ..puts(vec![due("lane/a", 0, Some(at(1)))]) }).await?;
    on_threads(stores, 4, async |store, writer| {
        for turn in 1..=TURNS {
            if writer == 0 {
                let commit = Commit {
                    at: at(i64::try_from(turn)?),
                    lines: vec![line("lane/a", turn, "{}")],
                    ..puts(vec![Put { seq: turn, ..due("lane/a", turn, Some(at(1))) }])
                };
                store.commit(&commit).await?;
                committed.store(turn + 1, Ordering::SeqCst);
                continue;
            }
            let least = committed.load(Ordering::SeqCst);
            let (got, _) = body(store, "lane/a").await?.ok_or("it is there")?;
            let listed = store.list("lane/", None, 9).await?.into_iter().map(|(_, stored)| stored.version).max().ok_or("it is listed")?;
            let lines = u64::try_from(store.stream(&key("lane/a")).await?.len())? + 1;
            assert!(least <= got && got <= listed && listed <= lines, "committed {least}, then read {got}, {listed}, {lines}");
        }
        Ok(())
    })
}

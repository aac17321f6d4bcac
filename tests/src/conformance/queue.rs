//! What is due, and when.

use jiff::{SignedDuration, Timestamp};
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{Commit, Store};

use super::{Checked, at, due, one, put, puts};

async fn due_at<S: Store>(store: &S, now: Timestamp, limit: usize) -> Result<Vec<String>, StoreError> {
    Ok(store.due(now, limit).await?.into_iter().map(|key| key.as_str().to_owned()).collect())
}

fn nanos(secs: i64, nanos: i64) -> Timestamp {
    at(secs).saturating_add(SignedDuration::from_nanos(nanos)).unwrap_or(Timestamp::MAX)
}

/// In the order of their times, those of the same time in key order, no more than asked for.
pub async fn what_is_due_comes_earliest_first<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    assert_eq!(store.next_due().await?, None);
    assert_eq!(due_at(store, at(1000), 9).await?, Vec::<String>::new());
    let times = [("cell/c", 30), ("cell/b", 10), ("batch/z", 20), ("batch/a", 20), ("cell/a", 40)];
    store.commit(&puts(times.map(|(name, secs)| due(name, 0, Some(at(secs)))).to_vec())).await?;
    store.commit(&puts(vec![put("lane/never", 0, "{}")])).await?;
    assert_eq!(store.next_due().await?, Some(at(10)));
    assert_eq!(due_at(store, at(30), 9).await?, ["cell/b", "batch/a", "batch/z", "cell/c"]);
    assert_eq!(due_at(store, at(30), 2).await?, ["cell/b", "batch/a"]);
    assert_eq!(due_at(store, at(30), 0).await?, Vec::<String>::new());
    assert_eq!(due_at(store, at(1000), 9).await?.len(), 5);
    assert_eq!(due_at(store, Timestamp::MAX, 9).await?.len(), 5);
    Ok(())
}

/// To the nanosecond; by less than a microsecond it may come late, and at the time that `next_due` names it does come.
pub async fn nothing_is_due_before_its_time<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    for (n, sub) in [0, 1, 499, 500, 999, 1000, 1001, 999_999_999].into_iter().enumerate() {
        let time = nanos(60, sub);
        let version = u64::try_from(n)?;
        store.commit(&puts(vec![due("batch/a", version, Some(time))])).await?;
        assert_eq!(due_at(store, nanos(60, sub - 1), 9).await?, Vec::<String>::new(), "{sub} ns: not a nanosecond before");
        let next = store.next_due().await?.ok_or("something is due")?;
        assert!(time <= next && next < nanos(60, sub + 1000), "{sub} ns: {next} is the time or close behind it");
        assert_eq!(due_at(store, next, 9).await?, ["batch/a"], "{sub} ns: due when it was said to be");
    }
    Ok(())
}

/// A later, an earlier and no time at all, also where nothing else of the item changes.
pub async fn a_new_time_replaces_the_old_one<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    store.commit(&puts(vec![due("batch/a", 0, Some(at(10))), due("batch/b", 0, Some(at(20)))])).await?;
    store.commit(&puts(vec![due("batch/a", 1, Some(at(30)))])).await?;
    assert_eq!((due_at(store, at(25), 9).await?, store.next_due().await?), (vec!["batch/b".to_owned()], Some(at(20))));
    store.commit(&puts(vec![due("batch/b", 1, Some(at(5)))])).await?;
    assert_eq!((due_at(store, at(5), 9).await?, store.next_due().await?), (vec!["batch/b".to_owned()], Some(at(5))));
    store.commit(&puts(vec![due("batch/b", 2, None)])).await?;
    assert_eq!((due_at(store, at(100), 9).await?, store.next_due().await?), (vec!["batch/a".to_owned()], Some(at(30))));
    store.commit(&puts(vec![due("batch/a", 2, None)])).await?;
    assert_eq!((due_at(store, Timestamp::MAX, 9).await?, store.next_due().await?), (vec![], None));
    store.commit(&puts(vec![due("batch/a", 3, Some(at(7)))])).await?;
    assert_eq!((due_at(store, at(7), 9).await?, store.next_due().await?), (vec!["batch/a".to_owned()], Some(at(7))));
    Ok(())
}

/// It may be written, and is no time that comes before any other.
pub async fn the_end_of_time_never_comes<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    store.commit(&puts(vec![due("target/exempt", 0, Some(Timestamp::MAX))])).await?;
    assert_eq!(store.next_due().await?, Some(Timestamp::MAX));
    assert_eq!(due_at(store, at(1_000_000_000), 9).await?, Vec::<String>::new());
    store.commit(&puts(vec![due("target/soon", 0, Some(at(1)))])).await?;
    assert_eq!(store.next_due().await?, Some(at(1)));
    assert_eq!(due_at(store, at(1), 9).await?, ["target/soon"]);
    let commit = Commit { at: Timestamp::MAX, ..puts(vec![put("lane/a", 0, "{}")]) };
    store.commit(&commit).await?;
    assert_eq!(store.newest().await?, Some(Timestamp::MAX));
    Ok(())
}

/// The latest time of any commit, not the time of the last one.
pub async fn the_newest_commit_is_remembered<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    assert_eq!(store.newest().await?, None);
    for (version, (secs, newest)) in (0..).zip([(50, 50), (20, 50), (70, 70), (70, 70)]) {
        store.commit(&Commit { at: at(secs), ..puts(vec![put("lane/a", version, "{}")]) }).await?;
        assert_eq!(store.newest().await?, Some(at(newest)));
    }
    Ok(())
}

/// A clock that starts there must not start before a line that was written.
pub async fn the_newest_commit_is_never_rounded_down<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    let time = nanos(0, 1_234);
    store.commit(&Commit { at: time, ..puts(vec![put("lane/a", 0, "{}")]) }).await?;
    let newest = store.newest().await?.ok_or("there is a commit")?;
    assert!(time <= newest && newest < nanos(0, 2_234), "{newest} is {time} or close behind it");
    Ok(())
}

//! The journal: lines in commit order, and lines of one stream.

use tidegate_engine::error::StoreError;
use tidegate_engine::store::{Commit, NewLine, Store};

use super::{Checked, at, body, conflict, counting, journal, key, line, lines, one, puts};

/// Lines of all streams come in the order of their commits, and within one in the order in which they were given.
pub async fn a_journal_keeps_the_order_of_commits<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    store.commit(&lines(vec![line("lane/b", 1, "b1"), line("lane/a", 1, "a1")])).await?;
    store.commit(&lines(vec![line("lane/a", 2, "a2")])).await?;
    store.commit(&lines(vec![line("lane/c", 1, "c1"), line("lane/a", 3, "a3")])).await?;
    assert_eq!(journal(store).await?, ["b1", "a1", "a2", "c1", "a3"]);
    let all = store.journal(0, 100).await?;
    assert!(all.is_sorted_by(|(one, _), (next, _)| one < next), "positions grow");
    let of_a: Vec<_> = all.into_iter().filter(|(_, bytes)| bytes.starts_with(b"a")).collect();
    assert_eq!(store.stream(&key("lane/a")).await?, of_a, "a stream has the positions of the journal");
    assert_eq!(store.stream(&key("lane/none")).await?, []);
    assert_eq!(store.stream(&key("lane/")).await?, [], "a stream is a key, not a prefix");
    Ok(())
}

/// Each page begins after the last position of the one before; what is written meanwhile comes at the end.
pub async fn a_journal_is_read_in_pages<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    assert_eq!(store.journal(0, 10).await?, []);
    let mut written = Vec::new();
    let (mut read, mut after): (Vec<Vec<u8>>, u64) = (Vec::new(), 0);
    for round in 0..20_u64 {
        for stream in ["lane/a", "lane/b"] {
            let text = format!("{stream} {round}");
            store.commit(&lines(vec![line(stream, round + 1, &text)])).await?;
            written.push(text.into_bytes());
        }
        let page = store.journal(after, 1 + usize::try_from(round % 3)?).await?;
        after = page.last().map_or(after, |(position, _)| *position);
        read.extend(page.into_iter().map(|(_, bytes)| bytes));
    }
    read.extend(store.journal(after, 1000).await?.into_iter().map(|(_, bytes)| bytes));
    assert_eq!(read, written);
    assert_eq!(store.journal(i64::MAX.unsigned_abs(), 10).await?, []);
    assert_eq!(store.journal(0, 0).await?, []);
    Ok(())
}

/// Each line's place is the next of its stream; no other is taken.
pub async fn a_stream_has_no_gap_and_no_second_line_in_one_place<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    // The item's version is right each time: what is wrong is the place alone.
    let writing =
        |expect, seq, text| Commit { at: at(0), puts: vec![counting("lane/a", expect, seq)], lines: vec![line("lane/a", seq, text)], ..Commit::default() };
    assert_eq!(store.commit(&writing(0, 2, "no first")).await, conflict("lane/a"));
    assert_eq!(store.commit(&writing(0, 0, "none")).await, conflict("lane/a"));
    store.commit(&writing(0, 1, "1")).await?;
    assert_eq!(store.commit(&writing(1, 1, "again")).await, conflict("lane/a"));
    assert_eq!(store.commit(&writing(1, 3, "a gap")).await, conflict("lane/a"));
    assert_eq!(store.commit(&writing(1, 0, "none")).await, conflict("lane/a"));
    assert_eq!(store.commit(&writing(0, 2, "too late")).await, conflict("lane/a"));
    store.commit(&lines(vec![line("lane/b", 1, "another stream")])).await?;
    store.commit(&writing(1, 2, "2")).await?;
    // A write without a line leaves the stream where it is.
    store.commit(&puts(vec![counting("lane/a", 2, 2)])).await?;
    store.commit(&writing(3, 3, "3")).await?;
    assert_eq!(journal(store).await?, ["1", "another stream", "2", "3"]);
    Ok(())
}

/// One line per stream and commit, and its item beside it with the same count: nothing else could keep a stream whole.
pub async fn a_line_comes_with_the_item_that_counts_it<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    let refused = |answer: &Result<(), StoreError>| matches!(answer, Err(StoreError::TooLarge(_)));
    let alone = Commit { at: at(0), lines: vec![line("lane/a", 1, "alone")], ..Commit::default() };
    assert!(refused(&store.commit(&alone).await), "without its item");
    let elsewhere = Commit { puts: vec![counting("lane/b", 0, 1)], ..alone.clone() };
    assert!(refused(&store.commit(&elsewhere).await), "with another one");
    let miscounted = Commit { puts: vec![counting("lane/a", 0, 2)], ..alone.clone() };
    assert!(refused(&store.commit(&miscounted).await), "with another count");
    let twice = Commit { puts: vec![counting("lane/a", 0, 1)], lines: vec![line("lane/a", 1, "once"), line("lane/a", 1, "twice")], ..Commit::default() };
    assert!(refused(&store.commit(&twice).await), "with another line");
    assert_eq!((journal(store).await?, body(store, "lane/a").await?), (vec![], None));
    store.commit(&Commit { puts: vec![counting("lane/a", 0, 1)], ..alone }).await?;
    assert_eq!(journal(store).await?, ["alone"]);
    Ok(())
}

/// The chain hashes the bytes: they come back as they were.
pub async fn lines_are_kept_byte_for_byte<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    let odd: Vec<u8> = (0..=255).chain([0, 0, b'\n', b'"', 0xFF]).collect();
    let long: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect();
    let both = vec![NewLine { stream: key("lane/a"), seq: 1, bytes: odd.clone() }, NewLine { stream: key("lane/b"), seq: 1, bytes: long.clone() }];
    store.commit(&lines(both)).await?;
    let read: Vec<Vec<u8>> = store.journal(0, 10).await?.into_iter().map(|(_, bytes)| bytes).collect();
    assert!(read == [odd.clone(), long], "both lines are what was written");
    assert!(store.stream(&key("lane/a")).await?.into_iter().map(|(_, bytes)| bytes).eq([odd]));
    Ok(())
}

//! The outbox: actions that were asked for and not performed yet.

use tidegate_engine::store::{ActionId, Commit, Store};
use tidegate_events::Action;

use super::{Checked, action, at, one};

fn asking(actions: Vec<Action>) -> Commit {
    Commit { at: at(0), actions, ..Commit::default() }
}

/// Oldest first, page after page.
pub async fn actions_come_out_in_the_order_they_were_asked_in<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    assert_eq!(store.outbox(None, 10).await?, []);
    let asked: Vec<Action> = (1..=7).map(action).collect::<Result<_, _>>()?;
    for some in asked.chunks(3) {
        store.commit(&asking(some.to_vec())).await?;
    }
    let all = store.outbox(None, 10).await?;
    assert!(all.iter().map(|(_, action)| action).eq(&asked));
    assert!(all.is_sorted_by(|(one, _), (next, _)| one < next), "ids grow");
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = store.outbox(after, 2).await?;
        assert!(page.len() <= 2);
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        read.extend(page);
    }
    assert_eq!(read, all);
    let twice = action(1)?;
    store.commit(&asking(vec![twice.clone(), twice])).await?;
    assert_eq!(store.outbox(after, 10).await?.len(), 2, "the same ask twice is two entries");
    Ok(())
}

/// It does not come back, neither by itself nor as the id of another one.
pub async fn a_performed_action_is_gone_for_good<S: Store>(stores: &[&S]) -> Checked {
    let store = one(stores)?;
    store.commit(&asking((1..=5).map(action).collect::<Result<_, _>>()?)).await?;
    let ids: Vec<ActionId> = store.outbox(None, 10).await?.into_iter().map(|(id, _)| id).collect();
    let done: Vec<ActionId> = ids.iter().copied().skip(1).step_by(2).collect();
    store.performed(&done).await?;
    let left: Vec<Action> = store.outbox(None, 10).await?.into_iter().map(|(_, action)| action).collect();
    assert_eq!(left, [action(1)?, action(3)?, action(5)?]);
    store.performed(&done).await?;
    store.performed(&[]).await?;
    store.performed(&ids).await?;
    assert_eq!(store.outbox(None, 10).await?, []);
    store.commit(&asking(vec![action(6)?])).await?;
    let new = store.outbox(ids.last().copied(), 10).await?;
    assert!(new.iter().map(|(_, action)| action.clone()).eq([action(6)?]), "who reads on after an old id sees what is new: {new:?}");
    Ok(())
}

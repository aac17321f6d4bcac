//! What is particular to a table: listings over many partitions, what things cost, and other people's tables.

use std::collections::BTreeMap;

use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ActionId, Store};
use tidegate_rules::desk::Add;

use super::*;

async fn listed(store: &DynamoStore, prefix: &str, page: usize) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let after = found.last().map(|last| key(last));
        let next = store.list(prefix, after.as_ref(), page).await.expect("a listing");
        if next.is_empty() {
            return found;
        }
        assert!(next.len() <= page);
        found.extend(next.into_iter().map(|(key, _)| key.as_str().to_owned()));
    }
}

#[test]
fn listings_over_many_partitions_are_whole_and_in_order() {
    let store = store();
    let mut all = Vec::new();
    for n in 0..120_u32 {
        all.push(format!("target/{}/eu-central-1/i-{n:05}", 111_122_223_330_u64 + u64::from(n % 3)));
        all.push(format!("roster/patch-default.1/{:02}/{:016x}/t{n}", n % 16, u64::from(n) * 7919));
        all.push(format!("roster/patch-default.10/{:02}/{:016x}/t{n}", n % 16, n));
        all.push(format!("cell/patch-default.1.w{}/{n:012}/eu-central-1", n % 2));
        all.push(format!("chunk/patch-default.1/{n:012}/eu-central-1/000000"));
    }
    all.extend(["lane/a", "campaign/a.1", "org", "door/a.1/00", "batch/a.1.w0/1/r/1", "policy/x", "command/1/r/c"].map(str::to_owned));
    run(async {
        for some in all.chunks(100) {
            store.commit(&puts(some.iter().map(|name| put(name, 0, "{}")).collect())).await.expect("a commit");
        }
        all.sort();
        let before = store.units().requests.get("Scan").copied();
        for prefix in [
            "target/",
            "target/111122223331/",
            "roster/patch-default.1/",
            "roster/patch-default.1/07/",
            "cell/patch-default.1.w1/",
            "chunk/patch-default.1/",
            "lane/",
            "campaign/",
        ] {
            let expected: Vec<String> = all.iter().filter(|name| name.starts_with(prefix)).cloned().collect();
            for page in [1000, 37] {
                assert_eq!(listed(&store, prefix, page).await, expected, "`{prefix}` by {page}");
            }
        }
        assert_eq!(store.units().requests.get("Scan").copied(), before, "nothing that the engine lists is scanned for");
        for prefix in ["", "door/", "batch/", "cell/patch-default.1.w"] {
            let expected: Vec<String> = all.iter().filter(|name| name.starts_with(prefix)).cloned().collect();
            assert_eq!(listed(&store, prefix, 500).await, expected, "`{prefix}`");
        }
    });
}

#[test]
fn the_earliest_of_many_is_due_first() {
    let store = store();
    run(async {
        let times: BTreeMap<i64, String> = (0..300_i64).map(|n| ((n * 7919) % 1009, format!("batch/a.1.w0/1/r/{n}"))).collect();
        let all: Vec<Put> = times.iter().map(|(secs, name)| Put { due_at: Some(at(*secs)), ..put(name, 0, "{}") }).collect();
        for some in all.chunks(100) {
            store.commit(&puts(some.to_vec())).await.expect("a commit");
        }
        let names = |limit| times.values().take(limit).map(|name| key(name)).collect::<Vec<_>>();
        assert_eq!(store.due(at(2000), 200).await.expect("what is due"), names(200));
        assert_eq!(store.due(at(2000), 1000).await.expect("what is due"), names(300));
    });
}

#[test]
fn actions_are_handed_on_once_and_stay_until_they_are_performed() {
    let (stores, ()) = stores(&ministack(), 2);
    run(async {
        let commit = Commit { actions: (1..=40).map(action).collect(), ..puts(vec![put("lane/a", 0, "{}")]) };
        stores[0].commit(&commit).await.expect("a commit");
        let refused = Commit { actions: vec![action(99)], ..puts(vec![put("lane/a", 0, "{}")]) };
        assert_eq!(stores[0].commit(&refused).await, Err(StoreError::Conflict(key("lane/a"))));
        assert_eq!(stores[1].take_fresh(), [], "another handle's");
        let fresh = stores[0].take_fresh();
        assert_eq!(fresh.iter().map(|(_, action)| action.clone()).collect::<Vec<_>>(), commit.actions, "in order, and nothing of the refused one");
        assert_eq!(stores[0].take_fresh(), []);
        assert_eq!(stores[1].outbox(None, 100).await, Ok(fresh.clone()));
        // More than one BatchWriteItem takes.
        let ids: Vec<ActionId> = fresh.iter().map(|(id, _)| *id).take(39).collect();
        stores[1].performed(&ids).await.expect("they are done");
        assert_eq!(stores[0].outbox(None, 100).await, Ok(fresh[39..].to_vec()));
        stores[0].commit(&Commit { actions: vec![action(41), action(42)], ..Commit::default() }).await.expect("a commit");
        let outbox = stores[0].outbox(None, 100).await.expect("the outbox");
        stores[0].performed(&[outbox[1].0]).await.expect("it is done");
        assert_eq!(stores[0].take_fresh(), outbox[2..], "what is performed need not be handed on");
    });
}

#[test]
fn counters_keep_to_the_numbers_they_can_hold() {
    let store = store();
    let adding = |name: &str, delta, max| Commit { at: at(0), adds: vec![(key(name), Add { delta, max })], ..Commit::default() };
    run(async {
        store.commit(&adding("tally/high", i64::MAX, None)).await.expect("the greatest");
        store.commit(&adding("tally/low", i64::MIN, None)).await.expect("the least");
        for (name, delta) in [("tally/high", 1), ("tally/high", i64::MAX), ("tally/low", -1), ("tally/low", i64::MIN)] {
            let refused = store.commit(&adding(name, delta, None)).await;
            assert!(matches!(refused, Err(StoreError::Failed(_))), "{name} {delta}: {refused:?}");
        }
        let over = Err(StoreError::OverLimit(key("tally/high")));
        assert_eq!(store.commit(&adding("tally/high", 1, Some(i64::MAX))).await, over);
        assert_eq!(store.commit(&adding("tally/high", i64::MIN, Some(i64::MIN))).await, over);
        assert_eq!(store.commit(&adding("tally/new", 0, Some(-1))).await, Err(StoreError::OverLimit(key("tally/new"))));
        store.commit(&adding("tally/high", i64::MIN, None)).await.expect("back to the middle");
        store.commit(&adding("tally/low", i64::MAX, Some(i64::MIN + i64::MAX))).await.expect("up to the limit");
        assert_eq!(store.counts(&[key("tally/high"), key("tally/low"), key("tally/new")]).await, Ok(vec![-1, -1, 0]));
    });
}

#[test]
fn a_lone_item_costs_half_of_what_it_costs_in_a_transaction() {
    let store = store();
    run(async {
        let body = "x".repeat(3000);
        store.commit(&puts(vec![put("batch/a", 0, &body)])).await.expect("a commit");
        let alone = store.units();
        assert_eq!((alone.requests.get("PutItem"), alone.requests.get("TransactWriteItems")), (Some(&1), None));
        store.commit(&puts(vec![put("batch/b", 0, &body), put("batch/c", 0, &body)])).await.expect("a commit");
        let both = store.units();
        assert_eq!(both.requests.get("TransactWriteItems"), Some(&1));
        assert!(alone.write >= 3.0, "{alone:?}");
        store.get(&[key("batch/a"), key("batch/b")]).await.expect("a read");
        assert!(store.units().read >= 2.0, "{:?}", store.units());
    });
}

#[test]
fn another_programs_table_is_left_alone() {
    use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
    let endpoint = ministack();
    let (client, name) = (client(&endpoint), format!("theirs-{}", &new_token().expect("random bytes")[..12]));
    run(async {
        let made = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
        let made = made.key_schema(KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().expect("a key"));
        let definition = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build().expect("an attribute");
        made.attribute_definitions(definition).send().await.expect("a table");
        let refused = create_table(&client, &name).await.expect_err("it is not ours");
        assert!(refused.to_string().contains("is not Tidegate's"), "{refused}");
        let ours = table_again(&client).await;
        let lost = DynamoStore::new(client.clone(), "tidegate-no-such-table");
        let words = lost.get(&[key("org")]).await.expect_err("there is none").to_string();
        assert!(words.contains("does not exist in this account and Region"), "{words}");
        drop(ours);
    });
}

/// Makes one twice: the second time it is taken as it is.
async fn table_again(client: &Client) -> String {
    let name = format!("tidegate-{}", &new_token().expect("random bytes")[..12]);
    create_table(client, &name).await.expect("a new table");
    let store = DynamoStore::new(client.clone(), &name);
    store.commit(&puts(vec![put("org", 0, "{}")])).await.expect("a commit");
    create_table(client, &name).await.expect("it is there and ours");
    assert!(store.get(&[key("org")]).await.expect("a read")[0].is_some());
    name
}

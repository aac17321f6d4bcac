//! Real processes on one table: nothing is lost between them, and the journal tells causes before effects.

use std::process::{Command, Stdio};

use tidegate_engine::error::StoreError;
use tidegate_engine::store::Store;
use tidegate_rules::desk::Add;

use super::*;

const TURNS: u64 = 25;
const TABLE: &str = "TIDEGATE_TEST_TABLE";

/// What each process does: it counts on, from whatever it reads, and writes a line that says how far.
async fn count_on(store: &DynamoStore) {
    for _ in 0..TURNS {
        loop {
            let found = store.get(&[key("lane/sum")]).await.expect("a read").into_iter().flatten().next();
            let (version, sum) = found.map_or((0, 0), |found| (found.version, String::from_utf8_lossy(&found.body).parse::<u64>().expect("a number")));
            assert_eq!(version, sum);
            let mut commit = line("lane/sum", version + 1, &(sum + 1).to_string());
            commit.adds = vec![(key("tally/sum"), Add { delta: 1, max: None })];
            commit.actions = vec![action(u32::try_from(sum).expect("small") + 1)];
            match store.commit(&commit).await {
                Ok(()) => break,
                Err(StoreError::Conflict(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
#[ignore = "run as a process of its own by the test below"]
fn a_process_counts_on() {
    let table = std::env::var(TABLE).expect("the table");
    run(count_on(&DynamoStore::new(client(&ministack()), table)));
}

#[test]
fn processes_lose_nothing_and_agree_on_an_order() {
    let endpoint = ministack();
    let table = table(&endpoint);
    let binary = std::env::current_exe().expect("this test's binary");
    let spawn = |_| {
        let mut command = Command::new(&binary);
        command.args(["--exact", "processes::a_process_counts_on", "--ignored"]).env(TABLE, &table).env("TIDEGATE_TEST_DYNAMODB", &endpoint);
        command.stdout(Stdio::null()).spawn().expect("a process")
    };
    let processes: Vec<_> = (0..3).map(spawn).collect();
    for mut process in processes {
        assert!(process.wait().expect("it ends").success());
    }
    let store = DynamoStore::new(client(&endpoint), &table);
    run(async {
        let sum = 3 * TURNS;
        assert_eq!(store.counts(&[key("tally/sum")]).await, Ok(vec![i64::try_from(sum).expect("small")]));
        let journal = store.journal(0, 1000).await.expect("the journal");
        let told: Vec<String> = journal.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
        assert_eq!(told, (1..=sum).map(|n| n.to_string()).collect::<Vec<_>>(), "each line was decided on the one before it");
        assert!(journal.is_sorted_by(|(one, _), (next, _)| one < next));
        let asked: Vec<Action> = store.outbox(None, 1000).await.expect("the outbox").into_iter().map(|(_, action)| action).collect();
        assert_eq!(asked, (1..=u32::try_from(sum).expect("small")).map(action).collect::<Vec<_>>(), "so was each action");
    });
}

#[test]
fn what_was_read_is_older_than_what_is_decided_on_it() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let endpoint = ministack();
    let (stores, ()) = stores(&endpoint, 2);
    let (writer, reader) = (&stores[0], &stores[1]);
    run(async {
        writer.commit(&line("lane/a", 1, "cause")).await.expect("a commit");
        // As if the writer's wall clock were two minutes ahead of ours, and of all that this process has seen so far.
        let (before, _) = writer.journal(0, 9).await.expect("the journal")[0];
        let ahead = before + (120_000_000 << 11);
        let placed = client(&endpoint).update_item().table_name(writer.table());
        let placed = placed.key("pk", AttributeValue::S("lane/#00".into())).key("sk", AttributeValue::S("lane/a".into()));
        let placed = placed.update_expression("SET clk = :clk").expression_attribute_values(":clk", AttributeValue::N(ahead.to_string()));
        placed.send().await.expect("the item is ours to change");
        reader.get(&[key("lane/a")]).await.expect("a read");
        reader.commit(&line("lane/b", 1, "effect")).await.expect("a commit");
        let journal = reader.journal(0, 9).await.expect("the journal");
        let told: Vec<&[u8]> = journal.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        assert_eq!(told, [b"cause".as_slice(), b"effect"]);
        assert!(journal[1].0 > ahead, "{journal:?} is not behind {ahead}");
    });
}

#[test]
fn a_counter_that_is_ahead_moves_the_clock_of_who_adds_to_it() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let endpoint = ministack();
    let (stores, ()) = stores(&endpoint, 1);
    let store = &stores[0];
    run(async {
        let adding = |delta, max| Commit { adds: vec![(key("tally/w/ok"), Add { delta, max })], ..Commit::default() };
        store.commit(&line("lane/a", 1, "before")).await.expect("a commit");
        store.commit(&adding(2, None)).await.expect("an add");
        let (before, _) = store.journal(0, 9).await.expect("the journal")[0];
        let ahead = before + (180_000_000 << 11);
        let placed = client(&endpoint).update_item().table_name(store.table());
        let placed = placed.key("pk", AttributeValue::S("+tally/w/ok".into())).key("sk", AttributeValue::S(".".into()));
        placed.update_expression("SET clk = :clk").expression_attribute_values(":clk", AttributeValue::N(ahead.to_string())).send().await.expect("placed");
        // Nobody has read it: the add itself must find out, and be done once.
        let mut commit = line("lane/a", 2, "after");
        commit.adds = adding(3, Some(5)).adds;
        store.commit(&commit).await.expect("the clock moves on and the commit is taken");
        assert_eq!(store.counts(&[key("tally/w/ok")]).await, Ok(vec![5]));
        assert!(store.journal(0, 9).await.expect("the journal")[1].0 > ahead);
    });
}

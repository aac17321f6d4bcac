//! A bad line to DynamoDB: answers that get lost after the write was done, and refusals that pass. A proxy stands between
//! the SDK and the server; what it does is what a network does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tidegate_engine::error::StoreError;
use tidegate_engine::store::Store;
use tidegate_rules::desk::Add;

use super::*;

/// What happens to requests of one operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The write is done and its answer is lost.
    LoseAnswer,
    /// The request is refused as one too many.
    Throttle,
}

struct Proxy {
    endpoint: String,
    plan: Arc<Mutex<Option<(&'static str, Fault)>>>,
    left: Arc<AtomicU32>,
}

impl Proxy {
    fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (plan, left) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU32::new(0)));
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let proxy = Self { endpoint, plan: Arc::clone(&plan), left: Arc::clone(&left) };
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (upstream, plan, left) = (upstream.clone(), Arc::clone(&plan), Arc::clone(&left));
                std::thread::spawn(move || pass(connection, &upstream, &plan, &left));
            }
        });
        proxy
    }

    /// The next so many requests of this operation meet this fault.
    fn plan(&self, operation: &'static str, fault: Fault, times: u32) {
        *self.plan.lock().expect("no panic") = Some((operation, fault));
        self.left.store(times, Ordering::SeqCst);
    }

    fn left(&self) -> u32 {
        self.left.load(Ordering::SeqCst)
    }
}

/// One message: its head and its body.
fn message(from: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if from.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").and_then(|n| n.trim().parse::<usize>().ok()));
    let mut body = vec![0; length.unwrap_or(0)];
    from.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn pass(mut client: TcpStream, upstream: &str, plan: &Mutex<Option<(&'static str, Fault)>>, left: &AtomicU32) -> Option<()> {
    while let Some((head, body)) = message(&mut client) {
        let planned = plan.lock().expect("no panic").filter(|(operation, _)| head.contains(&format!("DynamoDB_20120810.{operation}")));
        let fault = planned.filter(|_| left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()).map(|(_, fault)| fault);
        if fault == Some(Fault::Throttle) {
            let said = br#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"too much"}"#;
            let head = format!("HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n", said.len());
            client.write_all(head.as_bytes()).ok()?;
            client.write_all(said).ok()?;
            continue;
        }
        let mut server = TcpStream::connect(upstream).ok()?;
        server.write_all(head.as_bytes()).ok()?;
        server.write_all(&body).ok()?;
        let (head, body) = message(&mut server)?;
        if fault == Some(Fault::LoseAnswer) {
            return None;
        }
        client.write_all(head.as_bytes()).ok()?;
        client.write_all(&body).ok()?;
    }
    Some(())
}

fn behind_a_proxy() -> (Proxy, DynamoStore) {
    let endpoint = ministack();
    let proxy = Proxy::before(&endpoint);
    let store = DynamoStore::new(client(&proxy.endpoint), table(&endpoint));
    (proxy, store)
}

#[test]
fn a_lone_write_whose_answer_is_lost_is_done_once_and_known_as_done() {
    let (proxy, store) = behind_a_proxy();
    run(async {
        store.commit(&puts(vec![put("batch/a", 0, "1")])).await.expect("a commit");
        proxy.plan("PutItem", Fault::LoseAnswer, 1);
        assert_eq!(store.commit(&puts(vec![put("batch/a", 1, "2")])).await, Ok(()), "asked again, it meets its own write");
        assert_eq!(proxy.left(), 0);
        let found = store.get(&[key("batch/a")]).await.expect("a read").remove(0).expect("it is there");
        assert_eq!((found.version, found.body), (2, b"2".to_vec()));
        // Somebody else's write in the same place is still a lost race.
        proxy.plan("PutItem", Fault::LoseAnswer, 1);
        assert_eq!(store.commit(&puts(vec![put("batch/a", 1, "3")])).await, Err(StoreError::Conflict(key("batch/a"))));
    });
}

#[test]
fn a_transaction_whose_answer_is_lost_adds_once() {
    let (proxy, store) = behind_a_proxy();
    run(async {
        let adding = |seq| {
            let mut commit = line("batch/a", seq, "line");
            commit.adds = vec![(key("tally/w/ok"), Add { delta: 5, max: Some(14) })];
            commit.actions = vec![action(u32::try_from(seq).expect("small"))];
            commit
        };
        for lost in 0..2 {
            proxy.plan("TransactWriteItems", Fault::LoseAnswer, lost + 1);
            store.commit(&adding(u64::from(lost) + 1)).await.expect("the token tells that it was done");
            assert_eq!(proxy.left(), 0);
        }
        assert_eq!(store.counts(&[key("tally/w/ok")]).await, Ok(vec![10]));
        assert_eq!(store.commit(&adding(3)).await, Err(StoreError::OverLimit(key("tally/w/ok"))));
        assert_eq!(store.journal(0, 9).await.expect("the journal").len(), 2);
        assert_eq!(store.outbox(None, 9).await.expect("the outbox").len(), 2);
        assert_eq!(store.take_fresh().len(), 2);
    });
}

#[test]
fn what_is_throttled_is_asked_again_and_not_for_ever() {
    let (proxy, store) = behind_a_proxy();
    run(async {
        proxy.plan("TransactWriteItems", Fault::Throttle, 4);
        store.commit(&line("lane/a", 1, "line")).await.expect("it passes");
        proxy.plan("BatchGetItem", Fault::Throttle, 4);
        assert!(store.get(&[key("lane/a")]).await.expect("it passes")[0].is_some());
        assert_eq!(proxy.left(), 0);
        proxy.plan("Query", Fault::Throttle, 1000);
        let words = store.list("lane/", None, 9).await.expect_err("it does not pass").to_string();
        assert!(words.contains("throttles Query") && words.contains("try again later"), "{words}");
        assert!(proxy.left() > 900, "{} of 1000 are left", proxy.left());
    });
}

#[test]
fn a_table_that_does_not_answer_is_told_in_words() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let store = DynamoStore::new(client(&format!("http://{nobody}")), "tidegate");
    let words = run(store.get(&[key("org")])).expect_err("nobody listens").to_string();
    assert!(words.contains("gave no answer to BatchGetItem on table `tidegate`") && words.contains("check the endpoint"), "{words}");
}

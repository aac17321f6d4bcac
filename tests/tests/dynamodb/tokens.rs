//! Tokens of approval links.

use jiff::SignedDuration;
use tidegate_aws::dynamo::token_hash;
use tidegate_engine::tokens::{TokenError, TokenRecord, UsedToken};
use tidegate_events::event::{Subject, Word};

use super::*;

/// Of the year 2096. ministack deletes what its time to live has passed by the machine's clock, as DynamoDB does, and looks once a
/// minute: tokens of a past time would go in the midst of a test.
fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(4_000_000_000 + secs).expect("a time")
}

fn given(approver: Option<&str>) -> TokenRecord {
    TokenRecord {
        subject: Subject::parse("patch-default.1.w0").expect("a wave"),
        digest: Digest::of(b"what was shown"),
        approver: approver.map(|name| name.parse().expect("a person")),
        expires_at: at(3600),
        used: None,
    }
}

fn said(word: Word, by: &str, secs: i64) -> UsedToken {
    UsedToken { word, comment: "looked at it".into(), by: by.parse().expect("a person"), at: at(secs) }
}

#[test]
fn a_token_is_used_once() {
    let store = store();
    run(async {
        let token = new_token().expect("random bytes");
        let hash = token_hash(&token);
        assert_eq!(store.token(&hash, at(0)).await, Ok(None));
        assert!(matches!(store.use_token(&hash, &said(Word::Approve, "ada", 1), at(1)).await, Err(TokenError::Unknown)));
        store.put_token(&hash, &given(None)).await.expect("a new token");
        assert!(store.put_token(&hash, &given(None)).await.is_err(), "it is given once");
        assert_eq!(store.token(&hash, at(0)).await, Ok(Some(given(None))));

        let yes = said(Word::Approve, "ada", 10);
        let used = TokenRecord { used: Some(yes.clone()), ..given(None) };
        assert_eq!(store.use_token(&hash, &yes, at(10)).await.expect("the first use"), used);
        let again = said(Word::Approve, "Ada", 20);
        assert_eq!(store.use_token(&hash, &again, at(20)).await.expect("the same word by the same person"), used, "and nothing of it changes");
        assert_eq!(store.use_token(&hash, &again, at(9999)).await.expect("even late"), used);
        for other in [said(Word::Reject, "ada", 30), said(Word::Approve, "bob", 30)] {
            let refused = store.use_token(&hash, &other, at(30)).await;
            assert!(matches!(&refused, Err(TokenError::UsedOtherwise(before)) if **before == yes), "{refused:?}");
        }
        assert_eq!(store.token(&hash, at(30)).await, Ok(Some(used)));
        // What is stored gives nobody the token.
        let kept = client(&ministack()).scan().table_name(store.table()).send().await.expect("a scan");
        assert!(!format!("{kept:?}").contains(&token));
    });
}

#[test]
fn a_token_expires_whether_or_not_it_was_deleted() {
    let store = store();
    run(async {
        let hash = token_hash("late");
        store.put_token(&hash, &given(None)).await.expect("a new token");
        let just_before = at(3600) - SignedDuration::from_nanos(1001);
        assert_eq!(store.token(&hash, just_before).await, Ok(Some(given(None))));
        assert_eq!(store.token(&hash, at(3600)).await, Ok(None), "it is still in the table");
        let refused = store.use_token(&hash, &said(Word::Approve, "ada", 3600), at(3600)).await;
        assert!(matches!(refused, Err(TokenError::Expired(when)) if when == at(3600)), "{refused:?}");
        assert!(store.use_token(&hash, &said(Word::Approve, "ada", 3599), just_before).await.is_ok());
    });
}

#[test]
fn a_token_belongs_to_whom_it_was_given() {
    let store = store();
    run(async {
        let hash = token_hash("hers");
        store.put_token(&hash, &given(Some("ada"))).await.expect("a new token");
        let refused = store.use_token(&hash, &said(Word::Approve, "bob", 1), at(1)).await;
        assert!(matches!(&refused, Err(TokenError::NotYours(owner)) if owner.as_str() == "ada"), "{refused:?}");
        assert!(store.use_token(&hash, &said(Word::Reject, "ADA", 1), at(1)).await.is_ok());
    });
}

/// On ministack alone: moto looks at a condition and writes without holding its lock, so that both racers can win there.
#[test]
fn of_two_who_race_for_a_token_one_gets_it() {
    let (stores, ()) = stores(&ministack(), 2);
    for round in 0..200 {
        let hash = token_hash(&format!("token {round}"));
        run(stores[0].put_token(&hash, &given(None))).expect("a new token");
        let words = [said(Word::Approve, "ada", 1), said(Word::Reject, "bob", 1)];
        let (start, hash) = (&std::sync::Barrier::new(2), &hash);
        let use_one = |(store, word): (&DynamoStore, &UsedToken)| {
            start.wait();
            run(store.use_token(hash, word, at(1)))
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = stores.iter().zip(&words).map(|racer| scope.spawn(move || use_one(racer))).collect();
            racers.into_iter().map(|racer| racer.join().expect("no panic")).collect()
        });
        let winner = answers.iter().position(Result::is_ok).unwrap_or_else(|| panic!("round {round}: one of them gets it: {answers:?}"));
        let kept = run(stores[0].token(hash, at(2))).expect("a read").expect("it is there").used;
        assert_eq!(kept.as_ref(), Some(&words[winner]), "round {round}: {answers:?}");
        assert!(matches!(&answers[1 - winner], Err(TokenError::UsedOtherwise(before)) if **before == words[winner]), "{answers:?}");
    }
}

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { start: 5_000, ceiling: 20_000, burst: 5 };

/// When each turn that was given may be used, with throttles and answers mixed in.
fn turns(steps: &[(i64, u8)]) -> (Vec<i64>, Bucket) {
    let mut bucket = Bucket::new(LIMITS, 0);
    let (mut now, mut given) = (0, Vec::new());
    for (after, what) in steps {
        now += after;
        match what {
            0 => bucket.throttled(now),
            1 => bucket.answered(now),
            _ => given.extend(bucket.take(now).map(|wait| now + wait)),
        }
    }
    (given, bucket)
}

proptest! {
    #[test]
    fn no_second_sees_more_than_the_burst_and_the_ceiling(steps in prop::collection::vec((0i64..400, 0u8..8), 1..400)) {
        let (mut given, _) = turns(&steps);
        given.sort_unstable();
        for (first, from) in given.iter().enumerate() {
            let within = given.iter().skip(first).take_while(|at| **at < from + 1_000).count();
            prop_assert!(within as i64 <= LIMITS.burst + LIMITS.ceiling / 1_000 + 1, "{within} in a second");
        }
    }

    #[test]
    fn turns_come_soon_or_not_at_all(steps in prop::collection::vec((0i64..200, 0u8..6), 1..300)) {
        let mut bucket = Bucket::new(LIMITS, 0);
        let mut now = 0;
        for (after, what) in steps {
            now += after;
            match what {
                0 => bucket.throttled(now),
                1 => bucket.answered(now),
                _ => if let Some(wait) = bucket.take(now) { prop_assert!((0..=WAIT_MAX_MS).contains(&wait)); },
            }
            prop_assert!((FLOOR..=LIMITS.ceiling).contains(&bucket.rate()));
        }
    }

    #[test]
    fn after_any_history_answers_bring_the_ceiling_back(steps in prop::collection::vec((0i64..200, 0u8..6), 0..200)) {
        let (_, mut bucket) = turns(&steps);
        for n in 0..100 {
            bucket.answered(1_000_000 + n);
        }
        prop_assert_eq!(bucket.rate(), LIMITS.ceiling);
        prop_assert_eq!(bucket.take(2_000_000), Some(0));
    }
}

#[test]
fn a_throttle_halves_once_however_many_callers_hear_it() {
    let mut bucket = Bucket::new(LIMITS, 0);
    for n in 0..10 {
        bucket.throttled(n);
    }
    assert_eq!(bucket.rate(), 2_500);
    assert_eq!(bucket.take(9), Some(400), "the burst is gone: a token takes 400 ms at 2.5 calls per second");
    bucket.throttled(2_000);
    assert_eq!(bucket.rate(), 1_250);
}

#[test]
fn a_crowd_is_told_to_come_back_rather_than_to_wait_for_long() {
    let mut bucket = Bucket::new(LIMITS, 0);
    let given = (0..1_000).filter_map(|_| bucket.take(0)).count();
    assert_eq!(given, 5 + 25, "the burst, and what five seconds hold");
    assert_eq!(bucket.take(5_000), Some(200));
}

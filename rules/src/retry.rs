//! What becomes of a target whose attempt failed: another attempt later, or quarantine with an owner.

use jiff::Timestamp;
use tidegate_events::entry::Standing;

use crate::desk::later;
use crate::policy::Retry;

/// Where a target stands after its attempt failed. `failed_before` counts failed attempts before this one.
pub fn after_failure(rule: &Retry, failed_before: u32, now: Timestamp, why: &str) -> Standing {
    let failed = failed_before.saturating_add(1);
    if failed >= rule.attempts_max {
        Standing::Quarantined { owner: rule.owner.clone(), why: format!("{failed} of {failed} attempts failed; the last: {why}") }
    } else {
        Standing::Retrying { not_before: later(now, i64::from(rule.backoff(failed))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_cap_and_then_the_owner_is_named() {
        let rule = Retry { attempts_max: 4, backoff_secs: 60, backoff_max_secs: 200, owner: "platform".into() };
        let now: Timestamp = "2026-11-19T00:00:00Z".parse().unwrap();
        let waits: Vec<i64> = (0..3)
            .map(|failed| match after_failure(&rule, failed, now, "x") {
                Standing::Retrying { not_before } => crate::desk::secs_between(now, not_before),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(waits, [60, 120, 200]);
        assert!(matches!(after_failure(&rule, 3, now, "x"), Standing::Quarantined { owner, .. } if owner == "platform"));
    }
}

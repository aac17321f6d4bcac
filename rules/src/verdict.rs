//! The verdict: proof, not exit codes. An invocation's end (proof 1) and the scan after it (proof 2) decide whether a target
//! is patched; AWS Config (proof 3) makes it remediated, in [`target`](crate::target).

use jiff::Timestamp;
use tidegate_events::fact::{InvocationStatus, Operation, PatchState, Verdict};
use tidegate_events::id::SnapshotId;

/// What the first two proofs say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// A verdict, with the reason in a few words.
    Proven(Verdict, &'static str),
    /// No Install can mend it: a rejected patch is installed.
    Hopeless(Verdict, &'static str),
    /// The state is older than the scan, or absent: SSM has not taken it in yet.
    ReadAgain,
}

/// Judges one member. `ran` is how its install or reboot ended, `scan_at` when the scan was sent: only a scan that started
/// after that, with our snapshot, proves anything. An Install's own report lists nothing missing and proves nothing.
pub fn judge(ran: Option<InvocationStatus>, state: Option<&PatchState>, scan_at: Timestamp, snapshot: &SnapshotId) -> Judgement {
    let Some(state) = state else { return Judgement::ReadAgain };
    if state.started_at < scan_at {
        return Judgement::ReadAgain;
    }
    if state.operation != Operation::Scan || state.snapshot.as_ref() != Some(snapshot) {
        return Judgement::Proven(Verdict::Overwritten, "another scanner replaced the patch state after our scan");
    }
    let success = ran == Some(InvocationStatus::Success);
    if state.is_clean() {
        return if success {
            Judgement::Proven(Verdict::PatchedUnconfirmed, "the command succeeded and the scan finds nothing missing")
        } else {
            Judgement::Proven(Verdict::FalseFailure, "the command failed, yet the scan finds nothing missing")
        };
    }
    if state.rejected > 0 && state.missing == 0 && state.failed == 0 {
        return Judgement::Hopeless(Verdict::Failed, "a rejected patch is installed, which no install can mend");
    }
    if state.awaits_reboot_only() {
        return Judgement::Proven(Verdict::PendingReboot, "installed, not in force before a reboot");
    }
    match (success, state.failed > 0) {
        (_, true) => Judgement::Proven(Verdict::Partial, "the scan finds patches that failed to install"),
        (true, false) => Judgement::Proven(Verdict::FalseSuccess, "the command succeeded, yet the scan finds patches missing"),
        (false, false) => Judgement::Proven(Verdict::Failed, "the command failed and the scan finds patches missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(missing: u32, failed: u32, pending: u32, rejected: u32) -> PatchState {
        PatchState {
            instance: "i-0a1b2c3d4e5f67890".parse().unwrap(),
            baseline: "pb-1".into(),
            snapshot: Some(snapshot()),
            operation: Operation::Scan,
            started_at: at(10),
            ended_at: at(60),
            missing,
            failed,
            pending_reboot: pending,
            rejected,
        }
    }

    fn snapshot() -> SnapshotId {
        "12345699-9405-4f69-bc5e-931500000000".parse().unwrap()
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + secs).unwrap()
    }

    #[test]
    fn the_decision_table() {
        use InvocationStatus::{DeliveryTimedOut, ExecutionTimedOut, Failed, Success};
        let rows = [
            (Some(Success), state(0, 0, 0, 0), Verdict::PatchedUnconfirmed),
            (Some(Failed), state(0, 0, 0, 0), Verdict::FalseFailure),
            (Some(DeliveryTimedOut), state(0, 0, 0, 0), Verdict::FalseFailure),
            (None, state(0, 0, 0, 0), Verdict::FalseFailure),
            (Some(Success), state(2, 0, 0, 0), Verdict::FalseSuccess),
            (Some(Success), state(1, 1, 0, 0), Verdict::Partial),
            (Some(Success), state(0, 0, 3, 0), Verdict::PendingReboot),
            (Some(Failed), state(0, 0, 3, 0), Verdict::PendingReboot),
            (Some(Success), state(1, 0, 3, 0), Verdict::FalseSuccess),
            (Some(Failed), state(2, 0, 0, 0), Verdict::Failed),
            (Some(ExecutionTimedOut), state(2, 0, 0, 0), Verdict::Failed),
        ];
        for (ran, state, verdict) in rows {
            match judge(ran, Some(&state), at(5), &snapshot()) {
                Judgement::Proven(got, _) => assert_eq!(got, verdict, "{ran:?} {state:?}"),
                other => panic!("{ran:?} {state:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_install_report_or_an_old_scan_proves_nothing() {
        let success = Some(InvocationStatus::Success);
        assert_eq!(judge(success, None, at(5), &snapshot()), Judgement::ReadAgain);
        assert_eq!(judge(success, Some(&state(0, 0, 0, 0)), at(11), &snapshot()), Judgement::ReadAgain);
        let install = PatchState { operation: Operation::Install, ..state(0, 0, 0, 0) };
        assert!(matches!(judge(success, Some(&install), at(5), &snapshot()), Judgement::Proven(Verdict::Overwritten, _)));
        let foreign = PatchState { snapshot: None, ..state(0, 0, 0, 0) };
        assert!(matches!(judge(success, Some(&foreign), at(5), &snapshot()), Judgement::Proven(Verdict::Overwritten, _)));
    }

    #[test]
    fn a_rejected_patch_is_not_tried_again() {
        assert!(matches!(judge(Some(InvocationStatus::Success), Some(&state(0, 0, 0, 1)), at(5), &snapshot()), Judgement::Hopeless(Verdict::Failed, _)));
    }
}

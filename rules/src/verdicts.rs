//! The proof of what no scan can look at: AWS Config's own verdict, on a state that was captured after the run had ended.
//!
//! It is weaker than the three proofs of a patch in one way: Config is the only witness. So a run counts as good only when Config
//! has said COMPLIANT; until then its batch keeps leases and grants, and silence in the end is Unknown, which is never good.

use jiff::Timestamp;
use tidegate_events::entry::{Count, Outcome, Standing};
use tidegate_events::fact::{Compliance, Fact, FactSource, InvocationStatus, Verdict};
use tidegate_events::host::SpokeFault;
use tidegate_events::id::BatchId;
use tidegate_events::{Action, Entry};

use crate::batch::{counted, fail, policy_of, release};
use crate::decide;
use crate::desk::{Desk, Missing, later};
use crate::key::Key;
use crate::state::BatchPhase;
use crate::target::confirmed;

/// How long after the run Config's verdicts are read first, in seconds: a rule that changes trigger has answered by then.
const FIRST_SECS: i64 = 300;
/// How long after that they are read again, each time, in seconds: Config was asked to evaluate its rules meanwhile.
const AGAIN_SECS: i64 = 600;

/// What Config's newest word says of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Proven, or disproven.
    Proven(Verdict, &'static str),
    /// Config has said nothing yet of the state after the run.
    Wait,
}

/// Judges one run: how and when it ended, Config's newest word, and how long that may be waited for. A run that failed is not waited
/// for: Config has its first chance to call that false.
pub fn judge(ran: Option<(InvocationStatus, Option<Timestamp>)>, fact: Option<&Fact>, now: Timestamp, within_secs: i64) -> Judgement {
    let Some((status, Some(ended_at))) = ran else {
        return Judgement::Proven(Verdict::Unknown, "when it ended is not known, so no verdict can be placed after it");
    };
    let success = status == InvocationStatus::Success;
    let word = fact.filter(|fact| fact.ordering >= ended_at && matches!(fact.source, FactSource::ConfigRule(_))).map(|fact| fact.compliance);
    let over = !success || now >= later(ended_at, within_secs);
    match (word, success) {
        (Some(Compliance::Compliant), true) => Judgement::Proven(Verdict::Remediated, "AWS Config found it compliant after the run"),
        (Some(Compliance::Compliant), false) => Judgement::Proven(Verdict::FalseFailure, "the run failed, yet AWS Config found it compliant afterwards"),
        _ if !over => Judgement::Wait,
        (Some(Compliance::NonCompliant), true) => Judgement::Proven(Verdict::FalseSuccess, "the run succeeded, yet AWS Config still finds it non-compliant"),
        (_, true) => Judgement::Proven(Verdict::Unknown, "AWS Config gave no verdict on the state after the run in time"),
        (_, false) => Judgement::Proven(Verdict::Failed, "the run failed, and AWS Config does not find it compliant"),
    }
}

/// The run has ended: its verdicts are read for the first time, or once more.
///
/// # Errors
/// When something is not loaded.
pub fn wait(desk: &mut Desk<'_>, id: &BatchId, reads: u32) -> Result<(), Missing> {
    let at = desk.after(if reads == 0 { FIRST_SECS } else { AGAIN_SECS });
    desk.record(Entry::ProofDue { batch: id.clone(), at, reads })
}

/// Config's verdicts were read, or could not be: what is known is judged either way.
///
/// # Errors
/// When something is not loaded.
pub fn on_read(desk: &mut Desk<'_>, id: &BatchId, _read: &Result<(), SpokeFault>) -> Result<decide::Outcome, Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(decide::Outcome::ignored("not known")) };
    let BatchPhase::Proving { at, reads, .. } = batch.phase else { return Ok(decide::Outcome::Duplicate) };
    if at > desk.now() {
        return Ok(decide::Outcome::Duplicate);
    }
    let policy = policy_of(desk, &batch)?;
    let within = i64::from(policy.entry().proof_within_secs);
    let keys: Vec<Key> = batch.present().map(|member| Key::target(&id.target(&member.member.instance))).collect();
    desk.need(&keys)?;
    let mut outcomes = Vec::new();
    for member in batch.present() {
        let instance = member.member.instance.clone();
        let fact = desk.target(&id.target(&instance))?.and_then(|target| target.fact().cloned());
        match judge(member.ran, fact.as_ref(), desk.now(), within) {
            Judgement::Wait => {}
            Judgement::Proven(verdict @ (Verdict::Remediated | Verdict::FalseFailure), why) => outcomes.push(Outcome {
                instance,
                verdict: Some(confirmed(Some(verdict))),
                to: Standing::Compliant,
                count: counted(member, Count::Ok),
                why: why.to_owned(),
            }),
            Judgement::Proven(verdict, why) => outcomes.push(fail(desk, policy, &batch, member, verdict, why)?),
        }
    }
    let waiting = batch.present().count() > outcomes.len();
    if !outcomes.is_empty() {
        release(desk, id, outcomes)?;
    }
    if waiting {
        let rules = desk.cell(&id.cell)?.map(|cell| cell.rules.clone()).unwrap_or_default();
        if !rules.is_empty() {
            desk.ask(Action::Reevaluate { cell: id.cell.clone(), rules });
        }
        wait(desk, id, reads.saturating_add(1))?;
    }
    Ok(decide::Outcome::Accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + secs).unwrap()
    }

    fn fact(compliance: Compliance, ordering: i64) -> Fact {
        Fact { compliance, ordering: at(ordering), recorded: at(ordering + 30), source: FactSource::ConfigRule("ec2-imdsv2-check".into()) }
    }

    #[test]
    fn the_decision_table() {
        use Compliance::{Compliant, NonCompliant, NotApplicable};
        use InvocationStatus::{ExecutionTimedOut, Failed, Success};
        let ran = |status| Some((status, Some(at(100))));
        let verdict = |ran, fact: Option<Fact>, now| match judge(ran, fact.as_ref(), at(now), 3600) {
            Judgement::Proven(verdict, _) => Some(verdict),
            Judgement::Wait => None,
        };
        assert_eq!(verdict(ran(Success), Some(fact(Compliant, 100)), 400), Some(Verdict::Remediated));
        // What was captured before the end says nothing of the run.
        assert_eq!(verdict(ran(Success), Some(fact(Compliant, 99)), 400), None);
        assert_eq!(verdict(ran(Success), Some(fact(NonCompliant, 200)), 400), None);
        assert_eq!(verdict(ran(Success), None, 400), None);
        assert_eq!(verdict(ran(Success), Some(fact(NonCompliant, 200)), 3700), Some(Verdict::FalseSuccess));
        assert_eq!(verdict(ran(Success), Some(fact(NonCompliant, 99)), 3700), Some(Verdict::Unknown));
        assert_eq!(verdict(ran(Success), Some(fact(NotApplicable, 200)), 3700), Some(Verdict::Unknown));
        assert_eq!(verdict(ran(Failed), Some(fact(NonCompliant, 99)), 400), Some(Verdict::Failed));
        assert_eq!(verdict(ran(ExecutionTimedOut), Some(fact(Compliant, 200)), 400), Some(Verdict::FalseFailure));
        // Somebody else's word, and a run whose end nobody knows, prove nothing.
        let copied = Fact { source: FactSource::SecurityHub("EC2.8".into()), ..fact(Compliant, 200) };
        assert_eq!(verdict(ran(Success), Some(copied), 3700), Some(Verdict::Unknown));
        assert_eq!(verdict(Some((Success, None)), Some(fact(Compliant, 200)), 400), Some(Verdict::Unknown));
        assert_eq!(verdict(None, Some(fact(Compliant, 200)), 400), Some(Verdict::Unknown));
    }
}

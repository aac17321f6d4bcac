//! The report as JSON, in the words of the commands' summary.

use serde_json::{Map, Value, json};
use tidegate_events::event::{Approval, Word};

use crate::ledger::{CampaignRow, Ledger, WaveRow};

/// What the report says, for programs: `targets.total` is the sum of `targets.by_state`.
pub fn summary_json(ledger: &Ledger) -> Value {
    let by_state: Map<String, Value> = ledger.by_state().into_iter().map(|(name, n)| (name.to_owned(), n.into())).collect();
    let verdicts: Map<String, Value> = ledger.by_verdict().into_iter().map(|(verdict, n)| (verdict.name().to_owned(), n.into())).collect();
    let campaigns: Vec<Value> = ledger.campaigns.iter().map(|(id, row)| campaign(&id.to_string(), row)).collect();
    let halts: Vec<Value> = ledger
        .halts
        .iter()
        .map(|halt| {
            let resumed = halt.resumed.as_ref().map(|(at, by, comment)| json!({ "at": at, "by": by, "comment": comment }));
            json!({ "lane": halt.lane, "wave": halt.wave, "why": halt.why, "at": halt.at, "resumed": resumed })
        })
        .collect();
    json!({
        "schema": "tidegate.report/1",
        "from": ledger.span.map(|(first, _)| first),
        "to": ledger.span.map(|(_, last)| last),
        "lines": ledger.lines,
        "targets": { "total": ledger.targets.len(), "by_state": by_state },
        "verdicts": verdicts,
        "campaigns": campaigns,
        "commands": {
            "backup": ledger.commands.backup, "install": ledger.commands.install, "scan": ledger.commands.scan, "reboot": ledger.commands.reboot,
            "adopted": ledger.commands.adopted,
        },
        "halts": halts,
    })
}

fn campaign(id: &str, row: &CampaignRow) -> Value {
    json!({
        "id": id,
        "state": row.state(),
        "policy_digest": row.policy,
        "digest": row.digest,
        "opened_at": row.opened_at,
        "ended_at": row.ended.as_ref().map(|(at, _, _)| at),
        "waves": row.waves.iter().map(wave).collect::<Vec<Value>>(),
        "approvals": row.words.iter().map(approval).collect::<Vec<Value>>(),
    })
}

fn wave(row: &WaveRow) -> Value {
    let holds: Vec<Value> = row.holds.iter().map(|hold| json!({ "kind": hold.kind(), "detail": hold.to_string() })).collect();
    json!({
        "name": row.cut.name,
        "state": row.state.name(),
        "targets": row.cut.targets,
        "digest": row.cut.digest,
        "ok": row.ok,
        "bad": row.bad,
        "dropped": row.dropped,
        "opened_at": row.opened_at,
        "proven_at": row.proven_at,
        "holds": holds,
    })
}

fn approval(said: &Approval) -> Value {
    let word = match said.word {
        Word::Approve => "approve",
        Word::Reject => "reject",
        Word::Revoke => "revoke",
    };
    json!({ "subject": said.subject.to_string(), "word": word, "by": said.by, "at": said.at, "digest": said.digest, "comment": said.comment })
}

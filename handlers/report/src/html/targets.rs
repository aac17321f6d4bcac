//! The instances that somebody has to know about, one table for each reason.

use tidegate_events::entry::Standing;
use tidegate_events::id::TargetKey;

use super::markup::{Field, Html, table};
use super::overview::words;
use crate::ledger::{Ledger, TargetRow};
use crate::sentence::{is_bad, lag_words};
use crate::words::plain;

/// A table: its heading, its columns, and the fields of each instance that belongs into it.
struct Kind {
    title: &'static str,
    heads: &'static [&'static str],
    row: fn(&Ledger, &TargetKey, &TargetRow) -> Option<Vec<Field>>,
}

const KINDS: [Kind; 7] = [
    Kind { title: "Failed or unknown", heads: &["Instance", "Last verdict", "Why", "Failed attempts", "Stands now"], row: failed },
    Kind { title: "Quarantined", heads: &["Instance", "Owner", "Why", "Failed attempts", "Since"], row: quarantined },
    Kind { title: "Unreachable", heads: &["Instance", "Because", "Looked at", "Looked at next"], row: unreachable },
    Kind { title: "Unmanaged", heads: &["Instance", "Because", "Since"], row: unmanaged },
    Kind { title: "Waiting for a reboot", heads: &["Instance", "Wave", "Since"], row: pending_reboot },
    Kind { title: "Patched, not confirmed by AWS Config", heads: &["Instance", "Why", "Installed", "Proven by a scan"], row: unconfirmed },
    Kind { title: "Exempt", heads: &["Instance", "Until", "Owner", "Reason"], row: exempt },
];

pub fn write(html: &mut Html, ledger: &Ledger) {
    html.raw("<h2 id=\"targets\">Instances that need a look</h2>\n");
    let mut any = false;
    for kind in KINDS {
        let rows = || ledger.targets.iter().filter_map(|(key, row)| (kind.row)(ledger, key, row));
        let n = rows().count();
        if n == 0 {
            continue;
        }
        any = true;
        html.raw("<section class=\"card\">\n<div class=\"head\"><h3>")
            .raw(kind.title)
            .raw("</h3><span class=\"badge\">")
            .number(n as u64)
            .raw("</span></div>\n");
        table(html, kind.title, kind.heads, rows());
        html.raw("</section>\n");
    }
    if !any {
        html.raw(
            "<section class=\"card\"><p class=\"empty\">None: nothing failed, and nothing is quarantined, unreachable, unmanaged, unconfirmed, \
            exempt or waiting for a reboot.</p></section>\n",
        );
    }
}

fn instance(key: &TargetKey) -> Field {
    Field::Code(key.to_string())
}

fn text(text: &str) -> Field {
    Field::Text(plain(text))
}

fn failed(ledger: &Ledger, key: &TargetKey, row: &TargetRow) -> Option<Vec<Field>> {
    let judged = row.judged.as_ref().filter(|judged| is_bad(judged.verdict))?;
    let verdict = Field::Text(words(judged.verdict.name()));
    Some(vec![instance(key), verdict, text(&judged.why), Field::Number(u64::from(row.attempts)), Field::Text(words(ledger.state_of(row)))])
}

fn quarantined(_: &Ledger, key: &TargetKey, row: &TargetRow) -> Option<Vec<Field>> {
    let Standing::Quarantined { owner, why } = &row.standing else { return None };
    Some(vec![instance(key), text(owner), text(why), Field::Number(u64::from(row.attempts)), Field::Time(row.since)])
}

fn unreachable(_: &Ledger, key: &TargetKey, row: &TargetRow) -> Option<Vec<Field>> {
    let Standing::Unreachable { why, look_at, looks } = &row.standing else { return None };
    Some(vec![instance(key), text(why), Field::Text(format!("{looks} ×")), Field::Time(*look_at)])
}

fn unmanaged(_: &Ledger, key: &TargetKey, row: &TargetRow) -> Option<Vec<Field>> {
    let Standing::Unmanaged { why } = &row.standing else { return None };
    Some(vec![instance(key), text(why), Field::Time(row.since)])
}

fn pending_reboot(_: &Ledger, key: &TargetKey, row: &TargetRow) -> Option<Vec<Field>> {
    let Standing::PendingReboot { cell } = &row.standing else { return None };
    Some(vec![instance(key), Field::Text(cell.wave.to_string()), Field::Time(row.since)])
}

fn unconfirmed(_: &Ledger, key: &TargetKey, row: &TargetRow) -> Option<Vec<Field>> {
    let Standing::PatchedUnconfirmed { installed_at, proven_at, lag, .. } = &row.standing else { return None };
    let why = lag.map_or("Config is still awaited", lag_words);
    Some(vec![instance(key), text(why), Field::Time(*installed_at), Field::Time(*proven_at)])
}

fn exempt(_: &Ledger, key: &TargetKey, row: &TargetRow) -> Option<Vec<Field>> {
    let Standing::Exempt { until, owner, reason } = &row.standing else { return None };
    Some(vec![instance(key), Field::Time(*until), text(owner), text(reason)])
}

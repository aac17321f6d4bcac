//! Campaign by campaign: waves with their shares, approvals, times, holds and halts.

use tidegate_events::entry::PinStrength;
use tidegate_events::event::Word;
use tidegate_events::id::{CampaignId, WaveId};

use super::markup::{Field, Html, table};
use super::overview::bar;
use crate::ledger::{CampaignRow, Ledger, WaveRow, WaveState};
use crate::sentence::subject_name;
use crate::words::{count, list, number, plain, share};

/// So many campaigns are shown, the latest of each lane's numbering; the journal has the rest.
const CAMPAIGNS_SHOWN: usize = 100;

pub fn write(html: &mut Html, ledger: &Ledger) {
    html.raw("<h2 id=\"campaigns\">Campaigns</h2>\n");
    if ledger.campaigns.is_empty() {
        html.raw("<section class=\"card\"><p class=\"empty\">No campaign has been opened.</p></section>\n");
    }
    let hidden = ledger.campaigns.len().saturating_sub(CAMPAIGNS_SHOWN);
    let mut latest: Vec<(&CampaignId, &CampaignRow)> = ledger.campaigns.iter().collect();
    latest.sort_by_key(|(id, row)| (row.opened_at, *id));
    for (id, row) in latest.into_iter().skip(hidden) {
        campaign(html, ledger, id, row);
    }
    super::markup::left_out(html, hidden as u64);
}

fn campaign(html: &mut Html, ledger: &Ledger, id: &CampaignId, row: &CampaignRow) {
    let badge = match row.state() {
        "done" => "good",
        "ended" => "bad",
        "running" => "busy",
        _ => "",
    };
    html.raw("<section class=\"card\">\n<div class=\"head\"><h3>")
        .text(id)
        .raw("</h3><span class=\"badge ")
        .raw(badge)
        .raw("\">")
        .raw(row.state())
        .raw("</span></div>\n");
    facts(html, row);
    for halt in ledger.open_halts().filter(|halt| halt.wave.campaign == *id) {
        html.raw("<div class=\"note bad\"><p><strong>Halted</strong> since ").time(halt.at).raw(" by wave ").text(&halt.wave).raw(": ");
        html.text(plain(&halt.why)).raw("</p></div>\n");
    }
    if row.waves.is_empty() {
        html.raw("<p class=\"empty\">It is not cut into waves yet.</p>\n");
    } else {
        waves(html, ledger, id, row);
    }
    approvals(html, row);
    html.raw("</section>\n");
}

fn facts(html: &mut Html, row: &CampaignRow) {
    html.raw("<dl class=\"facts\">\n");
    for (name, at) in [("Opened", row.opened_at), ("Cut into waves", row.cut_at), ("Started", row.started_at)] {
        if let Some(at) = at {
            html.raw("<div><dt>").raw(name).raw("</dt><dd>").time(at).raw("</dd></div>\n");
        }
    }
    if let Some((at, why, _)) = &row.ended {
        html.raw("<div><dt>Ended</dt><dd>").time(*at).raw("<br>").text(plain(why)).raw("</dd></div>\n");
    }
    html.raw("<div><dt>Targets</dt><dd>").number(row.targets());
    if let Some(inventory) = row.inventory {
        html.raw(" of ").number(inventory).raw(" known instances");
    }
    html.raw("</dd></div>\n");
    for (name, digest) in [("Digest that is approved", row.digest), ("Policy", row.policy)] {
        if let Some(digest) = digest {
            html.raw("<div><dt>").raw(name).raw("</dt><dd><code title=\"").text(digest).raw("\">").text(digest.short()).raw("</code></dd></div>\n");
        }
    }
    if let Some(snapshot) = &row.snapshot {
        html.raw("<div><dt>Patch set</dt><dd><code>").text(snapshot).raw("</code></dd></div>\n");
    }
    html.raw("</dl>\n");
}

fn waves(html: &mut Html, ledger: &Ledger, id: &CampaignId, row: &CampaignRow) {
    let total = row.targets();
    html.raw("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Waves of ").text(id).raw("\"><table><thead><tr>");
    html.raw(
        "<th scope=\"col\">Wave</th><th scope=\"col\">State</th><th scope=\"col\" class=\"n\">Targets</th><th scope=\"col\" \
        class=\"wide\">Progress</th><th scope=\"col\">When</th><th scope=\"col\">Approved by</th>",
    );
    html.raw("</tr></thead><tbody>\n");
    for (index, wave) in row.waves.iter().enumerate() {
        let wave_id = u16::try_from(index).ok().map(|index| WaveId { campaign: id.clone(), index });
        let halted = ledger.open_halts().any(|halt| Some(&halt.wave) == wave_id.as_ref());
        let (state, badge) = match wave.state {
            _ if halted => ("halted", "bad"),
            WaveState::Proven => ("proven", "good"),
            WaveState::Open | WaveState::Baking | WaveState::Sealing => (wave.state.name(), "busy"),
            WaveState::Waiting | WaveState::Sealed => (wave.state.name(), ""),
        };
        html.raw("<tr><th scope=\"row\">")
            .text(plain(&wave.cut.name))
            .raw("<br><code title=\"")
            .text(wave.cut.digest)
            .raw("\">")
            .text(wave.cut.digest.short())
            .raw("</code></th>");
        html.raw("<td><span class=\"badge ").raw(badge).raw("\">").raw(state).raw("</span></td><td class=\"n\">").number(wave.cut.targets);
        html.raw("<br><span class=\"small\">").text(share(wave.cut.targets, total)).raw("</span></td><td>");
        progress(html, wave);
        html.raw("</td><td>");
        times(html, wave);
        html.raw("</td><td>");
        if !wave.approved_by.is_empty() {
            html.text(list(&wave.approved_by));
        } else if wave.opened_at.is_some() {
            html.raw("<span class=\"small\">none needed</span>");
        } else {
            html.raw("<span class=\"small\">not open yet</span>");
        }
        html.raw("</td></tr>\n");
        if !wave.holds.is_empty() {
            html.raw("<tr class=\"holds\"><td colspan=\"6\"><div class=\"note warn\"><p>Held:</p><ul>");
            for hold in &wave.holds {
                html.raw("<li>").text(plain(&hold.to_string())).raw("</li>");
            }
            html.raw("</ul></div></td></tr>\n");
        }
    }
    html.raw("</tbody></table></div>\n");
}

fn progress(html: &mut Html, wave: &WaveRow) {
    let total = wave.cut.targets;
    let ended = wave.ok.saturating_add(wave.bad).saturating_add(wave.dropped);
    let left = total.saturating_sub(ended);
    let mut told = vec![format!("{} patched", number(wave.ok)), format!("{} failed or unknown", number(wave.bad))];
    if wave.dropped > 0 {
        told.push(format!("{} not touched", number(wave.dropped)));
    }
    if left > 0 {
        told.push(format!("{} to go", number(left)));
    }
    let told = told.join(", ");
    bar(html, "progress", &told, &[("compliant", wave.ok), ("quarantined", wave.bad), ("exempt", wave.dropped)], total);
    html.raw("<span class=\"small\">").text(&told).raw("</span>");
}

fn times(html: &mut Html, wave: &WaveRow) {
    html.raw("<dl class=\"when\">");
    if let Some((at, pin)) = wave.sealed {
        let pinned = match pin {
            PinStrength::Exact => "<br>packages pinned",
            PinStrength::Dated => "<br>rules pinned",
            PinStrength::None => "<br>nothing pinned",
        };
        html.raw("<dt>sealed</dt><dd>").time(at).raw(pinned).raw("</dd>");
    }
    if let Some(at) = wave.renewed_at {
        html.raw("<dt>renewed</dt><dd>").time(at).raw("<br>new patch set</dd>");
    }
    if let Some(at) = wave.opened_at {
        html.raw("<dt>opened</dt><dd>").time(at).raw("</dd>");
    }
    if let Some((ended, until)) = wave.baking {
        html.raw("<dt>ended</dt><dd>").time(ended).raw("</dd>");
        if wave.proven_at.is_none() {
            html.raw("<dt>bakes until</dt><dd>").time(until).raw("</dd>");
        }
    }
    if let Some(at) = wave.proven_at {
        html.raw("<dt>proven</dt><dd>").time(at).raw("</dd>");
    }
    html.raw("</dl>");
}

fn approvals(html: &mut Html, row: &CampaignRow) {
    if row.asked.is_empty() && row.words.is_empty() {
        return;
    }
    html.raw("<h4>Approvals</h4>\n");
    for (subject, need, at) in &row.asked {
        html.raw("<p class=\"small\">")
            .text(count(u64::from(*need), "approval"))
            .raw(" of ")
            .text(subject_name(subject))
            .raw(" asked for at ")
            .time(*at)
            .raw("</p>\n");
    }
    if row.words.is_empty() {
        html.raw("<p class=\"empty\">Nobody has answered yet.</p>\n");
        return;
    }
    let rows = row.words.iter().map(|said| {
        let word = match said.word {
            Word::Approve => "approved",
            Word::Reject => "rejected",
            Word::Revoke => "took back the approval",
        };
        let text = |text: &str| Field::Text(plain(text));
        vec![
            Field::Time(said.at),
            Field::Text(said.by.to_string()),
            text(word),
            Field::Text(subject_name(&said.subject)),
            Field::Code(said.digest.short()),
            text(&said.comment),
        ]
    });
    table(html, "What people said", &["When", "Who", "Said", "About", "Digest", "Comment"], rows);
}

//! The top of the page: what waits for a person, where every instance stands, what was run.

use std::collections::BTreeMap;

use tidegate_events::entry::Standing;
use tidegate_events::fact::Verdict;
use tidegate_events::hold::Hold;

use super::markup::Html;
use crate::ledger::{Halt, Ledger};
use crate::words::{count, plain, share};

/// More holds than this on the top of the page help nobody.
const HOLDS_SHOWN: usize = 20;

pub fn write(html: &mut Html, ledger: &Ledger) {
    html.raw("<h2 id=\"overview\">Overview</h2>\n");
    waits(html, ledger);
    for halt in ledger.halts.iter().filter(|halt| halt.resumed.is_some()) {
        resumed(html, halt);
    }
    states(html, ledger);
    html.raw("<div class=\"two\">\n");
    verdicts(html, ledger);
    commands(html, ledger);
    html.raw("</div>\n");
}

/// What only a person can move on.
fn waits(html: &mut Html, ledger: &Ledger) {
    let mut any = false;
    if let Some((at, by)) = &ledger.cord {
        any = true;
        html.raw("<div class=\"note bad\" role=\"note\"><p><strong>The stop cord is pulled.</strong> ").text(by).raw(" pulled it at ").time(*at);
        html.raw(". Nothing is sent until it is released.</p></div>\n");
    }
    for halt in ledger.open_halts() {
        any = true;
        html.raw("<div class=\"note bad\" role=\"note\"><p><strong>Lane ").text(&halt.lane).raw(" is halted</strong> since ").time(halt.at);
        html.raw(" by wave ").text(&halt.wave).raw(".</p><p>Why: ").text(plain(&halt.why));
        html.raw("</p><p>Nothing of this lane starts, bulk runs included, until a named person resumes it.</p></div>\n");
    }
    let tasks = tasks(ledger);
    if !tasks.is_empty() {
        any = true;
        html.raw("<div class=\"note warn\" role=\"note\"><p><strong>These wait for a person:</strong></p><ul>\n");
        for task in tasks.iter().take(HOLDS_SHOWN) {
            html.raw("<li>").text(task).raw("</li>\n");
        }
        if let Some(more) = tasks.len().checked_sub(HOLDS_SHOWN).filter(|more| *more > 0) {
            html.raw("<li>").number(more as u64).raw(" more, listed with their campaigns</li>\n");
        }
        html.raw("</ul></div>\n");
    }
    if !any {
        html.raw("<div class=\"note good\" role=\"note\"><p><strong>Nothing waits for a person.</strong></p></div>\n");
    }
}

fn tasks(ledger: &Ledger) -> Vec<String> {
    let mut tasks = Vec::new();
    for (id, campaign) in &ledger.campaigns {
        for (index, wave) in campaign.waves.iter().enumerate() {
            // Halts and the cord have their own place above.
            let told = |hold: &&Hold| hold.needs_a_person() && !matches!(hold, Hold::LaneHalted { .. } | Hold::CordPulled { .. } | Hold::CampaignOver { .. });
            for hold in wave.holds.iter().filter(told) {
                tasks.push(format!("Wave {id}.w{index} ({}): {}", plain(&wave.cut.name), plain(&hold.to_string())));
            }
        }
    }
    let mut owners: BTreeMap<&str, u64> = BTreeMap::new();
    for row in ledger.targets.values() {
        if let Standing::Quarantined { owner, .. } = &row.standing {
            *owners.entry(owner).or_default() += 1;
        }
    }
    tasks.extend(owners.into_iter().map(|(owner, n)| format!("{} for {}", count(n, "quarantined instance"), plain(owner))));
    tasks
}

fn resumed(html: &mut Html, halt: &Halt) {
    let Some((at, by, comment)) = &halt.resumed else { return };
    html.raw("<div class=\"note warn\" role=\"note\"><p><strong>Lane ").text(&halt.lane).raw(" was halted</strong> at ").time(halt.at);
    html.raw(" by wave ").text(&halt.wave).raw(": ").text(plain(&halt.why)).raw("</p><p><strong>").text(by).raw(" resumed it</strong> at ").time(*at);
    if comment.trim().is_empty() {
        html.raw(", without a comment");
    } else {
        html.raw(": “").text(plain(comment)).raw("”");
    }
    html.raw("</p></div>\n");
}

fn states(html: &mut Html, ledger: &Ledger) {
    let total = ledger.targets.len() as u64;
    let states = ledger.by_state();
    html.raw("<section class=\"card\" aria-label=\"Instances by state\">\n<p class=\"total\"><b>").number(total);
    html.raw(if total == 1 { "</b> known instance, in exactly one state</p>\n" } else { "</b> known instances, each in exactly one state</p>\n" });
    let told: Vec<String> = states.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {}", words(name))).collect();
    let parts: Vec<(&'static str, u64)> = states.clone();
    bar(html, "states", &told.join(", "), &parts, total);
    html.raw("<ul class=\"tiles\">\n");
    for (name, n) in &states {
        html.raw(if *n == 0 { "<li class=\"none\">" } else { "<li>" }).raw("<span class=\"big\">").number(*n);
        if *n > 0 {
            html.raw(" <small>").text(share(*n, total)).raw("</small>");
        }
        html.raw("</span><span class=\"name\"><i style=\"background:var(--").raw(name).raw(")\"></i>").text(words(name)).raw("</span></li>\n");
    }
    html.raw("</ul>\n</section>\n");
}

/// A bar of segments; each is painted with the style's variable of its name.
pub fn bar(html: &mut Html, class: &'static str, label: &str, parts: &[(&'static str, u64)], whole: u64) {
    html.raw("<svg class=\"")
        .raw(class)
        .raw("\" viewBox=\"0 0 10000 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"")
        .text(label)
        .raw("\"><title>")
        .text(label);
    html.raw("</title><rect width=\"10000\" height=\"10\" fill=\"var(--rest)\"/>");
    let place = |n: u64| u128::from(n.min(whole)).saturating_mul(10_000).checked_div(u128::from(whole)).unwrap_or(0);
    let mut so_far = 0_u64;
    for (name, n) in parts.iter().filter(|(_, n)| *n > 0) {
        let from = place(so_far);
        so_far = so_far.saturating_add(*n);
        let width = place(so_far).saturating_sub(from);
        // A hairline between segments, where there is room for one.
        let width = if width > 60 && so_far < whole { width - 20 } else { width.max(12) };
        html.raw("<rect x=\"").text(from).raw("\" width=\"").text(width).raw("\" height=\"10\" fill=\"var(--").raw(name).raw(")\"/>");
    }
    html.raw("</svg>\n");
}

fn verdicts(html: &mut Html, ledger: &Ledger) {
    html.raw(
        "<section class=\"card\">\n<h3>Instances by their last verdict</h3>\n<table><thead><tr><th scope=\"col\">Verdict</th><th \
        scope=\"col\">What it says</th><th scope=\"col\" class=\"n\">Instances</th></tr></thead><tbody>\n",
    );
    for (verdict, n) in ledger.by_verdict() {
        html.raw("<tr><th scope=\"row\">")
            .text(words(verdict.name()))
            .raw("</th><td class=\"small\">")
            .raw(meaning(verdict))
            .raw("</td><td class=\"n\">")
            .number(n)
            .raw("</td></tr>\n");
    }
    html.raw("</tbody></table>\n</section>\n");
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Remediated => "command, scan and AWS Config agree",
        Verdict::PatchedUnconfirmed => "command and scan agree; Config has not said so",
        Verdict::PendingReboot => "installed, not in force before a reboot",
        Verdict::FalseSuccess => "the command said success, the scan or Config says no",
        Verdict::FalseFailure => "the command said failure, the scan says patched",
        Verdict::Partial => "some patches failed to install",
        Verdict::Overwritten => "another scanner replaced the patch state",
        Verdict::Unknown => "not provable, so it counts as failed",
        Verdict::Failed => "it failed, and nothing says otherwise",
    }
}

fn commands(html: &mut Html, ledger: &Ledger) {
    let ran = ledger.commands;
    html.raw(
        "<section class=\"card\">\n<h3>Commands that Systems Manager took</h3>\n<table><thead><tr><th scope=\"col\">Step</th><th scope=\"col\" \
        class=\"n\">Commands</th></tr></thead><tbody>\n",
    );
    let backups = (ran.backup > 0).then_some(("Backup (an Automation execution)", ran.backup));
    for (name, n) in backups.into_iter().chain([("Install", ran.install), ("Reboot", ran.reboot), ("Scan", ran.scan)]) {
        html.raw("<tr><th scope=\"row\">").raw(name).raw("</th><td class=\"n\">").number(n).raw("</td></tr>\n");
    }
    html.raw("</tbody></table>\n<p class=\"small\">One command reaches up to 50 instances of one account, Region and platform.");
    if ran.adopted > 0 {
        html.raw(" For ").number(ran.adopted).raw(" of these the answer was lost, and a search found what had been sent.");
    }
    html.raw("</p>\n");
    html.raw("</section>\n");
}

/// A name of the journal as words.
pub fn words(name: &str) -> String {
    name.replace('_', " ")
}

//! The approval page: what the digest covers, and one form.

use tidegate_engine::tokens::{TokenRecord, UsedToken};
use tidegate_events::event::Word;
use tidegate_report::html::STYLE;
use tidegate_report::html::markup::Html;

use crate::coverage::{Coverage, CoveredCell};
use crate::http::Response;

/// What the page tells about the last attempt.
pub enum Told {
    /// Why it was not taken.
    Wrong(String),
    /// What was decided.
    Done(UsedToken),
}

const FORM_STYLE: &str = "header{margin-bottom:18px}form{display:grid;gap:10px;max-width:640px}label{display:grid;gap:4px;font-weight:600}textarea,input[type=text]{font:inherit;padding:8px 10px;border:1px solid var(--line);\
border-radius:8px;background:var(--page);color:var(--ink)}.choices{display:flex;gap:12px;flex-wrap:wrap}button{font:inherit;font-weight:650;border-radius:8px;padding:9px 22px;border:1px solid;cursor:pointer}\
.yes{background:var(--goodbg);color:var(--good)}.no{background:var(--badbg);color:var(--bad)}button:focus-visible,textarea:focus-visible,input:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}\
details{margin:6px 0}summary{cursor:pointer}.ids{columns:18em;margin:6px 0;padding-left:18px}";

/// A page with one message.
pub fn message(status: u16, title: &'static str, text: &'static str) -> Response {
    let mut html = Html::default();
    head(&mut html, title);
    html.raw("<header><h1>").raw(title).raw("</h1></header><main><p>").raw(text).raw("</p></main>\n");
    foot(&mut html);
    Response::html(status, html.into_string())
}

/// The page of what is asked.
pub fn approval(coverage: &Coverage, record: &TokenRecord, token: &str, told: Option<Told>) -> String {
    let mut html = Html::default();
    head(&mut html, "Approval");
    let targets: u64 = coverage.waves.iter().map(|wave| wave.targets).sum();
    html.raw("<header><h1>Approve ").text(&coverage.subject).raw("?</h1>\n<p class=\"sub\">").number(targets);
    html.raw(if targets == 1 { " instance in " } else { " instances in " }).number(coverage.waves.len() as u64);
    html.raw(if coverage.waves.len() == 1 { " wave" } else { " waves" }).raw(" · asked ").time(coverage.asked_at).raw("</p></header>\n<main>\n");
    match &told {
        Some(Told::Wrong(why)) => {
            html.raw("<div class=\"note bad\" role=\"alert\"><p><strong>Nothing was decided.</strong> ").text(why).raw("</p></div>\n");
        }
        Some(Told::Done(used)) => {
            html.raw("<div class=\"note good\" role=\"status\"><p><strong>").raw(past(used.word)).raw("</strong> by ").text(&used.by).raw(" at ").time(used.at);
            html.raw(". This link is used up.</p></div>\n");
        }
        None => {}
    }
    // The covered digest first: it is what a yes is bound to.
    html.raw("<section class=\"card\"><h2 style=\"margin-top:0\">What a yes covers</h2>\n<dl class=\"facts\"><div style=\"grid-column:1/-1\"><dt>Digest</dt><dd><code>");
    html.text(record.digest).raw("</code></dd></div><div><dt>Document</dt><dd><code>").text(&coverage.document).raw("</code></dd></div>");
    for (name, values) in &coverage.parameters {
        html.raw("<div><dt>").text(name).raw("</dt><dd><code>").text(values.join(", ")).raw("</code></dd></div>");
    }
    html.raw("<div><dt>Policy</dt><dd>")
        .text(&coverage.policy)
        .raw(" <code>")
        .text(coverage.policy_digest.short())
        .raw("</code></dd></div><div><dt>Approvals</dt><dd>");
    html.number(coverage.words.iter().filter(|word| word.word == Word::Approve).count() as u64)
        .raw(" of ")
        .number(u64::from(coverage.need))
        .raw("</dd></div></dl>\n");
    html.raw("<details><summary>The policy in sentences</summary><ul>");
    for rule in &coverage.rules {
        html.raw("<li>").text(rule).raw("</li>");
    }
    html.raw("</ul></details></section>\n");
    impact(&mut html, coverage);
    waves(&mut html, coverage, token);
    cells(&mut html, coverage, token);
    words(&mut html, coverage);
    if record.used.is_some() && !matches!(told, Some(Told::Done(_))) {
        html.raw("<div class=\"note\"><p>This link was used already.</p></div>\n");
    } else if !coverage.open || coverage.digest != record.digest {
        html.raw("<div class=\"note warn\"><p>This is not waiting for an answer any more, or what is asked has changed.</p></div>\n");
    } else if record.used.is_none() && !matches!(told, Some(Told::Done(_))) {
        form(&mut html, coverage, record, token);
    }
    html.raw("</main>\n");
    foot(&mut html);
    html.into_string()
}

/// What a yes would mean, marked as what it is: a reading aid that no digest covers.
fn impact(html: &mut Html, coverage: &Coverage) {
    let Some(impact) = &coverage.impact else { return };
    html.raw("<section class=\"card\" id=\"impact\"><h2 style=\"margin-top:0\">What to expect</h2>\n<ul>");
    for sentence in &impact.sentences {
        html.raw("<li>").text(sentence).raw("</li>");
    }
    html.raw("</ul><p class=\"sub\">To help you decide; no digest covers it, and nothing is decided on it.</p></section>\n");
}

fn past(word: Word) -> &'static str {
    match word {
        Word::Approve => "Approved",
        Word::Reject => "Rejected",
        Word::Revoke => "Revoked",
    }
}

fn head(html: &mut Html, title: &'static str) {
    html.raw(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    );
    html.raw("<meta name=\"robots\" content=\"noindex\">\n<title>")
        .raw(title)
        .raw(" - Tidegate</title>\n<style>\n")
        .raw(STYLE)
        .raw(FORM_STYLE)
        .raw("</style>\n</head>\n<body>\n");
}

fn foot(html: &mut Html) {
    html.raw("<footer><p>Tidegate. All times are UTC. Opening this page changes nothing.</p></footer>\n</body>\n</html>\n");
}

fn waves(html: &mut Html, coverage: &Coverage, token: &str) {
    html.raw("<h2>Waves</h2>\n<section class=\"card\"><div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Waves\"><table><thead><tr><th scope=\"col\">Wave</th>");
    html.raw(
        "<th scope=\"col\">Instances</th><th scope=\"col\">Cells</th><th scope=\"col\">Watched for</th><th scope=\"col\">Digest</th></tr></thead><tbody>\n",
    );
    for wave in &coverage.waves {
        html.raw("<tr><td><a href=\"?token=")
            .text(token)
            .raw("&amp;wave=")
            .text(wave.index)
            .raw("#cells\">")
            .text(&wave.name)
            .raw("</a></td><td class=\"n\">")
            .number(wave.targets);
        html.raw("</td><td class=\"n\">")
            .number(u64::from(wave.cells))
            .raw("</td><td>")
            .text(duration(wave.bake_secs))
            .raw("</td><td><code>")
            .text(wave.digest.short());
        html.raw("</code></td></tr>\n");
    }
    html.raw("</tbody></table></div></section>\n");
}

fn duration(secs: u32) -> String {
    match secs {
        0 => "not at all".into(),
        secs if secs % 3600 == 0 => format!("{} h", secs / 3600),
        secs if secs % 60 == 0 => format!("{} min", secs / 60),
        secs => format!("{secs} s"),
    }
}

fn cells(html: &mut Html, coverage: &Coverage, token: &str) {
    let Some(wave) = coverage.waves.iter().find(|wave| Some(wave.index) == coverage.cells_of) else { return };
    html.raw("<h2 id=\"cells\">Instances of ").text(&wave.name).raw("</h2>\n<section class=\"card\">\n");
    for cell in &coverage.cells {
        one_cell(html, cell);
    }
    if let Some(next) = &coverage.next {
        html.raw("<p><a href=\"?token=")
            .text(token)
            .raw("&amp;wave=")
            .text(wave.index)
            .raw("&amp;after=")
            .text(next)
            .raw("#cells\">More cells of this wave</a></p>\n");
    }
    html.raw("</section>\n");
}

fn one_cell(html: &mut Html, cell: &CoveredCell) {
    html.raw("<details><summary><strong>").text(&cell.account).raw("</strong> ").text(&cell.region).raw(": ").number(cell.instances.len() as u64);
    html.raw(if cell.instances.len() == 1 { " instance" } else { " instances" }).raw(", at once at most ");
    let least = cell.limits.iter().map(|(_, limit)| *limit).min();
    match least {
        Some(limit) => html.number(limit),
        None => html.raw("all"),
    };
    html.raw(" <code>").text(cell.digest.short()).raw("</code></summary><ul class=\"ids\">");
    for instance in &cell.instances {
        html.raw("<li><code>").text(instance).raw("</code></li>");
    }
    html.raw("</ul><p>Limits: ");
    for (n, (scope, limit)) in cell.limits.iter().enumerate() {
        html.raw(if n > 0 { ", " } else { "" }).text(scope).raw(" ").number(*limit);
    }
    html.raw("</p></details>\n");
}

fn words(html: &mut Html, coverage: &Coverage) {
    if coverage.words.is_empty() {
        return;
    }
    html.raw("<h2>Said so far</h2>\n<section class=\"card\"><ul>\n");
    for word in &coverage.words {
        html.raw("<li>").raw(past(word.word)).raw(" by ").text(&word.by).raw(" at ").time(word.at);
        if !word.comment.is_empty() {
            html.raw(": ").text(&word.comment);
        }
        html.raw("</li>\n");
    }
    html.raw("</ul></section>\n");
}

fn form(html: &mut Html, coverage: &Coverage, record: &TokenRecord, token: &str) {
    html.raw("<h2 id=\"decide\">Your decision</h2>\n<section class=\"card\"><form method=\"post\" action=\"/approval\" autocomplete=\"off\">\n<input type=\"hidden\" name=\"token\" value=\"");
    html.text(token).raw("\"><input type=\"hidden\" name=\"digest\" value=\"").text(record.digest).raw("\">\n");
    match &record.approver {
        Some(approver) => {
            html.raw("<p>You decide as <strong>").text(approver).raw("</strong>. The link works once, until ").time(record.expires_at).raw(".</p>\n");
        }
        None => {
            html.raw("<label>Your name<input type=\"text\" name=\"name\" required maxlength=\"64\" pattern=\"[A-Za-z0-9_.@+=,\\-]+\" autocomplete=\"name\"></label>\n");
        }
    }
    html.raw("<label>Comment (a no needs one");
    html.raw(if coverage.comment_required { ", and so does a yes here" } else { "" });
    html.raw(")<textarea name=\"comment\" rows=\"3\" maxlength=\"1000\"></textarea></label>\n<div class=\"choices\"><button class=\"yes\" name=\"word\" value=\"approve\">Approve</button>");
    html.raw("<button class=\"no\" name=\"word\" value=\"reject\">Reject</button></div>\n</form></section>\n");
}

//! The report as one HTML page: no scripts, no other files, nothing that is not in the journal.

use tidegate_events::id::Digest;
use tidegate_events::journal::Line;

use crate::ledger::Ledger;
use markup::Html;

mod campaigns;
pub mod markup;
mod overview;
mod targets;
#[cfg(test)]
mod tests;

/// The style sheet of every page.
pub const STYLE: &str = include_str!("html/style.css");

/// What the journal does not say about the page.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The page's title.
    pub title: String,
    /// For whom it is; left out when empty.
    pub generated_for: String,
    /// The hash over all lines: [`PackWriter::root`](crate::PackWriter::root) after the last one.
    pub root: Digest,
}

/// The page of these lines, in commit order. The same lines give the same bytes.
pub fn render(lines: impl Iterator<Item = Line>, meta: &Meta) -> String {
    let mut ledger = Ledger::default();
    for line in lines {
        ledger.apply(&line);
    }
    page(&ledger, meta)
}

/// The page of a ledger that has taken every line already.
pub fn page(ledger: &Ledger, meta: &Meta) -> String {
    let mut html = Html::default();
    head(&mut html, ledger, meta);
    html.raw("<main>\n");
    overview::write(&mut html, ledger);
    campaigns::write(&mut html, ledger);
    targets::write(&mut html, ledger);
    timeline(&mut html, ledger);
    evidence(&mut html, ledger, meta);
    html.raw("</main>\n<footer><p>Written by Tidegate from the journal alone. All times are UTC.</p></footer>\n</body>\n</html>\n");
    html.into_string()
}

fn head(html: &mut Html, ledger: &Ledger, meta: &Meta) {
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    html.text(&meta.title).raw("</title>\n<style>\n").raw(STYLE).raw("</style>\n</head>\n<body>\n<header>\n<h1>");
    html.text(&meta.title).raw("</h1>\n<p class=\"sub\">");
    match ledger.span {
        Some((first, last)) => html.time(first).raw(" to ").time(last),
        None => html.raw("The journal is empty"),
    };
    if !meta.generated_for.is_empty() {
        html.raw(" · for ").text(&meta.generated_for);
    }
    html.raw(
        "</p>\n<nav aria-label=\"Sections\"><a href=\"#overview\">Overview</a><a href=\"#campaigns\">Campaigns</a><a href=\"#targets\">Instances \
        that need a look</a>",
    );
    html.raw("<a href=\"#timeline\">Timeline</a><a href=\"#evidence\">Evidence</a></nav>\n</header>\n");
}

fn timeline(html: &mut Html, ledger: &Ledger) {
    html.raw("<h2 id=\"timeline\">Timeline</h2>\n<section class=\"card\">\n");
    if ledger.timeline.is_empty() {
        html.raw("<p class=\"empty\">No campaign, wave or lane has moved.</p>\n");
    } else {
        let rows = ledger.timeline.iter().map(|(at, text)| vec![markup::Field::Time(*at), markup::Field::Text(text.clone())]);
        markup::table(html, "What happened, in order", &["When", "What"], rows);
        markup::left_out(html, ledger.timeline_cut);
    }
    html.raw("</section>\n");
}

fn evidence(html: &mut Html, ledger: &Ledger, meta: &Meta) {
    html.raw("<h2 id=\"evidence\">Evidence</h2>\n<section class=\"card\">\n<dl class=\"facts\"><div><dt>Journal</dt><dd>").number(ledger.lines);
    html.raw(if ledger.lines == 1 { " line" } else { " lines" });
    html.raw(", hash-chained</dd></div><div style=\"grid-column:span 2\"><dt>Root: the hash over all lines</dt><dd><code>")
        .text(meta.root)
        .raw("</code></dd></div></dl>\n");
    html.raw(concat!(
        "<p>Everything on this page is derived from <code>journal.jsonl</code>. To check that neither it nor this page was changed since, with no \
            network and no AWS access:</p>\n",
        "<pre><code>tidegate verify DIR</code></pre>\n",
        "<p><code>DIR</code> is the folder that holds this page, <code>journal.jsonl</code> and <code>anchor.json</code>. A line that was changed, removed, ",
        "added, moved or cut off is named. Whoever can write the folder could write a whole new one: compare the root with one that reached you \
            another way.</p>\n",
        "<h4>What counts as proof</h4>\n<ol>\n",
        "<li>The command's own end, as Systems Manager states it. Alone it proves nothing.</li>\n",
        "<li>A scan after the install and its reboot: nothing missing, failed, rejected or waiting for a reboot.</li>\n",
        "<li>AWS Config's verdict on a state that was captured after the install ended.</li>\n</ol>\n",
        "<p><strong>Proofs 2 and 3 are not independent:</strong> the scan and AWS Config both rest on what the Systems Manager agent on the instance reports. ",
        "An agent that reports wrongly misleads both. <em>Remediated</em> means that all three agree; <em>patched unconfirmed</em> that the third is \
            not there.</p>\n",
    ));
    html.raw("</section>\n");
}

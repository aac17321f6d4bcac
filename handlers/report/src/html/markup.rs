//! HTML that can't be injected into: markup is written in the source, everything else is escaped.

use std::fmt::{self, Write as _};

use jiff::Timestamp;

use crate::words::{number, safe, when};

/// Rows of a table that are shown; the journal has the rest.
pub const TABLE_ROWS: usize = 500;

/// A page as it is written.
#[derive(Default)]
pub struct Html(String);

impl Html {
    /// Markup: only what stands in the source, so that no text of the journal can be taken for it.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, escaped; also inside a quoted attribute.
    pub fn text(&mut self, text: impl fmt::Display) -> &mut Self {
        // Writing to a string does not fail; a failing `Display` leaves its text out.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// A number with its thousands grouped.
    pub fn number(&mut self, n: u64) -> &mut Self {
        self.text(number(n))
    }

    /// A time, for people and for programs.
    pub fn time(&mut self, at: Timestamp) -> &mut Self {
        self.raw("<time datetime=\"").text(at).raw("\">").text(when(at)).raw("</time>")
    }

    /// The page.
    pub fn into_string(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(safe(c)),
            }
        }
        Ok(())
    }
}

/// One field of a table.
pub enum Field {
    /// Text.
    Text(String),
    /// An id or a digest.
    Code(String),
    /// A number, flush right.
    Number(u64),
    /// A time.
    Time(Timestamp),
}

/// A table with its headings; beyond [`TABLE_ROWS`] it says how many rows are left out and where they are.
pub fn table(html: &mut Html, caption: &'static str, heads: &[&'static str], rows: impl Iterator<Item = Vec<Field>>) {
    html.raw("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"").raw(caption).raw("\"><table><caption class=\"unseen\">").raw(caption);
    html.raw("</caption><thead><tr>");
    for head in heads {
        html.raw("<th scope=\"col\">").raw(head).raw("</th>");
    }
    html.raw("</tr></thead><tbody>\n");
    let mut rows = rows;
    for row in rows.by_ref().take(TABLE_ROWS) {
        html.raw("<tr>");
        for field in row {
            match field {
                Field::Text(text) => html.raw("<td>").text(text),
                Field::Code(text) => html.raw("<td><code>").text(text).raw("</code>"),
                Field::Number(n) => html.raw("<td class=\"n\">").number(n),
                Field::Time(at) => html.raw("<td class=\"t\">").time(at),
            };
            html.raw("</td>");
        }
        html.raw("</tr>\n");
    }
    html.raw("</tbody></table></div>\n");
    left_out(html, rows.count() as u64);
}

/// The line under a list that was cut.
pub fn left_out(html: &mut Html, more: u64) {
    if more > 0 {
        html.raw("<p class=\"cut\">").number(more).raw(" more are not shown here; all of them are in <code>journal.jsonl</code>.</p>\n");
    }
}

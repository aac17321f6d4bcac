//! What a policy asks about missing patches, CVE by CVE: `[by_cve]`.

use super::parts::{need, selector};
use crate::deadline::{CveRules, DecisionTable, Impact, TableFile, TableRow, bod_26_04};
use crate::policy::read::Section;
use crate::policy::text::short;

/// The table that comes with Tidegate.
const BOD_26_04: &str = "bod-26-04";
/// More than the sixteen combinations is a mistake, and is told as one.
const ROWS_MAX: usize = 64;

pub(super) fn by_cve(top: &Section<'_>) -> Option<CveRules> {
    let section = top.table("by_cve", "`[by_cve]`", &["kev", "table", "exposed", "relax"])?;
    let table = table(&section);
    if section.has("exposed") && !section.has("table") {
        section.report.at(&section.span, "`exposed` in `[by_cve]` has no effect without a `table`: add `table = \"bod-26-04\"`, or remove it");
    }
    Some(CveRules {
        kev: section.flag("kev").unwrap_or(true),
        table,
        exposed: section.has("exposed").then(|| selector(&section, "exposed")),
        relax: section.flag("relax").unwrap_or(false),
    })
}

/// By name, or written out.
fn table(section: &Section<'_>) -> Option<DecisionTable> {
    if section.has_table("table") {
        return written(&section.table("table", "`table` of `[by_cve]`", &["name", "source", "version", "row"])?);
    }
    let name = section.text("table")?;
    match bod_26_04().ok().filter(|_| name.value == BOD_26_04) {
        Some(table) => Some(table),
        None => {
            let message = format!("the decision table `{}` is unknown: expected `{BOD_26_04}`, or a table of your own under `[by_cve.table]`", short(name.value));
            section.report.at(&name.span, message);
            None
        }
    }
}

fn written(section: &Section<'_>) -> Option<DecisionTable> {
    let before = section.report.count();
    need(section, &["name", "source", "version", "row"], "expected a name, where the table is written down, which version of that, and sixteen rows");
    let words = |key: &str| section.words(key, 200).map(|text| text.value.trim().to_owned()).unwrap_or_default();
    let rows = section.tables("row", ROWS_MAX, &["kev", "exposed", "automatable", "impact", "days", "triage"])?;
    let row = |row: &Section<'_>| {
        need(row, &["kev", "exposed", "automatable", "impact"], "expected the four facts that the row is about");
        Some(TableRow {
            kev: row.flag("kev")?,
            exposed: row.flag("exposed")?,
            automatable: row.flag("automatable")?,
            impact: row.choice("impact", &[("partial", Impact::Partial), ("total", Impact::Total)])?,
            days: row.number("days", 0..=3_650, "days").map(|days| days.value),
            triage: row.flag("triage").unwrap_or(false),
        })
    };
    let file = TableFile { name: words("name"), source: words("source"), version: words("version"), row: rows.value.iter().filter_map(row).collect() };
    if section.report.count() > before {
        return None;
    }
    DecisionTable::try_from(file).map_err(|error| section.report.at(&rows.span, error.to_string())).ok()
}

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
            let message =
                format!("the decision table `{}` is unknown: expected `{BOD_26_04}`, or a table of your own under `[by_cve.table]`", short(name.value));
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

#[cfg(test)]
mod tests {
    use crate::policy::{explain, lint, parse};

    fn wrong(text: &str) -> String {
        parse(&format!("name = \"t\"\n{text}"), "p.toml").unwrap_err().to_string()
    }

    #[test]
    fn what_comes_with_tidegate_is_named_and_what_does_not_is_written_out() {
        let read = |text: &str| parse(&format!("name = \"t\"\n{text}"), "p.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let plain = read("");
        assert_eq!(plain.by_cve, None);
        assert!(!plain.to_json().contains("by_cve"), "a policy that does not ask keeps its digest");
        let named = read("[by_cve]\ntable = \"bod-26-04\"\nexposed = { tags = { Exposure = \"public\" } }\n");
        let rules = named.by_cve.clone().unwrap();
        assert!(rules.kev && !rules.relax && rules.exposed.is_some());
        // Written out it is the very same table.
        let text = include_str!("../../../policies/sla/bod-26-04.toml").replace("[[row]]", "[[by_cve.table.row]]");
        let (head, rows) = text.split_at(text.find("[[by_cve").unwrap());
        let own = read(&format!("[by_cve]\nexposed = {{ tags = {{ Exposure = \"public\" }} }}\n[by_cve.table]\n{head}\n{rows}"));
        assert_eq!(own.by_cve, named.by_cve);
        assert_eq!(own.digest(), named.digest());
        let again: crate::policy::Policy = serde_json::from_str(&own.to_json()).unwrap();
        assert_eq!(again, own, "what is pinned is read back");
        assert_ne!(named.digest(), plain.digest());
    }

    #[test]
    fn what_is_wrong_is_named_where_it_stands() {
        assert_eq!(wrong("[by_cve]\nkve = true"), "p.toml:3:1: unknown key `kve` in `[by_cve]`: expected one of `kev`, `table`, `exposed` and `relax`");
        assert_eq!(wrong("[by_cve]\nkev = 1"), "p.toml:3:7: `kev` in `[by_cve]` must be `true` or `false`, not the number 1");
        assert!(wrong("[by_cve]\ntable = \"bod-22-01\"").starts_with("p.toml:3:9: the decision table `bod-22-01` is unknown: expected `bod-26-04`"));
        assert!(wrong("[by_cve]\nexposed = { tags = { a = \"b\" } }").contains("has no effect without a `table`"));
        assert!(wrong("[by_cve]\ntable = \"bod-26-04\"\nexposed = {}").contains("`exposed` of `[by_cve]` selects nothing in particular"));
        let table = "[by_cve.table]\nname = \"ours\"\nsource = \"s\"\nversion = \"1\"\n";
        assert!(wrong(table).contains("`row` is missing in `table` of `[by_cve]`"), "{}", wrong(table));
        let row = "[[by_cve.table.row]]\nkev = true\nexposed = true\nautomatable = true\nimpact = \"total\"\n";
        assert!(wrong(&format!("{table}{row}")).contains("the decision table has 0 rows for kev = true"));
        assert!(wrong(&format!("{table}{row}{row}")).contains("has 2 rows for kev = true, exposed = true, automatable = true, impact = Total"));
        assert!(wrong(&format!("{table}{}", row.replace("total", "much"))).contains("`impact` in `[[row]]` number 1 is `much`: expected one of"));
        let other = wrong("remediation = \"imdsv2\"\n[by_cve]");
        assert!(other.contains("`[by_cve]` asks for missing patches, but catalog entry `imdsv2` installs none"), "{other}");
    }

    #[test]
    fn it_is_said_what_it_does_and_what_is_unwise() {
        let read = |text: &str| parse(&format!("name = \"t\"\n[by_cve]\n{text}"), "p.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let said = explain(&read("table = \"bod-26-04\"")).join("\n");
        for part in [
            "one call each",
            "`tidegate kev load`",
            "decision table `bod-26-04`",
            "the strictest row counts",
            "never later",
            "who is due first is patched first",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(explain(&read("relax = true")).join("\n").contains("while it is not broken, later"));
        let rules = |text: &str| lint(&read(text)).into_iter().map(|lint| lint.rule).collect::<Vec<_>>();
        assert!(rules("kev = false\ntable = \"bod-26-04\"").contains(&"table-without-kev"));
        assert!(!rules("table = \"bod-26-04\"").contains(&"table-without-kev"));
    }
}

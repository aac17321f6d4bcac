//! Entries keep the form in which they were once written.

use super::*;

#[test]
fn entries_keep_their_written_form() {
    let entry = Entry::CampaignClosing { campaign: "patch-default.1".parse().unwrap() };
    let text = serde_json::to_string(&entry).unwrap();
    assert_eq!(text, r#"{"entry":"campaign_closing","campaign":"patch-default.1"}"#);
    assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
}

#[test]
fn every_standing_has_a_column_in_the_summary() {
    for standing in [Standing::Compliant, Standing::Gone, Standing::Unmanaged { why: String::new() }] {
        assert!(Standing::NAMES.contains(&standing.name(false)));
    }
}

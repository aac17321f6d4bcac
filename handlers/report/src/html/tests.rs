use tidegate_events::entry::Standing;
use tidegate_events::id::Digest;

use super::*;
use crate::sample::{Book, story};

fn meta() -> Meta {
    Meta { title: "Patch compliance <report> & \"evidence\"".into(), generated_for: "audit@example.com".into(), root: Digest::of(b"root") }
}

#[test]
#[ignore = "writes a page to look at into the folder for temporary files"]
fn a_page_to_look_at() {
    let meta = Meta { title: "Patch compliance report".into(), ..meta() };
    std::fs::write(std::env::temp_dir().join("report.html"), render(story().lines(), &meta)).unwrap();
    std::fs::write(std::env::temp_dir().join("report-empty.html"), render(Book::new().lines(), &meta)).unwrap();
}

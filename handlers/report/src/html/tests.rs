use tidegate_events::Entry;
use tidegate_events::entry::Standing;
use tidegate_events::id::Digest;

use super::*;
use crate::sample::{Book, story, target};

fn meta() -> Meta {
    Meta { title: "Patch <b>compliance</b> & \"evidence\"".into(), generated_for: "audit's office".into(), root: Digest::of(b"root") }
}

fn story_page() -> String {
    render(story().lines(), &meta())
}

#[test]
fn the_same_journal_gives_the_same_page() {
    assert_eq!(story_page(), story_page());
}

#[test]
fn nothing_of_the_journal_becomes_markup() {
    let page = story_page();
    for text in ["<script", "<i>", "</td>,", "<b>c", "javascript:"] {
        assert!(!page.contains(text), "{text}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("<title>Patch &lt;b&gt;compliance&lt;/b&gt; &amp; &quot;evidence&quot;</title>"));
    assert!(page.contains("audit&#39;s office"));
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = story_page();
    for text in ["http://", "https://", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(text), "{text}");
    }
}

/// Every tag that is opened is closed, in order.
#[test]
fn tags_are_balanced() {
    let empty = ["meta", "br", "rect"];
    for page in [story_page(), render(Book::new().lines(), &meta())] {
        let body = page.replace(include_str!("style.css"), "");
        let mut open: Vec<String> = Vec::new();
        for tag in body.split('<').skip(1) {
            let name: String = tag.chars().skip_while(|c| *c == '/').take_while(|c| c.is_ascii_alphanumeric()).collect();
            if tag.starts_with('!') || empty.contains(&name.as_str()) {
                continue;
            }
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name));
            } else {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}

#[test]
fn the_page_says_what_people_must_know() {
    let page = story_page();
    for text in [
        "</b> known instances, each in exactly one state",
        "Lane patch-default is halted</strong> since",
        "Why: 5 instances stopped answering after their reboot",
        "<strong>carol resumed it</strong> at",
        "2 quarantined instances for ops@example.com",
        "1 of 2 approvals for digest",
        "CHG0031245, reviewed with the platform team",
        "vendor appliance",
        "the spoke role can&#39;t be assumed (AccessDenied)",
        "Config did not confirm it in time",
        "<code>tidegate verify DIR</code>",
        "Proofs 2 and 3 are not independent",
        &Digest::of(b"root").to_string(),
    ] {
        assert!(page.contains(text), "{text}");
    }
    let quiet = render(Book::new().lines(), &meta());
    assert!(quiet.contains("Nothing waits for a person.") && quiet.contains("The journal is empty"));
}

#[test]
fn long_tables_are_cut_and_say_so() {
    let mut book = Book::new();
    for n in 0..620 {
        let to = Standing::Unmanaged { why: "no agent".into() };
        book.write(&format!("target/{n}"), vec![Entry::Moved { target: target(n), to, verdict: None, why: String::new() }]);
        book.write("organization", vec![Entry::CordMoved { pulled: n % 2 == 0, by: "alice".parse().unwrap(), kill: false, comment: String::new() }]);
    }
    let page = render(book.lines(), &meta());
    assert_eq!(page.matches("<p class=\"cut\">120 more are not shown here; all of them are in <code>journal.jsonl</code>.</p>").count(), 2);
    assert_eq!(page.matches("<td>no agent</td>").count(), 500);
    assert!(page.contains("<span class=\"badge\">620</span>"));
}

#[test]
#[ignore = "writes pages to look at into the folder for temporary files"]
fn pages_to_look_at() {
    let meta = Meta { title: "Patch compliance report".into(), ..meta() };
    std::fs::write(std::env::temp_dir().join("report.html"), render(story().lines(), &meta)).unwrap();
    std::fs::write(std::env::temp_dir().join("report-empty.html"), render(Book::new().lines(), &meta)).unwrap();
}

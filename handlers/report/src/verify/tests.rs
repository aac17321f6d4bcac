use std::fs;
use std::io::Write as _;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::pack::{PackError, PackWriter, write_journal};
use crate::sample::{Book, journal_of, story};

/// How one byte, or one line, of a file can be wrong.
#[derive(Debug, Clone)]
enum Harm {
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
    Append(u8),
    RemoveLine(prop::sample::Index),
    RepeatLine(prop::sample::Index),
    SwapLines(prop::sample::Index, prop::sample::Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), 1..=255_u8).prop_map(|(at, with)| Harm::Flip(at, with)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Harm::Insert(at, byte)),
        2 => at().prop_map(Harm::Remove),
        2 => at().prop_map(Harm::Cut),
        1 => any::<u8>().prop_map(Harm::Append),
        2 => at().prop_map(Harm::RemoveLine),
        2 => at().prop_map(Harm::RepeatLine),
        2 => (at(), at()).prop_map(|(a, b)| Harm::SwapLines(a, b)),
    ]
}

/// The harmed bytes; the same bytes only where two equal lines, or one line with itself, were swapped.
fn harmed(bytes: &[u8], harm: &Harm) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    match harm {
        Harm::Flip(at, with) => out[at.index(bytes.len())] ^= with,
        Harm::Insert(at, byte) => out.insert(at.index(bytes.len() + 1), *byte),
        Harm::Remove(at) => drop(out.remove(at.index(bytes.len()))),
        Harm::Cut(at) => out.truncate(at.index(bytes.len())),
        Harm::Append(byte) => out.push(*byte),
        Harm::RemoveLine(at) => {
            lines.remove(at.index(lines.len()));
            out = lines.concat();
        }
        Harm::RepeatLine(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at].clone());
            out = lines.concat();
        }
        Harm::SwapLines(a, b) => {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
            out = lines.concat();
        }
    }
    out
}

const PAGE: &[u8] = b"<!doctype html>\n<title>report</title>\n";

fn write_pack(dir: &Path, lines: &[Vec<u8>]) {
    let mut pack = PackWriter::create(dir).unwrap();
    for line in lines {
        pack.add_line(line).unwrap();
    }
    pack.finish(&[("report.html", PAGE), ("empty.csv", b"")]).unwrap();
}

fn journal(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    write_journal(&mut out, lines).unwrap();
    out
}

fn check(bytes: &[u8]) -> Result<Chain, Damage> {
    match Walk::new(bytes, "j").run() {
        Ok((chain, _)) => Ok(chain),
        Err(Stop::Damage(damage)) => Err(damage),
        Err(Stop::Io(e)) => panic!("{e}"),
    }
}

fn damage(result: Result<Verified, VerifyError>) -> Damage {
    match result {
        Err(VerifyError::Damaged(damage)) => damage,
        other => panic!("not damaged: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_harm_to_any_file_of_a_pack_is_found(streams in prop::collection::vec(0..3_u8, 0..7), file in 0..4_usize, harm in harm()) {
        let dir = TempDir::new().unwrap();
        write_pack(dir.path(), &journal_of(&streams));
        let intact = verify(dir.path()).unwrap();
        prop_assert_eq!((intact.lines, intact.anchored, intact.files), (streams.len() as u64, true, 2));

        let name = ["journal.jsonl", "anchor.json", "report.html", "empty.csv"][file];
        let path = dir.path().join(name);
        let before = fs::read(&path).unwrap();
        prop_assume!(!before.is_empty() || matches!(harm, Harm::Append(_)));
        let after = harmed(&before, &harm);
        fs::write(&path, &after).unwrap();
        for at in [dir.path().to_owned(), dir.path().join("journal.jsonl")] {
            if after == before {
                prop_assert_eq!(&verify(&at).unwrap(), &intact);
            } else {
                let damage = damage(verify(&at));
                prop_assert_eq!(&damage.file, name, "{}", damage);
                prop_assert_eq!(damage.line.is_some(), name == "journal.jsonl");
            }
        }
    }

    #[test]
    fn any_harm_to_a_lone_journal_is_found(streams in prop::collection::vec(0..3_u8, 0..9), harm in harm()) {
        let before = journal(&journal_of(&streams));
        prop_assert_eq!(check(&before).unwrap().lines, streams.len() as u64);
        let after = harmed(&before, &harm);
        prop_assert_eq!(check(&after).is_ok(), after == before);
    }

    #[test]
    fn whatever_the_bytes_are_verification_ends(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(check(&bytes).is_err());
    }
}

#[test]
fn every_byte_of_a_journal_counts_and_the_line_is_named() {
    let before = journal(&journal_of(&[0, 1, 0, 2, 1]));
    let mut place = 1;
    for at in 0..before.len() {
        let found = |after: &[u8], what: &str| {
            let damage = check(after).expect_err(what);
            assert_eq!(damage.line, Some(place), "{what} at byte {at}: {damage}");
        };
        for with in [1, 0x20, 0x80, b'\n' ^ before[at]] {
            if with != 0 {
                let mut after = before.clone();
                after[at] ^= with;
                found(&after, "flip");
            }
        }
        let mut removed = before.clone();
        removed.remove(at);
        found(&removed, "remove");
        for byte in [b' ', b'0', b'\n', b'\r', b'}'] {
            let mut after = before.clone();
            after.insert(at, byte);
            // One more newline right before a newline is a blank line after it.
            if !(byte == b'\n' && before[at] == b'\n') {
                found(&after, "insert");
            }
        }
        place += u64::from(before[at] == b'\n');
    }
}

#[test]
fn damage_is_told_in_words() {
    let whole = journal(&journal_of(&[0, 1, 0, 2, 1]));
    let lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').collect();
    let told = |order: &[usize]| check(&order.iter().map(|n| lines[n - 1]).collect::<Vec<_>>().concat()).unwrap_err().to_string();
    assert_eq!(told(&[1, 2, 4, 5, 6]), "`j` line 3: states number 4: lines are missing or were reordered");
    assert_eq!(told(&[1, 2, 2, 3, 4, 5, 6]), "`j` line 3: states number 2: lines were duplicated, inserted or reordered");
    assert_eq!(told(&[1, 3, 2, 4, 5, 6]), "`j` line 2: states number 3: lines are missing or were reordered");
    assert_eq!(told(&[1, 2, 3, 4, 5]), "`j` line 6: is missing: the file was cut before its end line");
    assert_eq!(told(&[1, 2, 3, 6]), "`j` line 4: ends a journal of 5 lines after 3: lines before it are missing");
    assert_eq!(told(&[1, 2, 3, 4, 5, 6, 6]), "`j` line 7: follows the end line, which nothing may");
    assert_eq!(check(b"").unwrap_err().to_string(), "`j` line 1: is empty");
    let text = String::from_utf8(whole.clone()).unwrap();
    assert!(check(text.replace('\n', "\r\n").as_bytes()).unwrap_err().what.contains("carriage return"));
    assert!(check(&whole[..whole.len() - 1]).unwrap_err().what.contains("newline"));
    assert!(
        check(text.replacen("patch-default.2", "patch-default.7", 1).as_bytes())
            .unwrap_err()
            .to_string()
            .starts_with("`j` line 3 (stream `stream/0`): was changed")
    );
    assert_eq!(check(b"no json\n").unwrap_err().line, Some(1));
    assert!(check(&journal_of(&[0])[0].iter().copied().chain(*b"\n").collect::<Vec<u8>>()).unwrap_err().what.contains("not written as a journal line"));
}

#[test]
fn a_consistent_forgery_still_breaks_its_streams() {
    // Every hash of the file is right; only the streams are not.
    let mut stored = journal_of(&[0, 1, 0]);
    // A third of stream 0 that forgets the one before it.
    let mut line: Line = serde_json::from_slice(&stored[2]).unwrap();
    line.previous = Digest::default();
    stored.push(line.to_bytes().unwrap());
    let forge = |order: &[usize]| {
        let (mut chain, mut out) = (Chain::default(), Vec::new());
        for n in order {
            let mut row = frame(chain.lines + 1, &chain.root).into_bytes();
            row.extend_from_slice(&stored[*n]);
            row.push(b'}');
            chain.extend(&row);
            row.push(b'\n');
            out.extend(row);
        }
        writeln!(out, "{}", End::new(chain.lines, chain.root, None).to_text()).unwrap();
        out
    };
    assert!(check(&forge(&[0, 1, 2])).is_ok());
    assert!(check(&forge(&[1, 0, 2])).is_ok(), "lines of two streams may come in either order");
    assert_eq!(check(&forge(&[2, 1, 0])).unwrap_err().to_string(), "`j` line 1 (stream `stream/0`): it is number 2 of its stream where 1 is due");
    assert_eq!(check(&forge(&[0, 0])).unwrap_err().line, Some(2));
    assert_eq!(check(&forge(&[0, 1, 3])).unwrap_err().to_string(), "`j` line 3 (stream `stream/0`): it does not follow from the line before it in its stream");
    assert_eq!(check(&forge(&[1, 2])).unwrap_err().stream.as_deref(), Some("stream/0"));
}

#[test]
fn a_pack_that_is_not_whole_is_damaged() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert_eq!(damage(verify(dir.path())).to_string(), "`journal.jsonl`: is missing");
    write_pack(dir.path(), &journal_of(&[0, 1]));
    assert!(verify(dir.path()).unwrap().to_string().starts_with("intact: 2 lines of 2 streams, the anchor and 2 further files; root "));

    fs::remove_file(at("report.html")).unwrap();
    assert_eq!(damage(verify(dir.path())).to_string(), "`report.html`: is missing");
    fs::create_dir(at("report.html")).unwrap();
    assert_eq!(damage(verify(dir.path())).to_string(), "`report.html`: is not a file");
    fs::remove_file(at("anchor.json")).unwrap();
    assert_eq!(damage(verify(dir.path())).to_string(), "`anchor.json`: is missing");
    let alone = verify(&at("journal.jsonl")).unwrap();
    assert!(!alone.anchored && alone.to_string().contains("no anchor was checked"), "{alone}");
    fs::rename(at("journal.jsonl"), at("other")).unwrap();
    assert_eq!(verify(&at("other")).unwrap(), alone);

    fs::write(at("journal.jsonl"), journal(&journal_of(&[0, 1]))).unwrap();
    write_pack(&at("deep"), &journal_of(&[0, 1]));
    fs::copy(at("deep/anchor.json"), at("anchor.json")).unwrap();
    assert!(damage(verify(dir.path())).what.contains("without an anchor"));
    assert!(matches!(verify(&at("nowhere")), Err(VerifyError::Unreadable { .. })));
}

#[test]
fn an_anchor_that_lists_a_path_is_not_followed() {
    let dir = TempDir::new().unwrap();
    let mut chain = Chain::default();
    let files = [("../secret".to_owned(), Digest::of(b""))].into_iter().collect();
    let anchor = chain.anchor(files).to_bytes().unwrap();
    fs::write(dir.path().join(ANCHOR), &anchor).unwrap();
    fs::write(dir.path().join(JOURNAL), format!("{}\n", End::new(0, chain.root, Some(Digest::of(&anchor))).to_text())).unwrap();
    assert!(damage(verify(dir.path())).what.contains("`../secret`"));
    // The same with an anchor that adds a stream, with every digest right.
    chain.streams.insert("ghost".into(), crate::chain::Head { seq: 1, head: Digest::default() });
    let anchor = chain.anchor(Default::default()).to_bytes().unwrap();
    fs::write(dir.path().join(ANCHOR), &anchor).unwrap();
    fs::write(dir.path().join(JOURNAL), format!("{}\n", End::new(0, chain.root, Some(Digest::of(&anchor))).to_text())).unwrap();
    assert!(damage(verify(dir.path())).what.contains("`ghost`"));
}

#[test]
fn a_writer_refuses_what_would_not_verify() {
    let stored = journal_of(&[0, 0, 1]);
    let refuse = |lines: &[&[u8]]| write_journal(&mut Vec::new(), lines).unwrap_err();
    assert!(matches!(refuse(&[&stored[1]]), PackError::Misfit { n: 1, .. }));
    assert!(matches!(refuse(&[&stored[0], &stored[0]]), PackError::Misfit { n: 2, .. }));
    let broken: Vec<u8> = stored[0].iter().copied().chain(*b"\n").collect();
    assert!(matches!(refuse(&[&broken]), PackError::NotALine { n: 1, .. }));
    assert!(matches!(refuse(&[b"{}"]), PackError::NotALine { n: 1, .. }));
    for name in ["", "a/b", "..", ".hidden", "journal.jsonl", "Anchor.JSON", "a b"] {
        let dir = TempDir::new().unwrap();
        let pack = PackWriter::create(dir.path()).unwrap();
        assert!(matches!(pack.finish(&[(name, b"")]), Err(PackError::Name(_))), "{name}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing half-written stays");
    }
}

#[test]
fn nothing_has_its_name_before_it_is_whole() {
    let dir = TempDir::new().unwrap();
    write_pack(dir.path(), &journal_of(&[0]));
    let mut pack = PackWriter::create(dir.path()).unwrap();
    for line in journal_of(&[0, 1, 2]) {
        pack.add_line(&line).unwrap();
    }
    assert_eq!((pack.lines(), verify(dir.path()).unwrap().lines), (3, 1), "the old pack stays until the new one is whole");
    let root = pack.root();
    assert_eq!(pack.finish(&[]).unwrap().root, root);
    assert_eq!(verify(dir.path()).unwrap().root, root);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("partial")), "{names:?}");
}

#[test]
fn a_whole_story_packs_and_verifies() {
    let book: Book = story();
    let bytes = journal(&book.stored);
    assert_eq!(check(&bytes).unwrap().lines, book.stored.len() as u64);
}

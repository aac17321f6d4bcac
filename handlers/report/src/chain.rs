//! The written form of `journal.jsonl` and `anchor.json`, shared by the one who writes and the one who verifies.
//!
//! Each line is `{"n":<1..>,"chain":"<hex>","line":<stored bytes>}` and a newline. `chain` is the hash over all file lines
//! before: zeros first, then `of_parts(chain, line without its newline)`. The last line is
//! `{"end":true,"lines":N,"chain":"<hex>","anchor":"<hex>"|null,"seal":"<hex>"}`; its seal covers its own other bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_events::id::Digest;
use tidegate_events::journal::Line;

/// The journal's name in a pack.
pub const JOURNAL: &str = "journal.jsonl";
/// The anchor's name in a pack.
pub const ANCHOR: &str = "anchor.json";
/// The version of the anchor's written form.
pub const ANCHOR_SCHEMA: &str = "tidegate.anchor/1";
/// No stored line is near this long: a transaction ends at 4 MB. It bounds what reading a damaged file can cost.
pub const MAX_LINE_BYTES: usize = 16 << 20;
/// What a frame adds at most: `{"n":<20 digits>,"chain":"<64 digits>","line":}`.
pub const MAX_FRAME_BYTES: usize = 128;

/// The last line of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its place in the stream.
    pub seq: u64,
    /// The hash of its stored bytes.
    pub head: Digest,
}

/// `anchor.json`: what the journal must add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// [`ANCHOR_SCHEMA`].
    pub schema: String,
    /// Number of journal lines, without the end line.
    pub lines: u64,
    /// The chain after the last of them.
    pub root: Digest,
    /// The last line of every stream.
    pub streams: BTreeMap<String, Head>,
    /// The other files of the pack, by their digests.
    pub files: BTreeMap<String, Digest>,
}

impl Anchor {
    /// The one written form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// The journal's end line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Always true.
    pub end: bool,
    /// Lines before this one.
    pub lines: u64,
    /// The hash over all of them.
    pub chain: Digest,
    /// The digest of `anchor.json`; `None` where the journal was written without one.
    pub anchor: Option<Digest>,
    /// Over the bytes of this line before it.
    pub seal: Digest,
}

impl End {
    /// An end line with its seal.
    pub fn new(lines: u64, chain: Digest, anchor: Option<Digest>) -> Self {
        let mut end = Self { end: true, lines, chain, anchor, seal: Digest::default() };
        end.seal = end.right_seal();
        end
    }

    /// The seal that the other fields call for.
    pub fn right_seal(&self) -> Digest {
        Digest::of_parts([b"end".as_slice(), self.sealed().as_bytes()])
    }

    fn sealed(&self) -> String {
        let anchor = self.anchor.map_or_else(|| "null".to_owned(), |anchor| format!("\"{anchor}\""));
        format!(r#"{{"end":{},"lines":{},"chain":"{}","anchor":{anchor}"#, self.end, self.lines, self.chain)
    }

    /// The one written form, without its newline.
    pub fn to_text(&self) -> String {
        format!(r#"{},"seal":"{}"}}"#, self.sealed(), self.seal)
    }
}

/// What a file line puts before the stored bytes; after them comes `}`.
pub fn frame(n: u64, chain: &Digest) -> String {
    format!(r#"{{"n":{n},"chain":"{chain}","line":"#)
}

/// How a line does not follow from those before it in its stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Its place is not the next one.
    #[error("it is number {got} of its stream where {want} is due")]
    Seq {
        /// The place that is due.
        want: u64,
        /// The place that it states.
        got: u64,
    },
    /// It names another line before it.
    #[error("it does not follow from the line before it in its stream")]
    Previous,
}

/// Everything that is remembered of the lines so far: one entry per stream, however long the file is.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// Lines so far.
    pub lines: u64,
    /// The hash over them.
    pub root: Digest,
    /// The last line of each stream.
    pub streams: BTreeMap<String, Head>,
}

impl Chain {
    /// Takes the next line of its stream, if it is that.
    pub fn admit(&mut self, line: &Line, stored: &[u8]) -> Result<(), Misfit> {
        let (seq, previous) = self.streams.get(&line.stream).map_or((0, Digest::default()), |last| (last.seq, last.head));
        let want = seq.saturating_add(1);
        if line.seq != want {
            return Err(Misfit::Seq { want, got: line.seq });
        }
        if line.previous != previous {
            return Err(Misfit::Previous);
        }
        let head = Head { seq: want, head: Line::hash(stored) };
        if let Some(last) = self.streams.get_mut(&line.stream) {
            *last = head;
        } else {
            self.streams.insert(line.stream.clone(), head);
        }
        Ok(())
    }

    /// Counts a file line (without its newline).
    pub fn extend(&mut self, file_line: &[u8]) {
        self.root = next(&self.root, file_line);
        self.lines += 1;
    }

    /// The anchor of what was taken so far.
    pub fn anchor(&self, files: BTreeMap<String, Digest>) -> Anchor {
        Anchor { schema: ANCHOR_SCHEMA.to_owned(), lines: self.lines, root: self.root, streams: self.streams.clone(), files }
    }
}

/// The chain after a file line (without its newline).
pub fn next(chain: &Digest, file_line: &[u8]) -> Digest {
    Digest::of_parts([chain.as_bytes().as_slice(), file_line])
}

/// Whether this may be the name of a further file of a pack: one that stays in the folder and is neither journal nor anchor.
pub fn is_listable(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name.bytes().all(plain)
        && ![JOURNAL, ANCHOR].iter().any(|taken| taken.eq_ignore_ascii_case(name))
}

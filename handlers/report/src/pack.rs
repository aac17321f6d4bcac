//! Writes evidence packs: `journal.jsonl`, `anchor.json`, and files beside them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tidegate_events::id::Digest;
use tidegate_events::journal::Line;

use crate::chain::{ANCHOR, Chain, End, JOURNAL, MAX_LINE_BYTES, Misfit, frame, is_listable};

/// Why a pack could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file could not be written.
    #[error("can't write `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The journal could not be written.
    #[error("can't write the journal: {0}")]
    Write(#[source] io::Error),
    /// Stored bytes are not a journal line: the store is damaged.
    #[error("line {n} as it is stored is not a journal line: {why}")]
    NotALine {
        /// Its place in the file.
        n: u64,
        /// Why.
        why: String,
    },
    /// A stored line does not follow from those before it in its stream: the store is damaged, or the lines came in another order.
    #[error("line {n} does not fit in stream `{stream}`: {misfit}")]
    Misfit {
        /// Its place in the file.
        n: u64,
        /// Its stream.
        stream: String,
        /// How.
        misfit: String,
    },
    /// A further file can't have this name.
    #[error(
        "`{0}` can't be the name of a file in a pack: expected letters, digits, `-`, `_` or `.`, each name once, and neither `journal.jsonl` nor `anchor.json`"
    )]
    Name(String),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Journal lines, without the end line.
    pub lines: u64,
    /// Streams.
    pub streams: u64,
    /// The hash over all lines.
    pub root: Digest,
}

/// Writes the journal's file form to anything, line by line.
pub struct JournalWriter<W: Write> {
    out: W,
    chain: Chain,
    row: Vec<u8>,
}

impl<W: Write> JournalWriter<W> {
    /// Starts an empty journal.
    pub fn new(out: W) -> Self {
        Self { out, chain: Chain::default(), row: Vec::new() }
    }

    /// Adds the next line in commit order: its bytes exactly as they are stored.
    ///
    /// # Errors
    /// When these bytes are not a journal line, or not the next of their stream (nothing is written then); when writing fails.
    pub fn add_line(&mut self, stored: &[u8]) -> Result<(), PackError> {
        let n = self.chain.lines.saturating_add(1);
        let not_a_line = |why: String| PackError::NotALine { n, why };
        if stored.len() > MAX_LINE_BYTES {
            return Err(not_a_line(format!("it is {} bytes long", stored.len())));
        }
        if stored.iter().any(|b| *b == b'\n' || *b == b'\r') {
            return Err(not_a_line("it holds a line break".to_owned()));
        }
        std::str::from_utf8(stored).map_err(|e| not_a_line(e.to_string()))?;
        let line: Line = serde_json::from_slice(stored).map_err(|e| not_a_line(e.to_string()))?;
        self.chain.admit(&line, stored).map_err(|misfit: Misfit| PackError::Misfit { n, stream: line.stream.clone(), misfit: misfit.to_string() })?;
        self.row.clear();
        self.row.extend_from_slice(frame(n, &self.chain.root).as_bytes());
        self.row.extend_from_slice(stored);
        self.row.push(b'}');
        self.chain.extend(&self.row);
        self.row.push(b'\n');
        self.out.write_all(&self.row).map_err(PackError::Write)
    }

    /// The hash over all lines so far.
    pub fn root(&self) -> Digest {
        self.chain.root
    }

    /// Lines so far.
    pub fn lines(&self) -> u64 {
        self.chain.lines
    }

    fn packed(&self) -> Packed {
        Packed { lines: self.chain.lines, streams: self.chain.streams.len() as u64, root: self.chain.root }
    }

    fn close(mut self, anchor: Option<Digest>) -> Result<W, PackError> {
        let end = End::new(self.chain.lines, self.chain.root, anchor);
        writeln!(self.out, "{}", end.to_text()).map_err(PackError::Write)?;
        self.out.flush().map_err(PackError::Write)?;
        Ok(self.out)
    }

    /// Writes the end line of a journal that stands alone, without an anchor.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(self) -> Result<Packed, PackError> {
        let packed = self.packed();
        self.close(None)?;
        Ok(packed)
    }
}

/// Writes a journal that stands alone: these stored lines, in commit order, and the end line.
///
/// # Errors
/// As [`JournalWriter::add_line`].
pub fn write_journal<B: AsRef<[u8]>>(out: &mut dyn Write, lines: impl IntoIterator<Item = B>) -> Result<Packed, PackError> {
    let mut journal = JournalWriter::new(out);
    for stored in lines {
        journal.add_line(stored.as_ref())?;
    }
    journal.finish()
}

/// A file that has its final name only once it is whole; dropped before that, it is gone.
struct Draft {
    temp: PathBuf,
    path: PathBuf,
    placed: bool,
}

impl Draft {
    fn open(dir: &Path, name: &str) -> Result<(Self, File), PackError> {
        let draft = Self { temp: dir.join(format!(".{name}.{}.partial", std::process::id())), path: dir.join(name), placed: false };
        let file = File::create(&draft.temp).map_err(|e| draft.failed(e))?;
        Ok((draft, file))
    }

    fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<Self, PackError> {
        let (draft, mut file) = Self::open(dir, name)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| draft.failed(e))?;
        Ok(draft)
    }

    fn failed(&self, source: io::Error) -> PackError {
        PackError::File { path: self.path.clone(), source }
    }

    fn place(mut self) -> Result<(), PackError> {
        fs::rename(&self.temp, &self.path).map_err(|e| self.failed(e))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing is lost if this fails: a partial file is no part of a pack.
            let _ = fs::remove_file(&self.temp);
        }
    }
}

/// Writes a pack folder. Lines stream to disk; under the final names there are only whole files, and the anchor comes last, so
/// that a pack whose writing was cut short is missing something and fails verification.
pub struct PackWriter {
    dir: PathBuf,
    draft: Draft,
    journal: JournalWriter<BufWriter<File>>,
}

impl PackWriter {
    /// Starts a pack in this folder, which is made where it is missing. An older pack in it stays until [`Self::finish`].
    ///
    /// # Errors
    /// When the folder or the journal can't be created.
    pub fn create(dir: &Path) -> Result<Self, PackError> {
        fs::create_dir_all(dir).map_err(|source| PackError::File { path: dir.to_owned(), source })?;
        let (draft, file) = Draft::open(dir, JOURNAL)?;
        Ok(Self { dir: dir.to_owned(), draft, journal: JournalWriter::new(BufWriter::new(file)) })
    }

    /// Adds the next line in commit order: its bytes exactly as they are stored.
    ///
    /// # Errors
    /// As [`JournalWriter::add_line`].
    pub fn add_line(&mut self, stored: &[u8]) -> Result<(), PackError> {
        self.journal.add_line(stored)
    }

    /// The hash over all lines so far: after the last one it is the root that a report names.
    pub fn root(&self) -> Digest {
        self.journal.root()
    }

    /// Lines so far.
    pub fn lines(&self) -> u64 {
        self.journal.lines()
    }

    /// Writes these files, the anchor and the journal's end, and gives everything its final name.
    ///
    /// # Errors
    /// When a name can't be used or a file can't be written; then no new `anchor.json` is there.
    pub fn finish(self, files: &[(&str, &[u8])]) -> Result<Packed, PackError> {
        let Self { dir, draft, journal } = self;
        let mut listed = BTreeMap::new();
        for (name, bytes) in files {
            if !is_listable(name) || listed.insert((*name).to_owned(), Digest::of(bytes)).is_some() {
                return Err(PackError::Name((*name).to_owned()));
            }
        }
        let packed = journal.packed();
        let failed = |source: serde_json::Error| PackError::File { path: dir.join(ANCHOR), source: source.into() };
        let anchor = journal.chain.anchor(listed).to_bytes().map_err(failed)?;
        let journal = journal.close(Some(Digest::of(&anchor)))?;
        journal.get_ref().sync_all().map_err(PackError::Write)?;
        drop(journal);
        let mut drafts = Vec::new();
        for (name, bytes) in files {
            drafts.push(Draft::write(&dir, name, bytes)?);
        }
        let anchor = Draft::write(&dir, ANCHOR, &anchor)?;
        for other in drafts {
            other.place()?;
        }
        draft.place()?;
        anchor.place()?;
        Ok(packed)
    }
}

//! Verifies a pack or a journal file: every byte of it is covered, and the first bad place is named.
//!
//! The chain in line k+1 covers line k, so a changed line shows one line later; which of the two was changed is told by the
//! line after that. Where several places are damaged, the first one that can be told is named.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::Digest as _;
use tidegate_events::id::Digest;
use tidegate_events::journal::Line;

use crate::chain::{ANCHOR, ANCHOR_SCHEMA, Anchor, Chain, End, JOURNAL, MAX_FRAME_BYTES, MAX_LINE_BYTES, frame, is_listable, next};
use crate::words::number;

#[cfg(test)]
mod tests;

/// What was verified, all of it intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Journal lines, without the end line.
    pub lines: u64,
    /// Streams.
    pub streams: u64,
    /// The hash over all lines.
    pub root: Digest,
    /// Whether `anchor.json` was there to be checked.
    pub anchored: bool,
    /// Further files that the anchor lists.
    pub files: u64,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |n: u64| if n == 1 { "" } else { "s" };
        write!(f, "intact: {} line{} of {} stream{}", number(self.lines), s(self.lines), number(self.streams), s(self.streams))?;
        if self.anchored {
            write!(f, ", the anchor and {} further file{}", number(self.files), s(self.files))?;
        } else {
            f.write_str(" (no anchor was checked)")?;
        }
        write!(f, "; root {}", self.root)
    }
}

/// The first bad place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The name of the file, without its folder.
    pub file: String,
    /// The line in it, from 1, where it is one.
    pub line: Option<u64>,
    /// The stream of that line, where it is known.
    pub stream: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file)?;
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        if let Some(stream) = &self.stream {
            write!(f, " (stream `{stream}`)")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why something did not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It can't be read at all, so that nothing is known about it.
    #[error("can't read `{}`: {source}", path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("damaged: {0}")]
    Damaged(Damage),
}

/// Verifies a pack folder or a journal file. A journal file named `journal.jsonl` with an `anchor.json` beside it is verified
/// as the pack that it belongs to; any other by its own chain and end line.
///
/// # Errors
/// [`VerifyError::Damaged`] for any damage at all; [`VerifyError::Unreadable`] when there is nothing that could be read.
pub fn verify(path: &Path) -> Result<Verified, VerifyError> {
    let unreadable = |source: io::Error| VerifyError::Unreadable { path: path.to_owned(), source };
    let kind = fs::metadata(path).map_err(unreadable)?;
    if kind.is_dir() {
        fs::read_dir(path).map_err(unreadable)?;
        return verify_pack(path);
    }
    if path.file_name().is_some_and(|name| name == JOURNAL) {
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        if fs::symlink_metadata(dir.join(ANCHOR)).is_ok() {
            return verify_pack(dir);
        }
    }
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
    let file = File::open(path).map_err(unreadable)?;
    let (chain, _) = Walk::new(BufReader::with_capacity(1 << 16, file), &name).run().map_err(|e| e.at(path))?;
    Ok(verified(&chain, false, 0))
}

fn verified(chain: &Chain, anchored: bool, files: u64) -> Verified {
    Verified { lines: chain.lines, streams: chain.streams.len() as u64, root: chain.root, anchored, files }
}

fn verify_pack(dir: &Path) -> Result<Verified, VerifyError> {
    let journal = open_part(dir, JOURNAL)?;
    let anchor_file = open_part(dir, ANCHOR)?;
    // An anchor takes fewer bytes per stream than the stream's first line; the rest is its list of files.
    let journal_bytes = journal.metadata().map_err(|source| VerifyError::Unreadable { path: dir.join(JOURNAL), source })?.len();
    let most = journal_bytes.saturating_add(1 << 20);
    let (chain, end) = Walk::new(BufReader::with_capacity(1 << 16, journal), JOURNAL).run().map_err(|e| e.at(&dir.join(JOURNAL)))?;

    let mut bytes = Vec::new();
    let read = anchor_file.take(most).read_to_end(&mut bytes).map_err(|source| VerifyError::Unreadable { path: dir.join(ANCHOR), source })?;
    if read as u64 == most {
        return Err(damaged(ANCHOR, None, None, "is longer than the anchor of this journal can be"));
    }
    let end_line = chain.lines.saturating_add(1);
    let Some(sealed) = end.anchor else {
        return Err(damaged(JOURNAL, Some(end_line), None, "was written without an anchor, and `anchor.json` lies beside it"));
    };
    let anchor: Anchor = serde_json::from_slice(&bytes).map_err(|e| damaged(ANCHOR, None, None, format!("is not an anchor: {e}")))?;
    if let Some(what) = unlike(&anchor, &chain) {
        return Err(damaged(ANCHOR, None, None, what));
    }
    let written = anchor.to_bytes().is_ok_and(|written| written == bytes);
    if !written || Digest::of(&bytes) != sealed {
        return Err(damaged(ANCHOR, None, None, "was changed: its digest is not the one in the journal's end line"));
    }
    for (name, digest) in &anchor.files {
        if !is_listable(name) {
            return Err(damaged(ANCHOR, None, None, format!("lists a file by a name that no pack has: `{}`", name.escape_debug())));
        }
        let file = open_part(dir, name)?;
        let found = digest_of(file).map_err(|source| VerifyError::Unreadable { path: dir.join(name), source })?;
        if found != *digest {
            return Err(damaged(name, None, None, "was changed: its digest is not the one in `anchor.json`"));
        }
    }
    Ok(verified(&chain, true, anchor.files.len() as u64))
}

/// Where an anchor states something else than its journal says.
fn unlike(anchor: &Anchor, chain: &Chain) -> Option<String> {
    if anchor.schema != ANCHOR_SCHEMA {
        return Some(format!("states schema `{}` where `{ANCHOR_SCHEMA}` is expected", anchor.schema.escape_debug()));
    }
    if anchor.lines != chain.lines {
        return Some(format!("states {} lines where the journal has {}", anchor.lines, chain.lines));
    }
    if anchor.root != chain.root {
        return Some("states another root than the journal has".to_owned());
    }
    let of_journal = chain.streams.iter().find(|(stream, head)| anchor.streams.get(*stream) != Some(head));
    let of_anchor = anchor.streams.keys().find(|stream| !chain.streams.contains_key(*stream));
    let stream = of_journal.map(|(stream, _)| stream).or(of_anchor)?;
    Some(format!("states another last line of stream `{}` than the journal has", stream.escape_debug()))
}

fn damaged(file: &str, line: Option<u64>, stream: Option<String>, what: impl Into<String>) -> VerifyError {
    VerifyError::Damaged(Damage { file: file.to_owned(), line, stream, what: what.into() })
}

/// Opens one file of a pack: that it is not there is damage, that it can't be opened is not.
fn open_part(dir: &Path, name: &str) -> Result<File, VerifyError> {
    let path = dir.join(name);
    match fs::metadata(&path) {
        Ok(kind) if !kind.is_file() => return Err(damaged(name, None, None, "is not a file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(damaged(name, None, None, "is missing")),
        _ => {}
    }
    File::open(&path).map_err(|source| VerifyError::Unreadable { path, source })
}

/// [`Digest::of`] of a file that need not fit into memory.
fn digest_of(mut file: File) -> io::Result<Digest> {
    let stated = file.metadata()?.len();
    let mut hasher = sha2::Sha256::new();
    hasher.update(stated.to_be_bytes());
    let read = io::copy(&mut file, &mut HashInto(&mut hasher))?;
    if read != stated {
        return Err(io::Error::other("it changed while it was read"));
    }
    let hex: String = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    hex.parse().map_err(io::Error::other)
}

struct HashInto<'a>(&'a mut sha2::Sha256);

impl io::Write for HashInto<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A walk that ended early.
enum Stop {
    Io(io::Error),
    Damage(Damage),
}

impl Stop {
    fn at(self, path: &Path) -> VerifyError {
        match self {
            Self::Io(source) => VerifyError::Unreadable { path: path.to_owned(), source },
            Self::Damage(damage) => VerifyError::Damaged(damage),
        }
    }
}

/// One pass over a journal file. What it remembers is one line, and one head per stream.
struct Walk<'a, R> {
    reader: R,
    file: &'a str,
    chain: Chain,
    row: Vec<u8>,
    /// The stream of the line before.
    last: Option<String>,
}

/// A file line by its frame.
struct Framed<'a> {
    claimed: Digest,
    stored: &'a [u8],
}

impl<'a, R: BufRead> Walk<'a, R> {
    fn new(reader: R, file: &'a str) -> Self {
        Self { reader, file, chain: Chain::default(), row: Vec::new(), last: None }
    }

    fn damage(&self, line: u64, what: impl Into<String>) -> Stop {
        self.damage_in(line, None, what)
    }

    fn damage_in(&self, line: u64, stream: Option<String>, what: impl Into<String>) -> Stop {
        Stop::Damage(Damage { file: self.file.to_owned(), line: Some(line), stream, what: what.into() })
    }

    /// The number of the line that is read now.
    fn place(&self) -> u64 {
        self.chain.lines.saturating_add(1)
    }

    /// Reads the next line without its newline; `false` at the end of the file.
    fn read_row(&mut self, place: u64) -> Result<bool, Stop> {
        self.row.clear();
        let most = MAX_LINE_BYTES + MAX_FRAME_BYTES;
        let read = self.reader.by_ref().take(most as u64 + 1).read_until(b'\n', &mut self.row).map_err(Stop::Io)?;
        if self.row.last() == Some(&b'\n') {
            self.row.pop();
        } else if read > most {
            return Err(self.damage(place, format!("is longer than any journal line ({} bytes)", number(most as u64))));
        } else if read > 0 {
            return Err(self.damage(place, "does not end with a newline: the file was cut, or the newline changed"));
        }
        Ok(read > 0)
    }

    fn run(mut self) -> Result<(Chain, End), Stop> {
        loop {
            let place = self.place();
            if !self.read_row(place)? {
                return Err(match place {
                    1 => self.damage(1, "is empty"),
                    _ => self.damage(place, "is missing: the file was cut before its end line"),
                });
            }
            self.check_text(place)?;
            if self.row.starts_with(br#"{"end":"#) {
                let end = self.check_end(place)?;
                let over = self.reader.fill_buf().map_err(Stop::Io)?.is_empty();
                return if over { Ok((self.chain, end)) } else { Err(self.damage(place.saturating_add(1), "follows the end line, which nothing may")) };
            }
            self.check_line(place)?;
            self.chain.extend(&self.row);
        }
    }

    fn check_text(&self, place: u64) -> Result<(), Stop> {
        if self.row.is_empty() {
            return Err(self.damage(place, "is blank"));
        }
        if self.row.ends_with(b"\r") {
            return Err(self.damage(place, "ends with a carriage return: the line ends were changed"));
        }
        if let Err(e) = std::str::from_utf8(&self.row) {
            return Err(self.damage(place, format!("is not UTF-8 from byte {} on", e.valid_up_to().saturating_add(1))));
        }
        Ok(())
    }

    fn check_line(&mut self, place: u64) -> Result<(), Stop> {
        let framed = unframe(&self.row, place).map_err(|what| self.damage(place, what))?;
        let claimed = framed.claimed;
        if claimed != self.chain.root {
            return Err(self.blame(place, claimed));
        }
        let line: Line = serde_json::from_slice(framed.stored).map_err(|e| self.damage(place, format!("is not a journal line: {e}")))?;
        if let Err(misfit) = self.chain.admit(&line, framed.stored) {
            return Err(self.damage_in(place, Some(line.stream), misfit.to_string()));
        }
        self.last = Some(line.stream);
        Ok(())
    }

    /// The chain in this line is not the hash over those before: either the line before was changed, or the chain here. The
    /// line after this one covers this one and tells which.
    fn blame(&mut self, place: u64, claimed: Digest) -> Stop {
        let here = "was changed: the chain in it is not the hash over the lines before";
        let Some(before) = place.checked_sub(1).filter(|before| *before > 0) else {
            return self.damage(place, here);
        };
        let as_it_is = next(&claimed, &self.row);
        let mended = unframe(&self.row, place).ok().map(|framed| {
            let mut row = frame(place, &self.chain.root).into_bytes();
            row.extend_from_slice(framed.stored);
            row.push(b'}');
            next(&self.chain.root, &row)
        });
        let after = place.saturating_add(1);
        let following = self.read_row(after).ok().and_then(|_| claimed_chain(&self.row, after));
        if following.is_some() && following == mended && following != Some(as_it_is) {
            return self.damage(place, here);
        }
        self.damage_in(before, self.last.clone(), format!("was changed: the chain in line {place} is not the hash over the lines before it"))
    }

    fn check_end(&self, place: u64) -> Result<End, Stop> {
        let lines = self.chain.lines;
        let end: End = serde_json::from_slice(&self.row).map_err(|e| self.damage(place, format!("is not an end line: {e}")))?;
        if !end.end || end.to_text().as_bytes() != self.row {
            return Err(self.damage(place, "is not written as an end line is"));
        }
        let sealed = end.seal == end.right_seal();
        if end.lines != lines {
            let what = if sealed { "lines before it are missing" } else { "it was changed" };
            return Err(self.damage(place, format!("ends a journal of {} lines after {}: {what}", number(end.lines), number(lines))));
        }
        if end.chain != self.chain.root && sealed && lines > 0 {
            return Err(self.damage_in(lines, self.last.clone(), "was changed: the end line's chain is not the hash over the lines before it"));
        }
        if end.chain != self.chain.root || !sealed {
            return Err(self.damage(place, "was changed: its seal does not fit"));
        }
        Ok(end)
    }
}

/// Takes a file line out of its frame, or says how it is not in one.
fn unframe(row: &[u8], place: u64) -> Result<Framed<'_>, String> {
    let (n, claimed, stored) = match frame_parts(row) {
        Some(parts) => parts,
        None => {
            return Err(match serde_json::from_slice::<serde::de::IgnoredAny>(row) {
                Ok(_) => "is not written as a journal line is".to_owned(),
                Err(e) => format!("is not JSON: {e}"),
            });
        }
    };
    if n > place {
        return Err(format!("states number {n}: lines are missing or were reordered"));
    }
    if n < place {
        return Err(format!("states number {n}: lines were duplicated, inserted or reordered"));
    }
    Ok(Framed { claimed, stored })
}

/// Number, chain and stored bytes, where the line is written exactly as [`frame`] writes it.
fn frame_parts(row: &[u8]) -> Option<(u64, Digest, &[u8])> {
    let rest = row.strip_prefix(br#"{"n":"#)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let n: u64 = std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()?;
    let claimed: Digest = std::str::from_utf8(rest.get(digits..)?.strip_prefix(br#","chain":""#)?.get(..64)?).ok()?.parse().ok()?;
    let stored = row.strip_prefix(frame(n, &claimed).as_bytes())?.strip_suffix(b"}")?;
    Some((n, claimed, stored))
}

/// The chain that a line (or the end line) at this place states.
fn claimed_chain(row: &[u8], place: u64) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Tail {
        lines: u64,
        chain: Digest,
    }
    if let Some((n, claimed, _)) = frame_parts(row) {
        return (n == place).then_some(claimed);
    }
    let tail: Tail = serde_json::from_slice(row).ok()?;
    (tail.lines.checked_add(1) == Some(place)).then_some(tail.chain)
}

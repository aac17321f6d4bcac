//! The journal's line: entries of one decision, chained to the line before it in the same stream.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::id::Digest;

/// The version of [`Line`]'s written form.
pub const LINE_SCHEMA: &str = "tidegate.journal/1";

/// One decision as it is stored. `previous` is the hash of the stream's line before this one; the hash of a line is over
/// its raw bytes, so that any change of any byte is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The stream: the key of the aggregate that decided.
    pub stream: String,
    /// Place in the stream, from 1.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Hash of the stream's line before; all zeros for the first.
    pub previous: Digest,
    /// What became true.
    pub entries: Vec<Entry>,
}

impl Line {
    /// The stored bytes of this line.
    ///
    /// # Errors
    /// When it can't be written as JSON, which no entry of ours provokes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The hash of stored bytes: what the next line names as `previous`.
    pub fn hash(bytes: &[u8]) -> Digest {
        Digest::of(bytes)
    }
}

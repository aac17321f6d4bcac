//! Journal in, documents out: the evidence pack and its verification, the report, and one sentence per entry.
//!
//! Everything here is derived from the journal alone. There is no clock: times come from the journal, so that the same
//! journal gives the same bytes.

mod chain;
pub mod html;
pub mod json;
pub mod ledger;
pub mod pack;
#[cfg(test)]
mod sample;
pub mod sentence;
pub mod verify;
mod words;

pub use html::{Meta, render};
pub use json::summary_json;
pub use ledger::Ledger;
pub use pack::{JournalWriter, PackError, PackWriter, Packed, write_journal};
pub use sentence::sentence;
pub use verify::{Damage, Verified, VerifyError, verify};

//! The input of a bulk run: bytes to a [`BulkRun`], whichever of the three ways it is written in.
//!
//! Unlike AWS's events this is written by people, so it is read strictly: an unknown key is a typing error, a mixture of two
//! ways is a misunderstanding, and a list that is empty never means everybody. All problems are told together, each with the
//! path of its field and what to write instead. What is understood but changes less than its writer may think is a warning.

mod fields;
mod forms;
mod json;
mod nearest;
mod read;
mod regions;
mod schema;
mod ssm;

#[cfg(test)]
mod tests;

use std::fmt;

pub use schema::schema;

use crate::run::BulkRun;
use read::Report;

/// The most bytes that an input may have. Source: the input of a Step Functions execution, which these inputs were made for.
pub const RUN_INPUT_BYTES_MAX: usize = 262_144;

/// A run and what its writer should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The run.
    pub run: BulkRun,
    /// What does not do what it seems to; none of it keeps the run from being done.
    pub warnings: Vec<Warning>,
}

/// Something that is understood, but changes less than its writer may think. Shown as one sentence that begins with the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The field, such as `waves[0].ssm.rebootOption`.
    pub path: String,
    /// What there is to know about it.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.text)
    }
}

/// Something that is wrong. Shown as `path: what to do`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `waves[1].filters.tags.PatchGroup`; empty where the input as a whole is meant.
    pub path: String,
    /// What is wrong and what to write instead.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.text) } else { write!(f, "{}: {}", self.path, self.text) }
    }
}

/// Everything that is wrong with an input, in the order of its fields; never empty. Shown one a line, the first
/// [`Problems::SHOWN_MAX`] of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// So many are shown: whoever pastes a wrong column of account ids does not want to read each.
    pub const SHOWN_MAX: usize = 50;

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// The lines to show to a person, without a file's name before them.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let more = self.0.len().saturating_sub(Self::SHOWN_MAX);
        let rest = (more > 0).then(|| format!("and {more} more"));
        self.0.iter().take(Self::SHOWN_MAX).map(Problem::to_string).chain(rest)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, line) in self.lines().enumerate() {
            write!(f, "{}{line}", if place > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

/// Reads the input of a bulk run: UTF-8 JSON, at most [`RUN_INPUT_BYTES_MAX`] bytes.
///
/// # Errors
/// Everything that is wrong with it. An input with a problem anywhere is no run: half of a run is another run.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Problems> {
    let report = Report::default();
    let run = json::read(bytes, &report).and_then(|value| forms::run(&report, &value));
    let (problems, warnings) = report.into_parts();
    match run {
        Some(run) if problems.is_empty() => Ok(Parsed { run, warnings }),
        _ if problems.is_empty() => Err(Problems(vec![Problem { path: String::new(), text: "this is not a run input".into() }])),
        _ => Err(Problems(problems)),
    }
}

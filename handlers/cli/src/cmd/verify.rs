//! `tidegate verify`

use serde::Serialize;
use tidegate_report::{Damage, VerifyError, verify};

use crate::args::VerifyArgs;
use crate::failure::Failure;
use crate::screen;

/// What `verify --json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Verification {
    /// `tidegate.verify/1`
    pub schema: String,
    /// Whether nothing at all is damaged.
    pub intact: bool,
    /// Lines that were checked, where it is intact.
    pub lines: Option<u64>,
    /// The first bad place.
    pub file: Option<String>,
    /// Its line, from 1.
    pub line: Option<u64>,
    /// Its stream.
    pub stream: Option<String>,
    /// What is wrong there.
    pub what: Option<String>,
}

/// Checks a pack or a journal.
///
/// # Errors
/// When the path can't be read, or (exit 1) when it is damaged.
pub fn run(args: &VerifyArgs) -> Result<u8, Failure> {
    let schema = "tidegate.verify/1".to_owned();
    match verify(&args.path) {
        Ok(verified) => {
            if args.json {
                screen::print_json(&Verification { schema, intact: true, lines: Some(verified.lines), file: None, line: None, stream: None, what: None })?;
            } else {
                screen::print(&format!("{verified}\n"))?;
            }
            Ok(0)
        }
        Err(VerifyError::Damaged(damage)) => {
            if args.json {
                let Damage { file, line, stream, what } = damage;
                screen::print_json(&Verification { schema, intact: false, lines: None, file: Some(file), line, stream, what: Some(what) })?;
                return Ok(1);
            }
            Err(Failure::Person(damage.to_string()))
        }
        Err(error) => Err(Failure::Usage(error.to_string())),
    }
}

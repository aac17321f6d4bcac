//! Commands of the contract that a later version brings: they say so, politely, and change nothing.

use crate::args::LaterCommand;
use crate::failure::Failure;

/// Says so.
///
/// # Errors
/// Always: nothing was done.
pub fn run(command: &LaterCommand) -> Result<u8, Failure> {
    let (name, instead) = match command {
        LaterCommand::Report(_) => ("report", "`tidegate demo` writes report.html, and `tidegate status --json` prints the summary of a store"),
    };
    Err(Failure::Usage(format!("`tidegate {name}` comes with a later version; until then: {instead}")))
}

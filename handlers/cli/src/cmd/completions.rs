//! `tidegate completions`

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;

/// Prints the script.
///
/// # Errors
/// Never.
pub fn run(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidegate", &mut script);
    crate::screen::print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

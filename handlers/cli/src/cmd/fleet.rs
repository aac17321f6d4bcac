//! `tidegate fleet generate`

use tidegate_world::Fleet;

use crate::args::{FleetArgs, FleetCommand};
use crate::failure::Failure;
use crate::screen;

/// Prints a fleet.
///
/// # Errors
/// When stdout can't be written.
pub fn run(args: &FleetArgs) -> Result<u8, Failure> {
    let FleetCommand::Generate { accounts, regions, instances, seed, .. } = &args.what;
    screen::print_json(&Fleet::generate(*accounts, *regions, *instances, *seed))?;
    Ok(0)
}

//! `tidegate run`: a bulk run over a simulated organization, in virtual time.

use crate::args::RunArgs;
use crate::cmd::plan::{Estate, read_input};
use crate::cmd::{policy, replay, simulate};
use crate::failure::Failure;

/// Runs it.
///
/// # Errors
/// When input, fleet or policy can't be used, or a belt refuses it.
pub async fn run(args: &RunArgs) -> Result<u8, Failure> {
    let policy = policy::read(args.policy.as_deref())?;
    let asked = read_input(&args.input)?;
    let fleet = replay::read_fleet(&args.fleet)?;
    let at = args.at.map_or_else(simulate::start, Ok)?;
    let plan = Estate::from(fleet).plan(&policy, &asked.run, at)?;
    if !plan.belts.is_empty() {
        return Err(Failure::Belt(plan.belts.join("; ")));
    }
    Err(Failure::Usage("`tidegate run` comes with a later version; until then: `tidegate plan` shows what it would do".into()))
}

//! `tidegate demo`
use crate::args::DemoArgs;
use crate::failure::Failure;
/// x
///
/// # Errors
/// x
pub async fn run(_: &DemoArgs) -> Result<u8, Failure> {
    Ok(0)
}

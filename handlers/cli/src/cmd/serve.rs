//! `tidegate serve`
use crate::args::ServeArgs;
use crate::failure::Failure;
/// x
///
/// # Errors
/// x
pub async fn run(_: &ServeArgs) -> Result<u8, Failure> {
    Ok(0)
}

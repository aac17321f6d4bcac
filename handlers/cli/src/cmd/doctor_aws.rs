//! `tidegate doctor --cloud aws`: the same look, at spokes on AWS, with the settings of the functions.

use std::collections::BTreeSet;

use tidegate_engine::ports::Spoke;

use crate::args::DoctorArgs;
use crate::cmd::doctor::{self, Diagnosis};
use crate::cmd::on_aws;
use crate::failure::Failure;

/// Looks.
///
/// # Errors
/// When the environment's settings are wrong.
pub async fn run(args: &DoctorArgs) -> Result<Diagnosis, Failure> {
    let (cloud, hub) = on_aws::cloud(|_, settings| settings).await?;
    let regions: Vec<_> = if args.region.is_empty() { hub.region().cloned().into_iter().collect() } else { args.region.clone() };
    let spokes: BTreeSet<Spoke> =
        args.account.iter().flat_map(|account| regions.iter().map(|region| Spoke { account: *account, region: region.clone() })).collect();
    doctor::look(&cloud, spokes).await
}

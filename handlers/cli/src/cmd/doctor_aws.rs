//! `tidegate doctor --cloud aws`: the same look, at spokes on AWS, with the settings of the functions.

use std::collections::BTreeSet;

use tidegate_aws::clients::Hub;
use tidegate_aws::cloud::{AwsCloud, CloudSettings};
use tidegate_aws::environment::Reader;
use tidegate_engine::ports::Spoke;

use crate::args::DoctorArgs;
use crate::cmd::doctor::{self, Diagnosis};
use crate::failure::Failure;

/// Looks.
///
/// # Errors
/// When the environment's settings are wrong.
pub async fn run(args: &DoctorArgs) -> Result<Diagnosis, Failure> {
    let hub = Hub::load(None, tidegate_aws::trust::Trust::System).await;
    let get = |name: &str| std::env::var(name).ok();
    let mut reader = Reader::new(&get);
    if hub.region().is_none() {
        reader.fault("`AWS_REGION` is not set: expected the Region of the hub".into());
    }
    let settings =
        CloudSettings { partition: reader.partition(), spoke_role: reader.spoke_role(), external_id: reader.external_id(), ..CloudSettings::default() };
    let settings = reader.done(Some(settings)).map_err(|error| Failure::Usage(error.to_string()))?;
    let regions: Vec<_> = if args.region.is_empty() { hub.region().cloned().into_iter().collect() } else { args.region.clone() };
    let spokes: BTreeSet<Spoke> =
        args.account.iter().flat_map(|account| regions.iter().map(|region| Spoke { account: *account, region: region.clone() })).collect();
    doctor::look(&AwsCloud::of_hub(hub, settings), spokes).await
}

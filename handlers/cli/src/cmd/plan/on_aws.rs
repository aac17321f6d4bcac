//! `tidegate plan --aws`: the same look at AWS, with the settings of the functions.

use tidegate_aws::clients::Hub;
use tidegate_aws::cloud::{AwsCloud, CloudSettings};
use tidegate_aws::environment::Reader;
use tidegate_events::run::BulkRun;
use tidegate_rules::policy::Policy;

use super::{Estate, spokes};
use crate::failure::Failure;

/// Reads what the run names.
///
/// # Errors
/// When the environment's settings are wrong, or AWS can't be read.
pub(super) async fn read(policy: &Policy, run: &BulkRun) -> Result<Estate, Failure> {
    let hub = Hub::load(None, tidegate_aws::trust::Trust::System).await;
    let get = |name: &str| std::env::var(name).ok();
    let mut reader = Reader::new(&get);
    if hub.region().is_none() {
        reader.fault("`AWS_REGION` is not set: expected the Region of the hub".into());
    }
    let settings = CloudSettings {
        partition: reader.partition(),
        spoke_role: reader.spoke_role(),
        external_id: reader.external_id(),
        aggregator: Some(reader.needed("TIDEGATE_AGGREGATOR", "the name of the hub's Config aggregator: shares are of what it counts")),
        regions: reader.regions(),
        tags_wanted: true,
        ..CloudSettings::default()
    };
    let settings = reader.done(Some(settings)).map_err(|error| Failure::Usage(error.to_string()))?;
    spokes::read(&AwsCloud::of_hub(hub, settings), policy, run).await
}

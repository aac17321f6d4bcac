//! AWS as a command reads it that is run by hand: with the credentials of whoever runs it, and the settings of the functions.

use tidegate_aws::clients::Hub;
use tidegate_aws::cloud::{AwsCloud, CloudSettings};
use tidegate_aws::environment::Reader;

use crate::failure::Failure;

/// The organization, and the hub that it is seen from. `more` reads what this command needs beside what enters a spoke. Sends nothing.
///
/// # Errors
/// Everything that is wrong with the environment, together.
pub async fn cloud(more: impl FnOnce(&mut Reader<'_>, CloudSettings) -> CloudSettings) -> Result<(AwsCloud, Hub), Failure> {
    let hub = Hub::load(None, tidegate_aws::trust::Trust::System).await;
    let get = |name: &str| std::env::var(name).ok();
    let mut reader = Reader::new(&get);
    if hub.region().is_none() {
        reader.fault("`AWS_REGION` is not set: expected the Region of the hub".into());
    }
    let settings =
        CloudSettings { partition: reader.partition(), spoke_role: reader.spoke_role(), external_id: reader.external_id(), ..CloudSettings::default() };
    let settings = more(&mut reader, settings);
    let settings = reader.done(Some(settings)).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok((AwsCloud::of_hub(hub.clone(), settings), hub))
}

//! What a chunk's hosts lack, patch by patch: read where the policy asks for it, and never in the way of anything. One call for each
//! instance: that is how Systems Manager tells it.

use tidegate_events::host::{Host, Ping, SpokeFault};
use tidegate_events::id::InstanceId;
use tidegate_events::patch::Lacking;

use crate::handle::Engine;
use crate::ports::{Cloud, Spoke};
use crate::store::Store;

impl<S: Store, C: Cloud> Engine<S, C> {
    /// The missing patches of those that answer; nothing where the policy does not ask or nobody can say. Deadlines are asked of the current
    /// policy alone, so that no campaign's is looked up for this.
    pub(crate) async fn lacking(&self, spoke: &Spoke, found: &Result<Vec<Host>, SpokeFault>) -> Vec<Lacking> {
        let Some(hosts) = found.as_ref().ok().filter(|_| self.policy().by_cve.is_some()) else { return Vec::new() };
        let instances: Vec<InstanceId> = hosts.iter().filter(|host| host.ping == Ping::Online).map(|host| host.instance.clone()).collect();
        if instances.is_empty() {
            return Vec::new();
        }
        match self.cloud().missing_patches(spoke, &instances).await {
            Ok(lacking) => lacking.into_iter().filter(|lacking| lacking.missing.is_some()).collect(),
            Err(fault) => {
                tracing::warn!(account = %spoke.account, region = %spoke.region, %fault, "missing patches were not read: deadlines stay as they are");
                Vec::new()
            }
        }
    }
}

//! What is stored of a bulk run beside its campaign.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_events::host::Platform;
use tidegate_events::id::{CampaignId, PersonId};
use tidegate_events::run::{BulkRun, CustomDocuments, Operation, RebootOption, RunAmount};

/// What a campaign keeps of the bulk run that it is: what its decisions ask for often. The whole run is [`RunItem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    /// The id under which it was asked for.
    pub asked: String,
    /// Who asked.
    pub by: PersonId,
    /// Nothing is sent to any spoke.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Whether the run's own failure budgets halt it.
    pub abort_on_issues: bool,
    /// Accounts and Regions that are listed.
    pub spokes: u32,
    /// Documents of its own, by platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<Platform, CustomDocuments>,
    /// Its waves, in order, those that turn out empty too.
    pub waves: Vec<BulkWave>,
}

/// What a bulk run asks of one wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkWave {
    /// Its name.
    pub name: String,
    /// Install or only scan.
    pub operation: Operation,
    /// Whether commands may reboot, where the run says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot: Option<RebootOption>,
    /// The run's own failure budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<RunAmount>,
}

impl Bulk {
    /// The wave of this name.
    pub fn wave(&self, name: &str) -> Option<&BulkWave> {
        self.waves.iter().find(|wave| wave.name == name)
    }
}

/// A bulk run as it was asked for: an item of its own, since it may be far larger than a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunItem {
    /// The campaign that runs it.
    pub campaign: CampaignId,
    /// The run.
    pub run: BulkRun,
}

/// How far the nodes of one spoke are listed for one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Pages with hosts that the run takes: each is a chunk.
    pub pages: u32,
    /// Whether the last page was seen, or the spoke can't be listed at all.
    pub done: bool,
}

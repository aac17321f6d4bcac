//! What is said about bulk runs: that somebody asks for one, what its nodes are, and what becomes true of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::id::{AccountId, CampaignId, CellId, Digest, InstanceId, PersonId, Region, WaveId};
use crate::run::{BulkRun, LeftOut};

/// Somebody asks for a bulk run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunAsked {
    /// Names the ask: heard again under the same id it is the same run. 1 to 64 letters, digits, `.`, `_` and `-`.
    pub id: String,
    /// The run.
    pub run: BulkRun,
    /// Who asks.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
}

/// One page of the managed nodes of a spoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePage {
    /// At most 50.
    pub hosts: Vec<Host>,
    /// What asks for the next page; `None` after the last.
    pub next: Option<String>,
}

/// One change of state that only bulk runs have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum BulkEntry {
    /// A bulk run was opened: a campaign with waves of its own that nobody else joins. Its nodes are listed now.
    Opened {
        /// The campaign.
        campaign: CampaignId,
        /// Its terms: policy and run in one.
        policy: Digest,
        /// As it was asked for.
        asked: Box<RunAsked>,
        /// Accounts and Regions that are listed.
        spokes: u32,
    },
    /// A page of the nodes of a spoke was looked through.
    Listed {
        /// The campaign.
        campaign: CampaignId,
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// Hosts that the run takes.
        hosts: Vec<Host>,
        /// Config rules that found some of them before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rules: Vec<String>,
        /// Whether they wait for this run from now on: a dry run only looks.
        enrolled: bool,
        /// Hosts that its filters take and that stay where they are, with the reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<(InstanceId, String)>,
        /// Hosts that no wave takes, counted by reason.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        passed_over: BTreeMap<LeftOut, u64>,
        /// Why the spoke could not be listed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<String>,
        /// Whether that was the spoke's last page.
        last: bool,
    },
    /// More failed than the run itself bears, and it said to go on (`abortOnIssues: false`); the policy's budget still holds.
    ErrorsPassed {
        /// The wave.
        wave: WaveId,
        /// Failed or unknown so far.
        bad: u64,
        /// In a few words.
        why: String,
    },
    /// The run ended before these were touched, and no finding is open about them: nothing waits for them.
    Freed {
        /// The cell.
        cell: CellId,
        /// The members.
        members: Vec<InstanceId>,
    },
}

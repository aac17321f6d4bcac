//! What named people do with the controls: pause and resume, another attempt, and what the stop cord cancels. Each is told to us
//! and kept in the journal in the same words.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{BatchId, CampaignId, CommandId, Digest, IdError, InstanceId, LaneId, PersonId, TargetKey};

/// What can be paused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Steered {
    /// A lane: every campaign of it.
    Lane(LaneId),
    /// One campaign.
    Campaign(CampaignId),
}

impl Steered {
    /// Reads `patch-default.1` as a campaign, `patch-default` as a lane.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self::Campaign).or_else(|_| text.parse().map(Self::Lane))
    }
}

impl fmt::Display for Steered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lane(id) => write!(f, "{id}"),
            Self::Campaign(id) => write!(f, "{id}"),
        }
    }
}

/// A named person paused something, or lets it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Steer {
    /// What.
    pub on: Steered,
    /// It may go on; without this it is paused.
    pub go: bool,
    /// Who.
    pub by: PersonId,
    /// Why.
    pub comment: String,
}

/// Who gets another attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retried {
    /// One target.
    Target(TargetKey),
    /// Every target that failed in this campaign and has not recovered.
    Campaign(CampaignId),
}

impl Retried {
    /// Reads `account/region/instance` as a target, `patch-default.1` as a campaign.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self::Target).or_else(|_| text.parse().map(Self::Campaign))
    }
}

impl fmt::Display for Retried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(key) => write!(f, "{key}"),
            Self::Campaign(id) => write!(f, "{id}"),
        }
    }
}

/// A named person gives targets another attempt: those that are out of attempts, or wait for their next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retry {
    /// Who gets it.
    pub what: Retried,
    /// Who gives it.
    pub by: PersonId,
    /// Why.
    pub comment: String,
}

/// An exemption ends soon: whoever answers for it is told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExemptionEnding {
    /// Names the exemption: the digest of all that it says.
    pub exemption: Digest,
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// Where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The first instant after it.
    pub until: Timestamp,
}

/// The stop cord cancels invocations of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelling {
    /// The batch.
    pub batch: BatchId,
    /// Its command.
    pub command: CommandId,
    /// Not delivered when they were looked at: cancelled, they were never touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undelivered: Vec<InstanceId>,
    /// Running when they were looked at: cancelled only where the cord was pulled to kill, and scanned afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<InstanceId>,
}

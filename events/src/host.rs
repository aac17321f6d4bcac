//! What a look-up says about an instance: platform, agent, tags.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::InstanceId;

/// The platform as `DescribeInstanceInformation` names it. A command goes to one platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Platform {
    /// Linux of any kind.
    Linux,
    /// Windows Server.
    Windows,
    /// macOS.
    MacOS,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "Linux",
            Self::Windows => "Windows",
            Self::MacOS => "MacOS",
        })
    }
}

/// Whether the agent answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Ping {
    /// It does.
    Online,
    /// It has not for a while.
    ConnectionLost,
    /// It has not for a long time.
    Inactive,
}

/// One instance as a look-up found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// The instance.
    pub instance: InstanceId,
    /// Its platform.
    pub platform: Platform,
    /// Whether its agent answers.
    pub ping: Ping,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// Why a spoke (an account and Region) could not be entered or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpokeFault {
    /// The role is missing, or does not trust the hub.
    RoleDenied(String),
    /// The account is suspended or closed.
    AccountSuspended,
    /// The account is not in the organization's directory.
    AccountUnknown,
    /// The API asked us to slow down; nothing happened.
    Throttled,
    /// No usable answer (time-out, 5xx, lost connection).
    NoAnswer(String),
}

impl SpokeFault {
    /// Whether trying again by itself may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Throttled | Self::NoAnswer(_))
    }
}

impl fmt::Display for SpokeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoleDenied(why) => write!(f, "the spoke does not let us in ({why}): check that its role exists, trusts the hub and may do this"),
            Self::AccountSuspended => f.write_str("the account is suspended"),
            Self::AccountUnknown => f.write_str("the account is not in the organization"),
            Self::Throttled => f.write_str("the API throttled us"),
            Self::NoAnswer(why) => write!(f, "no usable answer ({why})"),
        }
    }
}

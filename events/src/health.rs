//! Whether what a wave has touched is well: what alarms and hosts said, and what follows from it. Three answers: yes, no, and
//! nobody can say.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, PersonId};

/// Characters of an alarm's own reason that are kept.
const REASON_MAX: usize = 200;

/// What an alarm says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// `OK`
    Ok,
    /// `ALARM`
    Alarm,
    /// `INSUFFICIENT_DATA`, and whatever else may come to be a state.
    InsufficientData,
}

impl AlarmState {
    /// Reads the state as CloudWatch writes it. What is not known says nothing.
    pub fn read(text: &str) -> Self {
        match text {
            "OK" => Self::Ok,
            "ALARM" => Self::Alarm,
            _ => Self::InsufficientData,
        }
    }

    /// As CloudWatch writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// An alarm as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmSeen {
    /// Its name.
    pub name: String,
    /// What it says.
    pub state: AlarmState,
    /// Its own reason, the beginning of it; empty where it is `OK`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl AlarmSeen {
    /// An alarm in this state, for this reason.
    pub fn new(name: impl Into<String>, state: AlarmState, reason: &str) -> Self {
        let reason =
            if state == AlarmState::Ok { String::new() } else { reason.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(REASON_MAX).collect() };
        Self { name: name.into(), state, reason }
    }
}

/// Hosts of a wave that were not heard of again after it touched them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Away {
    /// How many.
    pub hosts: u64,
    /// Of how many that were touched.
    pub of: u64,
    /// The first few of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<InstanceId>,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nobody can say.
    Inconclusive,
    /// It is not well.
    Unhealthy,
}

/// One thing that keeps the answer from being yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// What: `alarm NAME`, or `agents`.
    pub what: String,
    /// How bad it is.
    pub severity: Severity,
    /// Why, in a few words.
    pub why: String,
}

/// A step of a campaign's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum HealthStep {
    /// It is asked.
    Asked {
        /// When it is asked again, if no answer comes.
        again_at: Timestamp,
    },
    /// It was answered.
    Seen {
        /// The alarms that were found.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        alarms: Vec<AlarmSeen>,
        /// Why they could not be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<String>,
        /// Hosts that were not heard of again, where that was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        away: Option<Away>,
        /// What keeps the answer from being yes; none means healthy.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        causes: Vec<Cause>,
        /// When it is asked again.
        again_at: Timestamp,
    },
    /// The answer was waited for as long as the policy says: operators were told.
    Told,
    /// A named person lets the campaign go on although the answer was not yes. These causes count no more, until each is seen well
    /// again.
    Released {
        /// Who.
        by: PersonId,
        /// Why.
        comment: String,
        /// What counts no more.
        causes: Vec<Cause>,
    },
}

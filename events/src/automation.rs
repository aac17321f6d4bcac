//! How an execution of a Systems Manager Automation runbook stands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::fact::InvocationStatus;

/// The status of an execution, as far as a decision could differ by it. Source: SSM API model, `AutomationExecutionStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutomationStatus {
    /// Not started yet: scheduled, or waiting for an approval or a calendar.
    Waiting,
    /// Under way, its cancellation included.
    InProgress,
    /// Ended as it should.
    Success,
    /// Ended otherwise: failed, rejected, or left early.
    Failed,
    /// Gave up waiting.
    TimedOut,
    /// Somebody stopped it.
    Cancelled,
}

impl AutomationStatus {
    /// The same as the end of a command on an instance.
    pub fn as_invocation(self) -> InvocationStatus {
        match self {
            Self::Waiting => InvocationStatus::Pending,
            Self::InProgress => InvocationStatus::InProgress,
            Self::Success => InvocationStatus::Success,
            Self::Failed => InvocationStatus::Failed,
            Self::TimedOut => InvocationStatus::ExecutionTimedOut,
            Self::Cancelled => InvocationStatus::Cancelled,
        }
    }

    /// Whether it will not change any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::InProgress)
    }
}

/// A word that the SSM API model does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownStatus(String);

impl fmt::Display for UnknownStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not known: expected an automation's status, such as InProgress, Success, Failed, TimedOut or Cancelled", self.0)
    }
}

impl std::error::Error for UnknownStatus {}

impl FromStr for AutomationStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Ok(match text {
            "Pending" | "Scheduled" | "PendingApproval" | "Approved" | "PendingChangeCalendarOverride" | "ChangeCalendarOverrideApproved" => Self::Waiting,
            "InProgress" | "Waiting" | "RunbookInProgress" | "Cancelling" => Self::InProgress,
            "Success" | "CompletedWithSuccess" => Self::Success,
            "Failed" | "CompletedWithFailure" | "Rejected" | "ChangeCalendarOverrideRejected" | "Exited" => Self::Failed,
            "TimedOut" => Self::TimedOut,
            "Cancelled" => Self::Cancelled,
            _ => return Err(UnknownStatus(text.chars().take(40).collect())),
        })
    }
}

impl fmt::Display for AutomationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::InProgress => "in progress",
            Self::Success => "successful",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Cancelled => "cancelled",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value of the model.
    const WORDS: [&str; 19] = [
        "Pending",
        "InProgress",
        "Waiting",
        "Success",
        "TimedOut",
        "Cancelling",
        "Cancelled",
        "Failed",
        "PendingApproval",
        "Approved",
        "Rejected",
        "Scheduled",
        "RunbookInProgress",
        "PendingChangeCalendarOverride",
        "ChangeCalendarOverrideApproved",
        "ChangeCalendarOverrideRejected",
        "CompletedWithSuccess",
        "CompletedWithFailure",
        "Exited",
    ];

    #[test]
    fn every_word_of_the_model_is_known_and_only_two_are_good() {
        let read: Vec<AutomationStatus> = WORDS.iter().map(|word| word.parse().unwrap()).collect();
        assert_eq!(read.iter().filter(|status| **status == AutomationStatus::Success).count(), 2);
        assert_eq!(read.iter().filter(|status| status.is_final()).count(), 9);
        assert!("success".parse::<AutomationStatus>().is_err() && "".parse::<AutomationStatus>().is_err());
    }
}

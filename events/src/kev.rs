//! CISA's catalog of Known Exploited Vulnerabilities as a named person loads it: what deadlines need of it, and who answers for it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::PersonId;

/// A catalog that somebody loads. It takes the place of the one before, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KevLoad {
    /// `catalogVersion`, such as `2026.11.20`.
    pub version: String,
    /// `dateReleased`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Timestamp>,
    /// CVE to due date: by the end of that day in UTC.
    pub due: BTreeMap<String, Date>,
    /// Taken although it is older, or much smaller, than the one before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Who loads it.
    pub by: PersonId,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

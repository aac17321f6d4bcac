//! CISA's catalog of Known Exploited Vulnerabilities, as its JSON feed writes it. Each entry carries its own due date, and that date
//! is what counts, never a number of days.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use tidegate_events::kev::KevLoad;

use super::Deadline;

/// Much more than the feed, which has some 1.5 MB.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// What its deadlines name as their source.
const SOURCE: &str = "CISA KEV catalog";

/// The catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kev {
    /// `catalogVersion`, such as `2025.08.21`.
    pub version: String,
    /// `dateReleased`.
    pub released: Option<Timestamp>,
    /// Entries that could not be read, each with its place and the reason: they never cost their neighbours.
    pub faults: Vec<String>,
    entries: BTreeMap<String, KevEntry>,
}

/// What is used of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KevEntry {
    /// `dueDate`: by the end of this day.
    pub due: Date,
    /// `dateAdded`.
    pub added: Option<Date>,
    /// `knownRansomwareCampaignUse` is `Known`.
    pub ransomware: bool,
}

/// Why a file is no catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KevError {
    /// Too large.
    #[error("the KEV catalog has {0} bytes: expected at most {BYTES_MAX}")]
    TooLarge(usize),
    /// Not JSON of its form.
    #[error("this is not the KEV catalog: {0}; expected the JSON feed with `catalogVersion` and `vulnerabilities`")]
    Form(String),
    /// Fewer entries than it says itself.
    #[error("the KEV catalog says that it has {said} entries and holds {found}: it is cut off")]
    CutOff {
        /// `count`.
        said: u64,
        /// What is there.
        found: u64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feed {
    catalog_version: String,
    date_released: Option<String>,
    count: Option<u64>,
    vulnerabilities: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "cveID")]
    cve_id: String,
    due_date: Date,
    date_added: Option<Date>,
    known_ransomware_campaign_use: Option<String>,
}

impl Kev {
    /// Reads the feed.
    ///
    /// # Errors
    /// When it is not the catalog, or not all of it. A single wrong entry is a fault, not an error.
    pub fn parse(bytes: &[u8]) -> Result<Self, KevError> {
        if bytes.len() > BYTES_MAX {
            return Err(KevError::TooLarge(bytes.len()));
        }
        let feed: Feed = serde_json::from_slice(bytes).map_err(|error| KevError::Form(error.to_string()))?;
        let found = u64::try_from(feed.vulnerabilities.len()).unwrap_or(u64::MAX);
        if let Some(said) = feed.count.filter(|said| *said > found) {
            return Err(KevError::CutOff { said, found });
        }
        let released = feed.date_released.as_deref().and_then(|text| text.parse().ok());
        let mut kev = Self { version: feed.catalog_version, released, ..Self::default() };
        for (place, value) in feed.vulnerabilities.into_iter().enumerate() {
            match serde_json::from_value::<Line>(value) {
                Ok(line) => {
                    let ransomware = line.known_ransomware_campaign_use.is_some_and(|word| word.eq_ignore_ascii_case("known"));
                    let entry = KevEntry { due: line.due_date, added: line.date_added, ransomware };
                    let at = line.cve_id.trim().to_ascii_uppercase();
                    // Listed twice: the earlier date counts.
                    match kev.entries.get(&at) {
                        Some(known) if known.due <= entry.due => {}
                        _ => {
                            kev.entries.insert(at, entry);
                        }
                    }
                }
                Err(error) => kev.faults.push(format!("vulnerabilities[{place}]: {error}")),
            }
        }
        Ok(kev)
    }

    /// The catalog that somebody has loaded.
    pub fn of(load: &KevLoad) -> Self {
        let entry = |(cve, due): (&String, &Date)| (cve.clone(), KevEntry { due: *due, added: None, ransomware: false });
        Self { version: load.version.clone(), released: load.released, faults: Vec::new(), entries: load.due.iter().map(entry).collect() }
    }

    /// CVEs and their due dates: what is loaded of it.
    pub fn due(&self) -> BTreeMap<String, Date> {
        self.entries.iter().map(|(cve, entry)| (cve.clone(), entry.due)).collect()
    }

    /// Whether a deadline is one of this catalog's, of whatever version.
    pub fn set(deadline: &Deadline) -> bool {
        deadline.source == SOURCE
    }

    /// The entry of a CVE.
    pub fn get(&self, cve: &str) -> Option<&KevEntry> {
        self.entries.get(cve)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The deadline that the catalog sets for a CVE: the end of its due date in UTC, which no zone of the United States reaches later.
    pub fn deadline(&self, cve: &str, since: Timestamp) -> Option<Deadline> {
        let entry = self.get(cve)?;
        let at = entry.due.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(Deadline { at, since, sla: format!("kev {cve}"), source: SOURCE.to_owned(), version: self.version.clone() })
    }
}

//! The keys of everything that is stored. One text each, so that any store with ordered text keys can hold them; a slash
//! separates parts, and listing by prefix is the only query there is.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_events::hold::Scope;
use tidegate_events::id::{AccountId, BatchId, CampaignId, CellId, CommandId, Digest, LaneId, Region, TargetKey, WaveId};

/// Into how many doors a roster is spread: joining only touches one, so that no single key takes every write.
pub const DOORS: u16 = 16;

/// The key of a stored item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// The organization's own item: stop cord and calendars.
    pub fn organization() -> Self {
        Self("org".into())
    }
    /// What was done about exemptions.
    pub fn exemptions() -> Self {
        Self("exemptions".into())
    }
    /// What AWS Config is told of exemptions in one account and Region.
    pub fn mirror(account: AccountId, region: &Region) -> Self {
        Self(format!("mirror/{account}/{region}"))
    }
    /// The KEV catalog in force.
    pub fn kev() -> Self {
        Self("kev".into())
    }
    /// A lane.
    pub fn lane(id: &LaneId) -> Self {
        Self(format!("lane/{id}"))
    }
    /// A pinned policy.
    pub fn policy(digest: &Digest) -> Self {
        Self(format!("policy/{digest}"))
    }
    /// A campaign.
    pub fn campaign(id: &CampaignId) -> Self {
        Self(format!("campaign/{id}"))
    }
    /// A door of a campaign's roster: absent while it is open.
    pub fn door(id: &CampaignId, door: u16) -> Self {
        Self(format!("door/{id}/{door:02}"))
    }
    /// One member of a campaign's roster. Ordered by door, then by place on the ring.
    pub fn roster(id: &CampaignId, door: u16, place: u64, target: &TargetKey) -> Self {
        Self(format!("roster/{id}/{door:02}/{place:016x}/{target}"))
    }
    /// Prefix of a campaign's roster.
    pub fn roster_of(id: &CampaignId) -> String {
        format!("roster/{id}/")
    }
    /// A described chunk of a closing campaign's roster.
    pub fn chunk(id: &CampaignId, account: AccountId, region: &Region, chunk: u32) -> Self {
        Self(format!("chunk/{id}/{account}/{region}/{chunk:06}"))
    }
    /// Prefix of a campaign's chunks.
    pub fn chunks_of(id: &CampaignId) -> String {
        format!("chunk/{id}/")
    }
    /// A bulk run as it was asked for, by the id of the ask.
    pub fn run(asked: &str) -> Self {
        Self(format!("run/{asked}"))
    }
    /// How far the nodes of a spoke are listed for a bulk run.
    pub fn listing(id: &CampaignId, account: AccountId, region: &Region) -> Self {
        Self(format!("listing/{id}/{account}/{region}"))
    }
    /// A cell.
    pub fn cell(id: &CellId) -> Self {
        Self(format!("cell/{id}"))
    }
    /// Prefix of a wave's cells.
    pub fn cells_of(wave: &WaveId) -> String {
        format!("cell/{wave}/")
    }
    /// A batch.
    pub fn batch(id: &BatchId) -> Self {
        Self(format!("batch/{id}"))
    }
    /// Which batch a command belongs to.
    pub fn command(account: AccountId, region: &Region, id: &CommandId) -> Self {
        Self(format!("command/{account}/{region}/{id}"))
    }
    /// The open intents of one account and Region: what the stop cord looks at.
    pub fn open(account: AccountId, region: &Region) -> Self {
        Self(format!("open/{account}/{region}"))
    }
    /// A target.
    pub fn target(target: &TargetKey) -> Self {
        Self(format!("target/{target}"))
    }
    /// Counter: what is granted of a limit.
    pub fn grant(scope: &Scope) -> Self {
        Self(match scope {
            Scope::Wave(wave) => format!("grant/wave/{wave}"),
            Scope::Account(account) => format!("grant/account/{account}"),
            Scope::Region(region) => format!("grant/region/{region}"),
            Scope::Tag(tag) => format!("grant/tag/{tag}"),
            Scope::Group { account, region, tag } => format!("grant/group/{account}/{region}/{tag}"),
            Scope::Organization => "grant/organization".into(),
        })
    }
    /// Counter: a wave's tally.
    pub fn tally(wave: &WaveId, field: Tally) -> Self {
        Self(format!("tally/{wave}/{}", field.name()))
    }
    /// Counter: described chunks of a closing campaign.
    pub fn described(id: &CampaignId) -> Self {
        Self(format!("tally/{id}/described"))
    }
    /// Counter: deadlines that were broken.
    pub fn breaches() -> Self {
        Self("tally/deadlines/broken".into())
    }
    /// Counter: those of them that were due dates of the KEV catalog.
    pub fn kev_breaches() -> Self {
        Self("tally/deadlines/kev".into())
    }
    /// Prefix of all grants.
    pub const GRANTS: &'static str = "grant/";
    /// Prefix of all open intents.
    pub const OPEN: &'static str = "open/";
    /// The organization's own key.
    pub const ORGANIZATION: &'static str = "org";
    /// Prefix of all targets.
    pub const TARGETS: &'static str = "target/";
    /// Prefix of all campaigns.
    pub const CAMPAIGNS: &'static str = "campaign/";
    /// Prefix of what AWS Config is told of exemptions.
    pub const MIRRORS: &'static str = "mirror/";
    /// Prefix of all lanes.
    pub const LANES: &'static str = "lane/";

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a key that a store gave back.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether this is a counter: added to, never replaced.
    pub fn is_counter(&self) -> bool {
        self.0.starts_with("grant/") || self.0.starts_with("tally/")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The monotone counters of a wave: gates read these, never a difference of moving ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tally {
    /// Cells that looked at their members again.
    Sealed,
    /// Members that were kept by that look.
    Kept,
    /// Cells all of whose members have ended.
    Done,
    /// Members proven patched.
    Ok,
    /// Members failed or unknown.
    Bad,
    /// Members never touched.
    Dropped,
}

impl Tally {
    fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Kept => "kept",
            Self::Done => "done",
            Self::Ok => "ok",
            Self::Bad => "bad",
            Self::Dropped => "dropped",
        }
    }
}

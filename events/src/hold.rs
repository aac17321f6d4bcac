//! Why something is not happening. Never a bool, never a bare string: every hold has a name that people and programs share.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{CampaignId, Digest, PersonId, WaveId};

/// A limit of the blast radius.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One wave.
    Wave(WaveId),
    /// One account.
    Account(crate::id::AccountId),
    /// One Region.
    Region(crate::id::Region),
    /// All targets with one value of the policy's scope tag, written `key=value`.
    Tag(String),
    /// A group of targets that serve together, in one account and Region.
    Group {
        /// The account.
        account: crate::id::AccountId,
        /// The Region.
        region: crate::id::Region,
        /// The tag that its members share, written `key=value`.
        tag: String,
    },
    /// Everything.
    Organization,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wave(wave) => write!(f, "wave {wave}"),
            Self::Account(account) => write!(f, "account {account}"),
            Self::Region(region) => write!(f, "Region {region}"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Group { account, region, tag } => write!(f, "group {tag} in {account}/{region}"),
            Self::Organization => f.write_str("the organization"),
        }
    }
}

/// The named reason why a wave, a batch or a target is not moving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Hold {
    /// Somebody pulled the stop cord.
    CordPulled {
        /// Who.
        by: PersonId,
    },
    /// The lane was halted; a named person must resume it.
    LaneHalted {
        /// Why.
        why: String,
    },
    /// A named person paused the lane or the campaign; a named person lets it go on.
    Paused {
        /// Who.
        by: PersonId,
        /// Why.
        why: String,
    },
    /// The campaign was rejected or has ended.
    CampaignOver {
        /// Why.
        why: String,
    },
    /// A freeze of the policy is in force.
    Frozen {
        /// Its name.
        freeze: String,
        /// When it ends.
        until: Timestamp,
    },
    /// An SSM Change Calendar is closed.
    CalendarClosed {
        /// The calendar.
        calendar: String,
    },
    /// Another campaign of the lane runs first.
    LaneBusy {
        /// The running campaign.
        running: CampaignId,
    },
    /// An earlier wave is not proven yet.
    EarlierWave {
        /// That wave.
        wave: WaveId,
    },
    /// An earlier wave is proven and being watched.
    Baking {
        /// That wave.
        wave: WaveId,
        /// Until when.
        until: Timestamp,
    },
    /// Outside every maintenance window.
    WindowClosed {
        /// When the next one opens, where there is one.
        opens_at: Option<Timestamp>,
    },
    /// The window is open, but what would start now would not end before the cutoff.
    TooLateInWindow {
        /// When starting must stop.
        cutoff_at: Timestamp,
        /// When the next window opens, where there is one.
        opens_at: Option<Timestamp>,
    },
    /// The pinned patch set is older than it lives; a new one is pinned, watched and asked for.
    PatchSetExpired,
    /// The health check said no.
    Unhealthy {
        /// What it said.
        why: String,
    },
    /// The health check could not say; a person must look.
    HealthInconclusive {
        /// What it said.
        why: String,
        /// Until when it is asked again by itself before a person is needed; `None`: that time is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Approval is asked and not given by enough people.
    AwaitingApproval {
        /// What the yes must name.
        digest: Digest,
        /// Live approvals.
        have: u32,
        /// Needed approvals.
        need: u32,
    },
    /// A limit of the blast radius is used up.
    BlastRadius {
        /// Which limit.
        scope: Scope,
        /// Its size in targets.
        limit: u64,
    },
    /// The spoke can't be entered.
    SpokeClosed {
        /// Why.
        why: String,
    },
    /// A send may or may not have happened: searched for before anything is sent again.
    SendAmbiguous {
        /// When it is searched next.
        until: Timestamp,
    },
    /// Something went wrong inside a gate or look-up: doubt is no.
    Doubt {
        /// What.
        what: String,
    },
    /// Only a person can move this on.
    NeedsPerson {
        /// What to do.
        what: String,
    },
}

impl Hold {
    /// The name in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CordPulled { .. } => "cord_pulled",
            Self::LaneHalted { .. } => "lane_halted",
            Self::Paused { .. } => "paused",
            Self::CampaignOver { .. } => "campaign_over",
            Self::Frozen { .. } => "frozen",
            Self::CalendarClosed { .. } => "calendar_closed",
            Self::LaneBusy { .. } => "lane_busy",
            Self::EarlierWave { .. } => "earlier_wave",
            Self::Baking { .. } => "baking",
            Self::WindowClosed { .. } => "window_closed",
            Self::TooLateInWindow { .. } => "too_late_in_window",
            Self::PatchSetExpired => "patch_set_expired",
            Self::Unhealthy { .. } => "unhealthy",
            Self::HealthInconclusive { .. } => "health_inconclusive",
            Self::AwaitingApproval { .. } => "awaiting_approval",
            Self::BlastRadius { .. } => "blast_radius",
            Self::SpokeClosed { .. } => "spoke_closed",
            Self::SendAmbiguous { .. } => "send_ambiguous",
            Self::Doubt { .. } => "doubt",
            Self::NeedsPerson { .. } => "needs_person",
        }
    }

    /// When time alone may lift it, where that is known.
    pub fn lifts_at(&self) -> Option<Timestamp> {
        match self {
            Self::Frozen { until, .. } | Self::Baking { until, .. } | Self::SendAmbiguous { until } => Some(*until),
            Self::WindowClosed { opens_at } | Self::TooLateInWindow { opens_at, .. } => *opens_at,
            // By then operators are told, whatever it says.
            Self::HealthInconclusive { until, .. } => *until,
            _ => None,
        }
    }

    /// Whether only a person can lift it.
    pub fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::CordPulled { .. }
                | Self::LaneHalted { .. }
                | Self::Paused { .. }
                | Self::CampaignOver { .. }
                | Self::Unhealthy { .. }
                | Self::HealthInconclusive { until: None, .. }
                | Self::AwaitingApproval { .. }
                | Self::CalendarClosed { .. }
                | Self::NeedsPerson { .. }
        ) || matches!(self, Self::WindowClosed { opens_at: None } | Self::TooLateInWindow { opens_at: None, .. })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CordPulled { by } => write!(f, "{by} pulled the stop cord"),
            Self::LaneHalted { why } => write!(f, "the lane is halted: {why}; a named person must resume it"),
            Self::Paused { by, why } => write!(f, "{by} paused it: {why}"),
            Self::CampaignOver { why } => write!(f, "the campaign is over: {why}"),
            Self::Frozen { freeze, until } => write!(f, "freeze `{freeze}` is in force until {until}"),
            Self::CalendarClosed { calendar } => write!(f, "change calendar `{calendar}` is closed"),
            Self::LaneBusy { running } => write!(f, "campaign {running} of this lane runs first"),
            Self::EarlierWave { wave } => write!(f, "wave {wave} is not proven yet"),
            Self::Baking { wave, until } => write!(f, "wave {wave} bakes until {until}"),
            Self::WindowClosed { opens_at: Some(at) } => write!(f, "no maintenance window is open; the next opens at {at}"),
            Self::WindowClosed { opens_at: None } => f.write_str("no maintenance window is open and none will open: change the policy"),
            Self::TooLateInWindow { cutoff_at, opens_at: Some(at) } => {
                write!(f, "too late to start before the cutoff at {cutoff_at}; the next window opens at {at}")
            }
            Self::TooLateInWindow { cutoff_at, opens_at: None } => write!(f, "too late to start before the cutoff at {cutoff_at}, and no window follows"),
            Self::PatchSetExpired => f.write_str("the pinned patch set is older than it lives; a new one is pinned, watched and asked for"),
            Self::Unhealthy { why } => write!(f, "the health check says no: {why}"),
            Self::HealthInconclusive { why, until: Some(until) } => write!(f, "the health check can't say yet: {why}; it is asked again until {until}"),
            Self::HealthInconclusive { why, until: None } => write!(f, "the health check could not say: {why}; a person must look"),
            Self::AwaitingApproval { digest, have, need } => write!(f, "{have} of {need} approvals for digest {}", digest.short()),
            Self::BlastRadius { scope, limit } => write!(f, "the blast radius of {scope} is used up (at most {limit} at once)"),
            Self::SpokeClosed { why } => write!(f, "the spoke can't be entered: {why}"),
            Self::SendAmbiguous { until } => write!(f, "a send may have happened; it is searched for at {until} before anything is sent again"),
            Self::Doubt { what } => write!(f, "held because of a doubt: {what}"),
            Self::NeedsPerson { what } => f.write_str(what),
        }
    }
}

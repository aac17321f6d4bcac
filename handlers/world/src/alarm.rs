//! CloudWatch alarms in the hub: what each says at any time, by a script or since hosts were touched.

use serde::{Deserialize, Serialize};
use tidegate_events::health::{AlarmSeen, AlarmState};

use crate::clock::secs;
use crate::state::State;

/// One alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmSpec {
    /// Its name.
    pub name: String,
    /// Whether it is made of other alarms.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub composite: bool,
    /// What it says from when on, in order; `OK` before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<AlarmTurn>,
    /// It goes off once installs have begun on so many hosts, and stays so: the patches are what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fires_after_hosts: Option<u32>,
}

impl AlarmSpec {
    /// An alarm that is `OK`.
    pub fn ok(name: &str) -> Self {
        Self { name: name.to_owned(), composite: false, turns: Vec::new(), fires_after_hosts: None }
    }

    /// Says something else from so many seconds after the start on.
    #[must_use]
    pub fn then(mut self, after_secs: u64, state: AlarmState) -> Self {
        self.turns.push(AlarmTurn { after_secs, state });
        self
    }

    /// Goes off once installs have begun on so many hosts.
    #[must_use]
    pub fn fires_after_hosts(mut self, hosts: u32) -> Self {
        self.fires_after_hosts = Some(hosts);
        self
    }
}

/// A change of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmTurn {
    /// Seconds after the start.
    pub after_secs: u64,
    /// What it says from then on.
    pub state: AlarmState,
}

impl State {
    /// The alarms of these names that exist, in the order of the world, each with whether it is a composite one.
    pub fn alarms(&self, names: &[String]) -> Vec<(AlarmSeen, bool)> {
        let mut touched = None;
        let found = self.alarms.iter().filter(|alarm| names.contains(&alarm.name));
        found
            .map(|alarm| {
                let turn = alarm.turns.iter().rev().find(|turn| self.started.saturating_add(secs(turn.after_secs)) <= self.now);
                let fires = alarm.fires_after_hosts.is_some_and(|hosts| {
                    let touched = *touched.get_or_insert_with(|| self.hosts.iter().filter(|host| host.installs > 0).count());
                    u32::try_from(touched).unwrap_or(u32::MAX) >= hosts
                });
                let state = if fires { AlarmState::Alarm } else { turn.map_or(AlarmState::Ok, |turn| turn.state) };
                let reason = match state {
                    AlarmState::Ok => "Threshold Crossed: no datapoints were greater than the threshold (5.0).",
                    AlarmState::Alarm => "Threshold Crossed: 1 datapoint [12.0] was greater than the threshold (5.0).",
                    AlarmState::InsufficientData => "Insufficient Data: 3 datapoints were unknown.",
                };
                (AlarmSeen::new(&alarm.name, state, reason), alarm.composite)
            })
            .collect()
    }
}

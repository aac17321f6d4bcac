//! What was asked and said about health, as sentences.

use tidegate_events::health::{HealthStep, Severity};
use tidegate_events::id::WaveId;

use super::phrases::quoted;
use crate::words::{count, plain, when};

pub(super) fn health(wave: &WaveId, step: &HealthStep) -> String {
    match step {
        HealthStep::Asked { again_at } => format!("wave {wave} asks whether all is well; without an answer it asks again at {}", when(*again_at)),
        HealthStep::Seen { causes, alarms, .. } if causes.is_empty() => {
            let read = if alarms.is_empty() { String::new() } else { format!(" ({} `OK`)", count(alarms.len() as u64, "alarm")) };
            format!("wave {wave} was told that all is well{read}")
        }
        HealthStep::Seen { causes, again_at, .. } => {
            let worst = causes.iter().map(|cause| cause.severity).max();
            let said = if worst == Some(Severity::Unhealthy) { "is not well" } else { "nobody can say" };
            let why: Vec<String> = causes.iter().map(|cause| plain(&cause.why)).collect();
            let again = if worst == Some(Severity::Unhealthy) { String::new() } else { format!("; it is asked again at {}", when(*again_at)) };
            format!("wave {wave} was told: {said}: {}{again}", why.join("; "))
        }
        HealthStep::Told => format!("operators were told that wave {wave} waits for an answer about health"),
        HealthStep::Released { by, comment, causes } => {
            let why: Vec<String> = causes.iter().map(|cause| plain(&cause.why)).collect();
            format!("{by} let wave {wave} go on although {}{}", why.join("; "), quoted(comment))
        }
    }
}

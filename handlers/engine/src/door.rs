//! Who may say what where: whoever may put an event on a bus is not thereby an approver.

use tidegate_events::Event;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// EventBridge delivers here: what AWS's services say of accounts, and nothing else.
    Events,
    /// Our own functions and schedules deliver here.
    Work,
}

impl Door {
    /// Why this event is not taken at this door.
    pub fn refuses(self, event: &Event) -> Option<&'static str> {
        let is_a_persons = matches!(
            event,
            Event::Approval(_)
                | Event::RunAsked(_)
                | Event::RunStopped { .. }
                | Event::Cord { .. }
                | Event::LaneResumed { .. }
                | Event::Steer(_)
                | Event::Retry(_)
                | Event::KevLoaded(_)
        );
        let is_ours = matches!(event, Event::Nudge(_) | Event::Answer(_) | Event::Tick { .. });
        match self {
            Self::Events if is_a_persons => Some("a person's decision does not come by EventBridge: use the console, or the command line with an AWS identity"),
            Self::Events if is_ours => Some("ticks and nudges do not come by this queue: put them on the work queue"),
            _ => None,
        }
    }
}

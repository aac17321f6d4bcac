//! Whose stream an entry belongs to.

use tidegate_events::Entry;

use crate::control;
use crate::key::Key;

/// The stream that an entry belongs to: the aggregate that it is about.
pub fn home(entry: &Entry) -> Key {
    match entry {
        Entry::FactNoted { target, .. } | Entry::Enrolled { target, .. } | Entry::Moved { target, .. } | Entry::Contradicted { target, .. } => {
            Key::target(target)
        }
        Entry::Deadline { target, .. } => Key::target(target),
        Entry::PolicyPinned { digest, .. } => Key::policy(digest),
        Entry::CampaignOpened { campaign, .. }
        | Entry::CollectingOn { campaign, .. }
        | Entry::CampaignClosing { campaign }
        | Entry::RosterListed { campaign, .. }
        | Entry::CampaignClosed { campaign, .. }
        | Entry::CampaignStarted { campaign }
        | Entry::InventoryPinned { campaign, .. }
        | Entry::CampaignEnded { campaign, .. } => Key::campaign(campaign),
        Entry::ChunkDescribed { campaign, account, region, chunk, .. } => Key::chunk(campaign, *account, region, *chunk),
        Entry::ApprovalAsked { subject, .. } => Key::campaign(subject.campaign()),
        Entry::ApprovalTaken(approval) => Key::campaign(approval.subject.campaign()),
        Entry::WaveSealing { wave }
        | Entry::WaveSealed { wave, .. }
        | Entry::WaveRenewed { wave, .. }
        | Entry::WaveOpened { wave, .. }
        | Entry::WaveLooked { wave, .. }
        | Entry::WaveBaking { wave, .. }
        | Entry::WaveProven { wave }
        | Entry::Health { wave, .. }
        | Entry::Held { wave, .. } => Key::campaign(&wave.campaign),
        Entry::CellCut { cell, .. }
        | Entry::CellSealed { cell, .. }
        | Entry::CellDone { cell }
        | Entry::CellHeld { cell, .. }
        | Entry::CellDismissed { cell, .. }
        | Entry::CellLagging { cell, .. }
        | Entry::CellConfirming { cell, .. } => Key::cell(cell),
        Entry::BatchPlanned { batch, .. }
        | Entry::Sending { batch, .. }
        | Entry::SendPutOff { batch, .. }
        | Entry::SearchedInVain { batch, .. }
        | Entry::Sent { batch, .. }
        | Entry::LookSoon { batch, .. }
        | Entry::InvocationsEnded { batch, .. }
        | Entry::BackedUp { batch, .. }
        | Entry::ScanDue { batch, .. }
        | Entry::ProofDue { batch, .. }
        | Entry::Released { batch, .. }
        | Entry::Stranded { batch, .. }
        | Entry::BatchEnded { batch } => Key::batch(batch),
        Entry::CancelAsked(asked) => Key::batch(&asked.batch),
        Entry::Steered(steer) => control::home_of(&steer.on),
        Entry::RetryGranted(retry) => control::home_of_retry(&retry.what),
        Entry::LaneHalted { lane, .. } | Entry::LaneResumed { lane, .. } => Key::lane(lane),
        Entry::CordMoved { .. } | Entry::CalendarMoved { .. } | Entry::Scheduled { .. } | Entry::BreachesTold { .. } => Key::organization(),
        Entry::ExemptionEnding(_) => Key::exemptions(),
        Entry::Mirror(step) => crate::mirror::home(step),
        Entry::KevLoaded(_) => Key::kev(),
        Entry::Bulk(entry) => crate::bulk::apply::home(entry),
    }
}

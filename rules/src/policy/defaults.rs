//! What a policy says where it says nothing. Every default is the careful choice; each says why.

use super::Selector;
use super::{Amount, ApprovalRule, Belts, BlastRadius, Collect, Environment, RebootMode, Retry, ShareBps, Wave};
use crate::catalog::Hooks;

const HOUR: u32 = 3_600;
const DAY: u32 = 86_400;

/// Strict lints, unless somebody says that it is not production.
pub(super) const ENVIRONMENT: Environment = Environment::Production;

/// The one remediation that comes with Tidegate.
pub(super) const REMEDIATION: &str = "patch";

/// One hour: a month's patches with one reboot take minutes to half an hour; what runs longer is stuck more often than busy.
pub(super) const EXECUTION_TIMEOUT_SECS: u32 = HOUR;

/// One hour: images of large disks take minutes to be made, and a window is short.
pub(super) const BACKUP_TIMEOUT_SECS: u32 = HOUR;

/// A day: a second attempt in the same night needs no second copy, next week's does.
pub(super) const BACKUP_REUSE_SECS: u32 = DAY;

/// The patch command reboots: without a reboot an instance stays non-compliant, however well the patch installed.
pub(super) const REBOOT: RebootMode = RebootMode::InCommand;

/// 5 % of a wave may fail: enough for the machines that always fail, too few for a bad patch to go unnoticed.
pub(super) const FAILURE_BUDGET: Amount = Amount::Share(ShareBps(500));

/// One hour from the first finding: Config reports a fleet over minutes, and one campaign is better than fifty.
/// One day before a window opens: approvers get a working day.
pub(super) const COLLECT: Collect = Collect { gather_secs: HOUR, close_lead_secs: DAY, emergency: false };

/// Two different people, once for each campaign, and their yes is good for a week: long enough for three waves and a weekend,
/// too short to patch next month on last month's word.
pub(super) fn approval() -> ApprovalRule {
    ApprovalRule { quorum: 2, four_eyes: true, per_wave: false, expires_secs: 7 * DAY, approvers: Vec::new(), comment_required: false }
}

/// Three quarters of anything keep serving: a quarter of a wave or a Region, a fifth of an account, a tenth of the whole.
pub(super) const BLAST_RADIUS: BlastRadius = BlastRadius {
    wave: Amount::Share(ShareBps(2_500)),
    account: Amount::Share(ShareBps(2_000)),
    region: Amount::Share(ShareBps(2_500)),
    organization: Amount::Share(ShareBps(1_000)),
    tag: None,
};

/// Three attempts: a lost connection deserves a second one, a broken package manager no fourth. Half an hour apart and then
/// twice as long each time, at most a day.
pub(super) fn retry() -> Retry {
    Retry { attempts_max: 3, backoff_secs: HOUR / 2, backoff_max_secs: DAY, owner: "platform-team".to_owned() }
}

/// A bulk run that is larger than this is more likely a wrong filter than a plan.
pub(super) const BELTS: Belts = Belts { targets_max: 1_000, share_max: ShareBps(2_000) };

/// Bake time of a wave that names none: an hour shows a service that does not come back after the reboot.
pub(super) const BAKE_SECS: u32 = HOUR;

/// A canary, a quarter, the rest.
pub(super) fn waves() -> Vec<Wave> {
    let wave = |name: &str, share: Option<u32>| Wave {
        name: name.to_owned(),
        select: Selector::default(),
        instances: Vec::new(),
        share: share.map(ShareBps),
        bake_secs: BAKE_SECS,
        failure_budget: None,
        at_once: None,
        hooks: Hooks::default(),
        alarms: Vec::new(),
        documents: std::collections::BTreeMap::new(),
    };
    vec![wave("canary", Some(500)), wave("early", Some(2_500)), wave("rest", None)]
}

/// A window that names no cutoff closes for starts at its very end: what starts must end by then all the same, since the
/// command's own time-outs are set to end at the cutoff.
pub(super) const CUTOFF_SECS: u32 = 0;

/// A schedule may fire up to an hour late: longer than any restart or deployment, short enough that a night's run does not begin
/// in the morning.
pub(super) const CATCH_UP_SECS: u32 = HOUR;

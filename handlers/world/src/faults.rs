//! How badly things go: rates per mille, as presets and one by one. Rates of calls and events work while the world runs;
//! rates of hosts and accounts are drawn once, by [`Spec::troubled`], and written into the spec where everybody can read them.

use serde::{Deserialize, Serialize};

use crate::draw::Draw;
use crate::spec::{AccountSpec, AccountState, HostSpec, RULE, Recording, Role, Spec, Trouble};

/// Rates, per mille where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Events that EventBridge never delivers.
    pub event_lost: u16,
    /// Events that it delivers twice.
    pub event_repeated: u16,
    /// Events that come minutes up to an hour late.
    pub event_late: u16,
    /// Events that others overtake, by up to a minute and a half.
    pub event_reordered: u16,
    /// Reads that are throttled. The same read in the same second gets the same answer.
    pub read_throttled: u16,
    /// Reads that get no usable answer.
    pub read_unanswered: u16,
    /// Sends that are throttled, beyond the token bucket that AWS has anyway.
    pub send_throttled: u16,
    /// Sends that were not accepted, and the caller can't tell.
    pub send_lost: u16,
    /// Sends that were accepted, and the answer is lost.
    pub send_answer_lost: u16,
    /// `InvalidInstanceId` answers that name no instance.
    pub invalid_unnamed: u16,
    /// The longest lag of `ListCommands` behind `SendCommand`, in seconds (5 at least, 600 at most).
    pub list_lag_max_secs: u32,
    /// The longest lag of `ListCommandInvocations`, in seconds (3 at least, 600 at most).
    pub invocation_lag_max_secs: u32,
    /// Evaluations that Config drops: the verdict stays behind its configuration item until the rule is evaluated again.
    pub evaluation_missed: u16,
    /// Invocations whose delivery timed out and that run after all when the host is back.
    pub late_run: u16,
    /// Runs of `CancelCommand` on an invocation that is being executed which kill it half-way; the others do nothing.
    pub cancel_kills: u16,
    /// Installs during which the instance is terminated.
    pub terminated_in_flight: u16,
    /// After so many seconds calls, events and runs fail no more; what is written at hosts and accounts stays.
    pub calm_after_secs: Option<u64>,

    /// Hosts whose first one to three installs fail.
    pub host_install_fails: u16,
    /// Hosts whose installs always fail.
    pub host_install_fails_always: u16,
    /// Hosts whose agent does not survive the reboot.
    pub host_reboot_never_returns: u16,
    /// Hosts that are offline for the first hours.
    pub host_offline_for_hours: u16,
    /// Hosts that are always offline.
    pub host_offline_always: u16,
    /// Hosts that are stopped for hours, and then run again.
    pub host_stopped: u16,
    /// Hosts whose agent comes and goes.
    pub host_flaps: u16,
    /// Hosts whose first install says success and installs nothing.
    pub host_false_success: u16,
    /// Hosts whose first install says failure and installs everything.
    pub host_false_failure: u16,
    /// Hosts whose first install leaves some patches failed.
    pub host_partial: u16,
    /// Hosts with another scanner.
    pub host_overwritten: u16,
    /// Hosts with a rejected patch.
    pub host_rejected: u16,
    /// Hosts that Config does not record.
    pub host_not_recorded: u16,
    /// Hosts that Systems Manager does not know.
    pub host_not_registered: u16,
    /// Hosts that are terminated within the first day.
    pub host_terminated: u16,

    /// Accounts that record daily.
    pub account_daily: u16,
    /// Accounts that do not record.
    pub account_not_recording: u16,
    /// Accounts with further rules that emit the same facts.
    pub account_more_rules: u16,
    /// Accounts without the role, or with a wrong trust policy.
    pub account_role: u16,
    /// Suspended accounts.
    pub account_suspended: u16,
}

impl Faults {
    /// AWS on a good day: exactly once, in order, within seconds.
    pub fn none() -> Self {
        Self::default()
    }

    /// AWS on a normal day.
    pub fn light() -> Self {
        Self {
            event_lost: 10,
            event_repeated: 20,
            event_late: 10,
            event_reordered: 50,
            read_throttled: 10,
            read_unanswered: 5,
            send_throttled: 20,
            send_lost: 5,
            send_answer_lost: 5,
            invalid_unnamed: 20,
            list_lag_max_secs: 15,
            invocation_lag_max_secs: 10,
            evaluation_missed: 10,
            late_run: 100,
            cancel_kills: 100,
            terminated_in_flight: 2,
            calm_after_secs: None,
            host_install_fails: 30,
            host_install_fails_always: 5,
            host_reboot_never_returns: 2,
            host_offline_for_hours: 10,
            host_offline_always: 5,
            host_stopped: 3,
            host_flaps: 5,
            host_false_success: 5,
            host_false_failure: 5,
            host_partial: 10,
            host_overwritten: 10,
            host_rejected: 2,
            host_not_recorded: 5,
            host_not_registered: 5,
            host_terminated: 2,
            account_daily: 20,
            account_not_recording: 10,
            account_more_rules: 200,
            account_role: 10,
            account_suspended: 5,
        }
    }

    /// AWS on a bad day, in a badly kept organization.
    pub fn heavy() -> Self {
        Self {
            event_lost: 100,
            event_repeated: 100,
            event_late: 50,
            event_reordered: 200,
            read_throttled: 50,
            read_unanswered: 30,
            send_throttled: 100,
            send_lost: 30,
            send_answer_lost: 30,
            invalid_unnamed: 150,
            list_lag_max_secs: 60,
            invocation_lag_max_secs: 30,
            evaluation_missed: 50,
            late_run: 300,
            cancel_kills: 300,
            terminated_in_flight: 10,
            calm_after_secs: None,
            host_install_fails: 100,
            host_install_fails_always: 20,
            host_reboot_never_returns: 10,
            host_offline_for_hours: 40,
            host_offline_always: 15,
            host_stopped: 10,
            host_flaps: 20,
            host_false_success: 20,
            host_false_failure: 20,
            host_partial: 30,
            host_overwritten: 30,
            host_rejected: 5,
            host_not_recorded: 15,
            host_not_registered: 15,
            host_terminated: 10,
            account_daily: 100,
            account_not_recording: 50,
            account_more_rules: 400,
            account_role: 40,
            account_suspended: 20,
        }
    }
}

impl Spec {
    /// The same world with these faults: hosts and accounts draw their troubles, but for those that have some already.
    #[must_use]
    pub fn troubled(mut self, faults: Faults) -> Self {
        for host in &mut self.hosts {
            if host.troubles.is_empty() {
                host.troubles = host_troubles(self.seed, &faults, host);
            }
        }
        for account in &mut self.accounts {
            account_troubles(self.seed, &faults, account);
        }
        self.faults = faults;
        self
    }
}

fn host_troubles(seed: u64, faults: &Faults, host: &HostSpec) -> Vec<Trouble> {
    let name = host.key.to_string();
    let draw = |what: &str| Draw::new(seed, what).text(&name);
    let hours = |what: &str| 3_600 * u64::try_from(draw(what).between(1, 8)).unwrap_or(1);
    let table: [(u16, &str, &dyn Fn() -> Trouble); 15] = [
        (faults.host_install_fails, "install fails", &|| Trouble::InstallFails { times: if draw("times").happens(500) { 1 } else { 3 } }),
        (faults.host_install_fails_always, "install always fails", &|| Trouble::InstallFailsAlways),
        (faults.host_reboot_never_returns, "reboot never returns", &|| Trouble::RebootNeverReturns),
        (faults.host_offline_for_hours, "offline", &|| Trouble::offline_until(hours("offline hours"))),
        (faults.host_offline_always, "offline always", &|| Trouble::OFFLINE_ALWAYS),
        (faults.host_stopped, "stopped", &|| Trouble::Stopped { from_secs: 0, until_secs: Some(hours("stopped hours")) }),
        (faults.host_flaps, "flaps", &|| Trouble::Flaps { period_secs: 1_800, down_secs: 600 }),
        (faults.host_false_success, "false success", &|| Trouble::FalseSuccess { times: 1 }),
        (faults.host_false_failure, "false failure", &|| Trouble::FalseFailure { times: 1 }),
        (faults.host_partial, "partial", &|| Trouble::Partial { times: 1 }),
        (faults.host_overwritten, "overwritten", &|| Trouble::OverwrittenByOtherScanner { times: 1 }),
        (if host.missing > 0 { faults.host_rejected } else { 0 }, "rejected", &|| Trouble::RejectedPatch),
        (faults.host_not_recorded, "not recorded", &|| Trouble::ConfigNotRecording),
        (faults.host_not_registered, "not registered", &|| Trouble::NotRegistered),
        (faults.host_terminated, "terminated", &|| Trouble::TerminatedAt { after_secs: draw("end").below(86_400) }),
    ];
    table.iter().filter(|(rate, what, _)| draw(what).happens(*rate)).map(|(_, _, trouble)| trouble()).collect()
}

fn account_troubles(seed: u64, faults: &Faults, account: &mut AccountSpec) {
    let name = account.id.to_string();
    let draw = |what: &str| Draw::new(seed, what).text(&name);
    if account.recording == Recording::Continuous {
        if draw("recording off").happens(faults.account_not_recording) {
            account.recording = Recording::Off;
        } else if draw("recording daily").happens(faults.account_daily) {
            account.recording = Recording::Daily;
        }
    }
    if account.rules.len() == 1 && draw("rules").happens(faults.account_more_rules) {
        let letters = |what: &str, n: usize| {
            draw(what).hex(n).chars().map(|c| char::from(b'g' + u8::try_from(c.to_digit(16).unwrap_or(0)).unwrap_or(0))).collect::<String>()
        };
        let more = [
            format!("OrgConfigRule-{RULE}-{}", letters("org rule", 8)),
            format!("{RULE}-conformance-pack-{}", letters("pack rule", 9)),
            format!("securityhub-ec2-managedinstance-patch-compliance-{}", draw("hub rule").hex(8)),
        ];
        let count = usize::try_from(draw("how many rules").between(1, 3)).unwrap_or(1);
        account.rules.extend(more.into_iter().take(count));
    }
    if account.role == Role::Ok && draw("role").happens(faults.account_role) {
        account.role = if draw("which role").happens(500) { Role::Missing } else { Role::WrongTrust };
    }
    if draw("suspended").happens(faults.account_suspended) {
        account.state = AccountState::Suspended;
    }
}

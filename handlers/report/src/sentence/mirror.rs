//! What is said of exemptions that AWS Config was told of.

use tidegate_events::id::{AccountId, Region, TargetKey};
use tidegate_events::mirror::{MirrorFaultKind, MirrorStep};

use crate::words::{count, plain, when};

/// The step as a sentence; with `about`, from that target's side, where it concerns it.
pub(super) fn sentence(step: &MirrorStep, about: Option<&TargetKey>) -> Option<String> {
    match about {
        Some(about) => of_target(step, about),
        None => of_all(step),
    }
}

fn of_target(step: &MirrorStep, about: &TargetKey) -> Option<String> {
    let here = |account: AccountId, region: &Region| (account, region) == (about.account, &about.region);
    match step {
        MirrorStep::Told { account, region, put, removed, .. } if here(*account, region) => {
            if let Some(put) = put.iter().find(|put| put.instances.contains(&about.instance)) {
                let until = when(put.until);
                return Some(format!("AWS Config keeps it out of the automatic remediation of rule {} until {until}, as it was told", plain(&put.rule)));
            }
            let gone = removed.iter().find(|gone| gone.instances.contains(&about.instance))?;
            Some(format!("AWS Config was told that it is no longer exempt from rule {}", plain(&gone.rule)))
        }
        _ => None,
    }
}

fn of_all(step: &MirrorStep) -> Option<String> {
    Some(match step {
        MirrorStep::Reviewed { exemptions } => {
            format!("the policy's exemptions have changed (digest {}): everybody who is exempt is looked at", exemptions.short())
        }
        MirrorStep::Asked { account, region, instances, .. } => {
            format!("AWS Config is to be told of the exemption of {} in {account}/{region}", count(instances.len() as u64, "target"))
        }
        MirrorStep::Told { account, region, put, removed, failed, again_at, .. } => {
            let new: usize = put.iter().map(|put| put.instances.len()).sum();
            let gone: usize = removed.iter().map(|gone| gone.instances.len()).sum();
            let fault = failed.as_ref().map(|fault| {
                let did = if fault.kind == MirrorFaultKind::Instances { "did not take all of them" } else { "could not be told" };
                let again = again_at.map(|at| format!(", it is tried again at {}", when(at))).unwrap_or_default();
                format!("AWS Config {did} ({}){again}", plain(&fault.why))
            });
            match (new + gone, fault) {
                (0, None) => return None,
                (0, Some(fault)) => format!("{fault}, in {account}/{region}"),
                (_, fault) => {
                    let but = fault.map(|fault| format!("; {fault}")).unwrap_or_default();
                    format!("AWS Config was told in {account}/{region} of {} and of the end of {gone}{but}", count(new as u64, "exemption"))
                }
            }
        }
    })
}

//! What instances lack, patch by patch, as Systems Manager lists it of one instance at a time.

use std::sync::Arc;

use aws_sdk_ssm::types::PatchOrchestratorFilter;
use tidegate_events::id::InstanceId;
use tidegate_events::patch::{Lacking, MissingPatch};

use super::fault::{Caller, Failure, Pages};
use super::sessions::SpokeClients;
use super::ssm::is_unknown_id;

const PATCHES: &str = "ssm:DescribeInstancePatches";
/// Lines of one page: the most that the API allows.
const PAGE: i32 = 100;

/// `DescribeInstancePatches` for each of these, those in state `Missing`. An id that SSM does not know is nobody's fault but its own;
/// after any other refusal the rest is not asked, and so is not known: this is worth no storm of repeats.
pub(crate) async fn missing(caller: Caller<'_>, clients: Arc<SpokeClients>, instances: &[InstanceId]) -> Result<Vec<Lacking>, Failure> {
    let mut seen: Vec<Lacking> = Vec::with_capacity(instances.len());
    let mut refused = None;
    for instance in instances {
        let missing = match &refused {
            Some(_) => None,
            None => match of_instance(&caller, &clients, instance).await {
                Ok(missing) => Some(missing),
                Err(failure) if is_unknown_id(&failure) => None,
                Err(failure) => {
                    refused = Some(failure);
                    None
                }
            },
        };
        seen.push(Lacking { instance: instance.clone(), missing });
    }
    match refused {
        Some(failure) if seen.iter().all(|lacking| lacking.missing.is_none()) => Err(failure),
        _ => Ok(seen),
    }
}

async fn of_instance(caller: &Caller<'_>, clients: &SpokeClients, instance: &InstanceId) -> Result<Vec<MissingPatch>, Failure> {
    let state = PatchOrchestratorFilter::builder().key("State").values("Missing").build();
    let mut missing = Vec::new();
    let mut pages = Pages::of(PATCHES);
    loop {
        let request =
            clients.ssm().describe_instance_patches().instance_id(instance.as_str()).filters(state.clone()).max_results(PAGE).set_next_token(pages.token());
        let page = caller.call(PATCHES, request.send()).await?;
        missing.extend(page.patches().iter().map(|patch| MissingPatch::read(patch.kb_id(), patch.severity(), patch.cve_ids().unwrap_or_default())));
        if !pages.turn(page.next_token())? {
            return Ok(missing);
        }
    }
}

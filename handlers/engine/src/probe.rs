//! Looking at a spoke before its first wave: the port that `tidegate doctor` reads by, and the reading itself. A port of its own:
//! nothing here changes anything in a spoke, and nothing of the engine needs it.

use tidegate_events::host::SpokeFault;
use tidegate_rules::doctor::facts::{AssociationSeen, DefaultBaseline, HubFacts, Nodes, Recorder, RuleSeen, Session, SpokeFacts, WindowSeen};

pub use tidegate_rules::doctor::{facts, is_patching};

use crate::ports::Spoke;

/// What can be read of a spoke. Every list is whole or an error: "there is none" may only be concluded from all of it.
pub trait Probe: Send + Sync {
    /// Who looks.
    fn hub(&self) -> impl Future<Output = HubFacts> + Send;
    /// `sts:AssumeRole` as for a wave, `sts:GetCallerIdentity` in the session, and one AssumeRole without the external id.
    fn session(&self, spoke: &Spoke) -> impl Future<Output = Result<Session, SpokeFault>> + Send;
    /// `config:DescribeConfigRules`.
    fn rules(&self, spoke: &Spoke) -> impl Future<Output = Result<Vec<RuleSeen>, SpokeFault>> + Send;
    /// `config:DescribeConfigurationRecorders` and `DescribeConfigurationRecorderStatus`.
    fn recorder(&self, spoke: &Spoke) -> impl Future<Output = Result<Option<Recorder>, SpokeFault>> + Send;
    /// `ssm:DescribeInstanceInformation`, counted.
    fn nodes(&self, spoke: &Spoke) -> impl Future<Output = Result<Vec<Nodes>, SpokeFault>> + Send;
    /// `ssm:DescribePatchBaselines`: the defaults.
    fn baselines(&self, spoke: &Spoke) -> impl Future<Output = Result<Vec<DefaultBaseline>, SpokeFault>> + Send;
    /// `ssm:ListAssociations`, and `DescribeAssociation` of those whose document patches.
    fn associations(&self, spoke: &Spoke) -> impl Future<Output = Result<Vec<AssociationSeen>, SpokeFault>> + Send;
    /// `ssm:DescribeMaintenanceWindows`, their tasks, and `GetMaintenanceWindowTask` of those whose document patches.
    fn windows(&self, spoke: &Spoke) -> impl Future<Output = Result<Vec<WindowSeen>, SpokeFault>> + Send;
}

/// Reads all of a spoke. Where it can't be entered nothing more is asked; otherwise each part is read whatever became of the
/// others.
pub async fn look(probe: &impl Probe, spoke: &Spoke) -> SpokeFacts {
    let (account, region, hub) = (spoke.account, spoke.region.clone(), probe.hub().await);
    let session = probe.session(spoke).await;
    if let Err(fault) = &session {
        let closed = fault.clone();
        return SpokeFacts {
            account,
            region,
            hub,
            session,
            rules: Err(closed.clone()),
            recorder: Err(closed.clone()),
            nodes: Err(closed.clone()),
            baselines: Err(closed.clone()),
            associations: Err(closed.clone()),
            windows: Err(closed),
        };
    }
    SpokeFacts {
        account,
        region,
        hub,
        session,
        rules: probe.rules(spoke).await,
        recorder: probe.recorder(spoke).await,
        nodes: probe.nodes(spoke).await,
        baselines: probe.baselines(spoke).await,
        associations: probe.associations(spoke).await,
        windows: probe.windows(spoke).await,
    }
}

//! AWS Config is told of exemptions: written down that it is about to be, called, and written down what came of it. A process that
//! dies in between is asked again, and saying the same twice changes nothing there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_events::Action;
use tidegate_events::action::Nudge;
use tidegate_events::entry::Standing;
use tidegate_events::event::{Answer, Event};
use tidegate_events::host::SpokeFault;
use tidegate_events::id::{AccountId, InstanceId, Region};
use tidegate_events::mirror::{EXCEPTIONS_MAX, ExceptionOutcome};
use tidegate_rules::{Key, State, exemption, mirror};

use crate::error::EngineError;
use crate::handle::Engine;
use crate::ports::{Cloud, Spoke};
use crate::store::Store;

impl<S: Store, C: Cloud> Engine<S, C> {
    /// Tells Config what it has to be told of these instances, or of all that wait there.
    pub(crate) async fn mirror(&self, account: AccountId, region: &Region, instances: &[InstanceId], now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let (calls, mut next) = self.transact(&"an exemption's mirror", now, |desk| mirror::look(desk, account, region, instances)).await?;
        if calls.is_empty() {
            return Ok(next);
        }
        let spoke = Spoke { account, region: region.clone() };
        let mut told = Vec::with_capacity(calls.len());
        let mut shut: Option<SpokeFault> = None;
        for call in calls {
            let outcome: ExceptionOutcome = match (&shut, &call.note) {
                // Who was not let in once is not let in a moment later.
                (Some(fault), _) => Err(fault.clone()),
                (None, Some(note)) => self.cloud().put_exceptions(&spoke, &call.on, note).await,
                (None, None) => self.cloud().remove_exceptions(&spoke, &call.on).await,
            };
            if let Err(fault) = &outcome {
                tracing::warn!(%account, %region, rule = call.on.rule, %fault, "AWS Config was not told of exemptions");
                shut = Some(fault.clone());
            }
            told.push((call, outcome));
        }
        next.extend(self.answer(Event::Answer(Answer::Mirrored { account, region: region.clone(), calls: told }), now).await?);
        Ok(next)
    }

    /// Everybody who is exempt, after the policy's exemptions have changed: whose exemption was withdrawn is nudged, of all others
    /// Config is told, where it does not know yet.
    pub(crate) async fn review_exempt(&self) -> Result<Vec<Action>, EngineError> {
        let mut next = Vec::new();
        let mut spokes: BTreeMap<(AccountId, Region), Vec<InstanceId>> = BTreeMap::new();
        let exemptions = &self.policy().exemptions;
        self.list_all(Key::TARGETS, |state| {
            let State::Target(target) = state else { return };
            if !matches!(target.standing, Standing::Exempt { .. }) {
                return;
            }
            match exemption::behind(exemptions, &target.key, &target.standing) {
                Some(_) => spokes.entry((target.key.account, target.key.region)).or_default().push(target.key.instance),
                None => next.push(Action::Nudge(Nudge::Target(target.key))),
            }
        })
        .await?;
        for ((account, region), instances) in spokes {
            next.extend(instances.chunks(EXCEPTIONS_MAX).map(|some| Action::Mirror { account, region: region.clone(), instances: some.to_vec() }));
        }
        Ok(next)
    }
}

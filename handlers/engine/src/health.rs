//! Whether what a campaign has touched is well: alarms are asked of the cloud, hosts of what is known already.

use jiff::Timestamp;
use tidegate_events::Action;
use tidegate_events::entry::Standing;
use tidegate_events::event::{Answer, Event};
use tidegate_events::health::Away;
use tidegate_events::id::{TargetKey, WaveId};
use tidegate_rules::state::SeatAt;
use tidegate_rules::{Key, State};

use crate::commit::read_state;
use crate::error::EngineError;
use crate::handle::Engine;
use crate::ports::Cloud;
use crate::store::Store;

/// Targets read at once.
const READ_MAX: usize = 100;
/// Hosts that are named.
const NAMED_MAX: usize = 5;

impl<S: Store, C: Cloud> Engine<S, C> {
    pub(crate) async fn read_health(
        &self,
        wave: &WaveId,
        asked_at: Timestamp,
        alarms: &[String],
        touched: Option<&WaveId>,
        now: Timestamp,
    ) -> Result<Vec<Action>, EngineError> {
        let alarms = if alarms.is_empty() { Ok(Vec::new()) } else { self.cloud().alarms(alarms).await };
        let away = match touched {
            Some(touched) => Some(self.away(touched).await?),
            None => None,
        };
        if let Some(away) = &away {
            // On Lambda a filter makes the metric InstancesUnhealthy of this line.
            tracing::info!(%wave, instances_unhealthy = away.hosts, of = away.of, "health");
        }
        self.answer(Event::Answer(Answer::Health { wave: wave.clone(), asked_at, alarms, away }), now).await
    }

    /// Hosts of a wave whose scan could not be delivered after they were touched, and that have not been heard of since.
    async fn away(&self, wave: &WaveId) -> Result<Away, EngineError> {
        let (mut of, mut bad) = (0u64, Vec::<TargetKey>::new());
        self.list_all(&Key::cells_of(wave), |state| {
            if let State::Cell(cell) = state {
                of += [SeatAt::Ok, SeatAt::Bad, SeatAt::Contradicted].into_iter().map(|at| cell.at(at).count() as u64).sum::<u64>();
                bad.extend(cell.at(SeatAt::Bad).map(|member| cell.id.target(&member.instance)));
            }
        })
        .await?;
        bad.sort();
        let mut away = Away { hosts: 0, of, named: Vec::new() };
        for some in bad.chunks(READ_MAX) {
            let keys: Vec<Key> = some.iter().map(Key::target).collect();
            let found = self.store().get(&keys).await.map_err(|source| EngineError::Store { what: "a look-up".into(), source })?;
            for ((key, target), stored) in keys.iter().zip(some).zip(found) {
                let Some(State::Target(known)) = stored.map(|stored| read_state(key, &stored.body)).transpose()? else { continue };
                // It is still in its batch: nobody knows what the last command left.
                if known.lease.is_some() && matches!(known.standing, Standing::Unreachable { .. }) {
                    away.hosts += 1;
                    if away.named.len() < NAMED_MAX {
                        away.named.push(target.instance.clone());
                    }
                }
            }
        }
        Ok(away)
    }
}

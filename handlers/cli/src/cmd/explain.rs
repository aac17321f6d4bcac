//! `tidegate explain`: the chain of decisions about one target, as sentences, from the journal alone.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_engine::store::Store;
use tidegate_events::Entry;
use tidegate_events::entry::Standing;
use tidegate_events::id::{CellId, InstanceId, TargetKey, WaveId};
use tidegate_events::journal::Line;
use tidegate_report::sentence;
use tidegate_rules::state::{Campaign, Target};
use tidegate_rules::{Key, State};

use crate::args::ExplainArgs;
use crate::cmd::status;
use crate::failure::Failure;
use crate::line;
use crate::screen::{self, DIM, HEAD};

/// What `explain --json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Explanation {
    /// `tidegate.explain/1`
    pub schema: String,
    /// The target.
    pub target: String,
    /// Where it stands.
    pub state: String,
    /// The verdict of its latest attempt.
    pub verdict: Option<String>,
    /// Why it stands there, or what it waits for.
    pub because: Vec<String>,
    /// The chain of decisions, oldest first.
    pub chain: Vec<Told>,
}

/// One decision.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Told {
    /// When.
    pub at: String,
    /// The stream that it stands in.
    pub stream: String,
    /// In words.
    pub sentence: String,
}

/// Runs it.
///
/// # Errors
/// When the store can't be read or the target is not known.
pub async fn run(args: &ExplainArgs) -> Result<u8, Failure> {
    let store = status::open_store(&args.store)?;
    let key = find(&store, &args.target).await?;
    let fold = status::load(&store, &[Key::target(&key).as_str()]).await?;
    let Some(State::Target(target)) = fold.items.get(&Key::target(&key)) else {
        return Err(Failure::Usage(format!("nothing is known of `{key}`: no event named it, or it was always compliant")));
    };
    let explanation = explain(&store, target).await?;
    if args.json {
        screen::print_json(&explanation)?
    } else {
        screen::print(&words(&explanation))?
    }
    Ok(0)
}

/// The target that is meant.
pub(crate) async fn find(store: &impl Store, text: &str) -> Result<TargetKey, Failure> {
    if text.contains('/') {
        return text.parse().map_err(|error: tidegate_events::id::IdError| Failure::Usage(error.to_string()));
    }
    let instance: InstanceId = text.parse().map_err(|error: tidegate_events::id::IdError| Failure::Usage(error.to_string()))?;
    let fold = status::load(store, &[Key::TARGETS]).await?;
    let found: Vec<TargetKey> = fold
        .items
        .into_values()
        .filter_map(|state| match state {
            State::Target(target) if target.key.instance == instance => Some(target.key),
            _ => None,
        })
        .collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::Usage(format!("nothing is known of `{instance}`: no event named it, or it was always compliant"))),
        many => {
            let list: Vec<String> = many.iter().map(ToString::to_string).collect();
            Err(Failure::Usage(format!("`{instance}` is not unique: name one of {}", list.join(", "))))
        }
    }
}

async fn explain(store: &impl Store, target: &Target) -> Result<Explanation, Failure> {
    let mut streams: BTreeSet<Key> = BTreeSet::from([Key::target(&target.key)]);
    let mut campaigns: Vec<Campaign> = Vec::new();
    for id in &target.campaigns {
        streams.insert(Key::campaign(id));
        streams.insert(Key::lane(&id.lane));
        if let Some(State::Campaign(campaign)) = status::load(store, &[Key::campaign(id).as_str()]).await?.items.remove(&Key::campaign(id)) {
            for (index, _) in (0u16..).zip(&campaign.waves) {
                streams.extend(cells_of(store, &campaign.wave_id(index), target).await?);
            }
            campaigns.push(*campaign);
        }
        streams.insert(Key::listing(id, target.key.account, &target.key.region));
        let chunks = format!("{}{}/{}/", Key::chunks_of(id), target.key.account, target.key.region);
        streams.extend(status::load(store, &[chunks.as_str()]).await?.items.into_keys());
    }
    streams.extend(target.batches.iter().map(Key::batch));
    streams.insert(Key::mirror(target.key.account, &target.key.region));
    let mut lines: Vec<(u64, Line)> = Vec::new();
    for stream in &streams {
        for (position, bytes) in store.stream(stream).await.map_err(|error| Failure::machine("the journal can't be read", &error))? {
            let line: Line = serde_json::from_slice(&bytes).map_err(|error| Failure::machine(format!("the journal of `{stream}` is damaged"), &error))?;
            lines.push((position, line));
        }
    }
    lines.sort_by_key(|(position, _)| *position);
    let mine: BTreeSet<WaveId> = lines.iter().flat_map(|(_, line)| &line.entries).filter_map(|entry| wave_of(entry, &target.key)).collect();
    let mut chain: Vec<Told> = Vec::new();
    let mut held: Option<&tidegate_events::Hold> = None;
    for (_, line) in &lines {
        for entry in line.entries.iter().filter(|entry| concerns(entry, &mine)) {
            // Looked at again and still held by the same: said once.
            if let Entry::CellHeld { hold, .. } = entry {
                if held == Some(hold) {
                    continue;
                }
                held = Some(hold);
            }
            if let Some(sentence) = sentence(entry, Some(&target.key)) {
                chain.push(Told { at: line.at.to_string(), stream: line.stream.clone(), sentence });
            }
        }
    }
    let cut = matches!(&target.standing, Standing::Enrolled { campaign } if campaigns.iter().any(|known| known.id == *campaign && known.is_cut()));
    Ok(Explanation {
        schema: "tidegate.explain/1".into(),
        target: target.key.to_string(),
        state: target.standing.name(cut).to_owned(),
        verdict: target.verdict.map(|verdict| verdict.name().to_owned()),
        because: because(store, target, &campaigns, &mine).await?,
        chain,
    })
}

/// The cells of a wave that hold this target.
async fn cells_of(store: &impl Store, wave: &WaveId, target: &Target) -> Result<Vec<Key>, Failure> {
    let prefix = format!("{}{}/{}/", Key::cells_of(wave), target.key.account, target.key.region);
    let cells = status::load(store, &[prefix.as_str()]).await?.items;
    Ok(cells
        .into_iter()
        .filter(|(_, state)| matches!(state, State::Cell(cell) if cell.members.iter().any(|seat| seat.member.instance == target.key.instance)))
        .map(|(key, _)| key)
        .collect())
}

/// The wave that an entry puts the target into.
fn wave_of(entry: &Entry, target: &TargetKey) -> Option<WaveId> {
    let holds = |cell: &CellId, members: &[tidegate_events::entry::CellMember]| {
        (cell.account == target.account && cell.region == target.region && members.iter().any(|member| member.instance == target.instance))
            .then(|| cell.wave.clone())
    };
    match entry {
        Entry::CellCut { cell, members, .. } => holds(cell, members),
        _ => None,
    }
}

/// Whether an entry of a wave is about a wave of this target, or one before it that it had to wait for.
fn concerns(entry: &Entry, mine: &BTreeSet<WaveId>) -> bool {
    let wave = match entry {
        Entry::WaveLooked { .. } => return false,
        Entry::WaveSealing { wave } | Entry::WaveSealed { wave, .. } | Entry::WaveRenewed { wave, .. } | Entry::Held { wave, .. } => {
            return mine.contains(wave);
        }
        Entry::WaveOpened { wave, .. } | Entry::WaveBaking { wave, .. } | Entry::WaveProven { wave } => wave,
        _ => return true,
    };
    mine.iter().any(|own| own.campaign == wave.campaign && wave.index <= own.index)
}

/// What it waits for, or why it stands where it stands.
async fn because(store: &impl Store, target: &Target, campaigns: &[Campaign], mine: &BTreeSet<WaveId>) -> Result<Vec<String>, Failure> {
    let mut because = Vec::new();
    match &target.standing {
        Standing::Compliant => because.push(match target.verdict.filter(|verdict| verdict.is_patched()) {
            Some(_) => "it was patched, the scan after the install found nothing missing, and AWS Config agrees".to_owned(),
            None => "AWS Config finds it compliant".to_owned(),
        }),
        Standing::Enrolled { campaign: id } => {
            let campaign = campaigns.iter().find(|campaign| campaign.id == *id);
            let lane = status::load(store, &[Key::lane(&id.lane).as_str()]).await?;
            if let Some(State::Lane(lane)) = lane.items.get(&Key::lane(&id.lane))
                && let Some(halt) = &lane.halted
            {
                because.push(format!("lane {} is halted since {}: {}; nobody has resumed it", lane.id, halt.at, halt.why));
            }
            if let Some(campaign) = campaign {
                because.extend(waits(campaign, mine));
            }
        }
        Standing::Retrying { not_before } => because.push(format!("attempt {} failed; it joins the next campaign, not before {not_before}", target.attempts)),
        Standing::Running { batch } => because.push(format!("batch {batch} is patching it")),
        Standing::Verifying { batch } => because.push(format!("batch {batch} scans what was installed")),
        Standing::PendingReboot { .. } => because.push("its patches are installed and not in force before a reboot, which is a step of its own".to_owned()),
        Standing::PatchedUnconfirmed { lag: None, .. } => because.push("it is patched by two proofs; AWS Config has an hour to agree".to_owned()),
        Standing::PatchedUnconfirmed { lag: Some(lag), .. } => because.push(match lag {
            tidegate_events::entry::Lag::ConfigLagging => "it is patched by two proofs; AWS Config had not agreed within the hour".to_owned(),
            tidegate_events::entry::Lag::NotRecorded => "it is patched by two proofs; AWS Config does not record it".to_owned(),
        }),
        Standing::Exempt { until, owner, reason } => {
            because.push(format!("{owner} has exempted it until {until}: {reason}"));
            because.extend(mirrored(store, target).await?);
        }
        Standing::Quarantined { owner, why } => because.push(format!("{owner} must look: {why}")),
        Standing::Unreachable { why, look_at, .. } => {
            because.push(if *look_at == Timestamp::MAX { why.clone() } else { format!("{why}; it is looked at again at {look_at}") })
        }
        Standing::Unmanaged { why } => because.push(why.clone()),
        Standing::Gone => because.push("EC2 says that it is terminated".to_owned()),
    }
    Ok(because)
}

/// What AWS Config was told of its exemption, where the policy asks for that.
async fn mirrored(store: &impl Store, target: &Target) -> Result<Option<String>, Failure> {
    let key = Key::mirror(target.key.account, &target.key.region);
    let Some(State::Mirror(mirror)) = status::load(store, &[key.as_str()]).await?.items.remove(&key) else { return Ok(None) };
    let instance = &target.key.instance;
    // Ends that have passed are forgotten with the next word to Config.
    let known = mirror.of(instance, Timestamp::MIN).map(|(rule, until)| format!("AWS Config knows of it, as an exception of rule {rule} until {until}"));
    Ok(known.or_else(|| {
        let waits = mirror.pending.contains(instance);
        waits.then(|| format!("AWS Config does not know of it yet: {}", mirror.refused.as_deref().unwrap_or("it is being told")))
    }))
}

fn waits(campaign: &Campaign, mine: &BTreeSet<WaveId>) -> Vec<String> {
    use tidegate_rules::state::CampaignPhase;
    let wave = mine.iter().find(|wave| wave.campaign == campaign.id);
    let mut waits = match (&campaign.phase, wave) {
        (CampaignPhase::Collecting { close_at }, _) => vec![format!("campaign {} collects findings until {close_at}", campaign.id)],
        (CampaignPhase::Closing { .. }, _) => vec![format!("campaign {} is being cut into waves", campaign.id)],
        (CampaignPhase::Ended { why, .. }, _) => vec![format!("campaign {} is over ({why}); it joins another", campaign.id)],
        (_, Some(wave)) => {
            let name = campaign.wave(wave.index).map(|wave| wave.name.clone()).unwrap_or_default();
            vec![format!("it is in wave `{name}` ({wave}) of campaign {}, which is {}", campaign.id, campaign.phase.name())]
        }
        (_, None) => vec![format!("campaign {} is {}", campaign.id, campaign.phase.name())],
    };
    waits.extend(campaign.holds.iter().map(|hold| format!("held: {hold}")));
    waits.extend(crate::settle::unanswered(campaign).map(|asked| format!("`{}` awaits approval of digest {}", asked.subject, asked.digest.short())));
    waits
}

fn words(explanation: &Explanation) -> String {
    let mut text = String::new();
    let verdict = explanation.verdict.as_ref().map(|verdict| format!(" (last verdict: {})", verdict.replace('_', " "))).unwrap_or_default();
    line!(text, "{HEAD}{}{HEAD:#} is {HEAD}{}{HEAD:#}{verdict}", explanation.target, explanation.state.replace('_', " "));
    for because in &explanation.because {
        line!(text, "  because {because}");
    }
    line!(text);
    for told in &explanation.chain {
        line!(text, "{DIM}{:<20}{DIM:#}  {}", told.at.get(..19).map_or(told.at.as_str(), |at| at), told.sentence);
    }
    text
}

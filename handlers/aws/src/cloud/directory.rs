//! The organization's directory: which accounts exist, which of them may be entered, and the organizational units above each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_organizations::types::{Account, AccountState, AccountStatus};
use jiff::{SignedDuration, Timestamp};
use tidegate_events::host::SpokeFault;
use tidegate_events::id::AccountId;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::fault::{Caller, Failure, Kind, Pages};
use crate::clients::Hub;

/// Parents that are listed at once.
const PARENTS_AT_ONCE: usize = 4;
/// Lines of a page; AWS gives no more.
const PAGE: i32 = 20;
/// A directory older than this is not used, even where Organizations does not answer, in hours.
const STALE_HOURS: i64 = 24;
/// Between two looks for an account that is not there, and between two tries where Organizations does not answer, in seconds.
const AGAIN_SECS: i64 = 60;
/// Waits before a throttled page is asked for again, in seconds, beyond the SDK's own attempts.
const PATIENCE: [u64; 3] = [1, 2, 4];

const LIST_ROOTS: &str = "organizations:ListRoots";
const LIST_UNITS: &str = "organizations:ListOrganizationalUnitsForParent";
const LIST_ACCOUNTS: &str = "organizations:ListAccountsForParent";
const WHO_AM_I: &str = "sts:GetCallerIdentity";

/// What the directory says of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub entry: Entry,
    /// Ids and names of the root and the units above it, from the root down.
    pub ous: Vec<String>,
}

/// Whether an account may be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Open,
    Suspended,
    /// Neither: it may not be entered, and what the directory said is kept.
    Doubtful(String),
}

impl Entry {
    /// `State` decides. `Status`, which AWS retired in September 2026, is read only where an endpoint gives no `State` at all
    /// (emulators do); a word that is not known opens nothing.
    fn of(account: &Account) -> Self {
        match (account.state(), account.status()) {
            (Some(AccountState::Active), _) => Self::Open,
            (Some(AccountState::Suspended | AccountState::PendingClosure | AccountState::Closed), _) => Self::Suspended,
            (Some(other), _) => Self::Doubtful(other.as_str().to_owned()),
            (None, Some(AccountStatus::Active)) => Self::Open,
            (None, Some(AccountStatus::Suspended | AccountStatus::PendingClosure)) => Self::Suspended,
            (None, Some(other)) => Self::Doubtful(other.as_str().to_owned()),
            (None, None) => Self::Doubtful("no state".to_owned()),
        }
    }
}

/// The directory as it was read at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    pub accounts: BTreeMap<AccountId, Listed>,
    /// The hub's own account, where there is no organization: the only one, entered with the hub's own credentials.
    pub alone: Option<AccountId>,
}

#[derive(Debug, Default)]
struct Cached {
    tree: Option<(Arc<Tree>, Timestamp)>,
    failed: Option<(SpokeFault, Timestamp)>,
}

/// The cached directory. Callers that find it too old wait for one who reads it anew.
#[derive(Debug)]
pub(crate) struct Directory {
    hub: Hub,
    fresh: SignedDuration,
    cached: Mutex<Cached>,
}

/// A parent to list: its id, and what is above and including it.
type Parent = (String, Vec<String>);

impl Directory {
    pub(crate) fn new(hub: Hub, directory_secs: u32) -> Self {
        Self { hub, fresh: SignedDuration::from_secs(i64::from(directory_secs)), cached: Mutex::default() }
    }

    /// The directory, at most as old as the settings say; where Organizations does not answer, up to a day old.
    ///
    /// # Errors
    /// When there is none that may be used.
    pub(crate) async fn tree(&self) -> Result<Arc<Tree>, SpokeFault> {
        self.newer_than(self.fresh).await
    }

    /// Whether this account may be entered, and how. One that is not there is looked for again, at most once a minute.
    ///
    /// # Errors
    /// Where it may not be entered, and where that is not known.
    pub(crate) async fn admit(&self, account: AccountId) -> Result<Arc<Tree>, SpokeFault> {
        let mut tree = self.tree().await?;
        if !tree.accounts.contains_key(&account) {
            tree = self.newer_than(SignedDuration::from_secs(AGAIN_SECS).min(self.fresh)).await?;
        }
        match tree.accounts.get(&account).map(|listed| &listed.entry) {
            None => Err(SpokeFault::AccountUnknown),
            Some(Entry::Open) => Ok(tree),
            Some(Entry::Suspended) => Err(SpokeFault::AccountSuspended),
            Some(Entry::Doubtful(word)) => Err(SpokeFault::NoAnswer(format!("the directory calls the account `{word}`, and only `ACTIVE` ones are entered"))),
        }
    }

    async fn newer_than(&self, age: SignedDuration) -> Result<Arc<Tree>, SpokeFault> {
        let mut cached = self.cached.lock().await;
        let now = self.hub.now();
        let old = |at: Timestamp| now.duration_since(at);
        if let Some((tree, at)) = &cached.tree
            && old(*at) < age
        {
            return Ok(Arc::clone(tree));
        }
        let usable =
            |cached: &Cached| cached.tree.as_ref().filter(|(_, at)| old(*at) < SignedDuration::from_hours(STALE_HOURS)).map(|(tree, _)| Arc::clone(tree));
        if let Some((fault, at)) = &cached.failed
            && old(*at) < SignedDuration::from_secs(AGAIN_SECS)
        {
            return usable(&cached).ok_or_else(|| fault.clone());
        }
        match self.read().await {
            Ok(tree) => {
                let tree = Arc::new(tree);
                cached.tree = Some((Arc::clone(&tree), self.hub.now()));
                cached.failed = None;
                Ok(tree)
            }
            Err(failure) => {
                let fault = SpokeFault::from(failure);
                cached.failed = Some((fault.clone(), now));
                let tree = usable(&cached);
                if tree.is_some() {
                    tracing::warn!(%fault, "the organization's directory can't be read; the last one is used, for a day at most");
                }
                tree.ok_or(fault)
            }
        }
    }

    async fn read(&self) -> Result<Tree, Failure> {
        let roots = match self.roots().await {
            Ok(roots) => roots,
            Err(failure) if failure.code == "AWSOrganizationsNotInUseException" => return self.lone().await,
            Err(failure) => return Err(failure),
        };
        let mut waiting = roots;
        let mut accounts = BTreeMap::new();
        let mut running = JoinSet::new();
        loop {
            while running.len() < PARENTS_AT_ONCE
                && let Some(parent) = waiting.pop()
            {
                running.spawn(list_parent(self.hub.clone(), parent));
            }
            match running.join_next().await {
                None => break,
                Some(Ok(listed)) => {
                    let (found, units) = listed?;
                    accounts.extend(found);
                    waiting.extend(units);
                }
                Some(Err(error)) => return Err(Failure::unreadable(LIST_ACCOUNTS, &error.to_string())),
            }
        }
        Ok(Tree { accounts, alone: None })
    }

    async fn roots(&self) -> Result<Vec<Parent>, Failure> {
        let mut pages = Pages::of(LIST_ROOTS);
        let mut roots = Vec::new();
        loop {
            let page = patiently(|| {
                let request = self.hub.organizations().list_roots().set_next_token(pages.token()).max_results(PAGE);
                Caller::hub(&self.hub).call_owned(LIST_ROOTS, request.send())
            })
            .await?;
            for root in page.roots() {
                let id = root.id().ok_or_else(|| Failure::unreadable(LIST_ROOTS, "a root without an id"))?;
                roots.push((id.to_owned(), path(&[], id, root.name())));
            }
            if !pages.turn(page.next_token())? {
                return Ok(roots);
            }
        }
    }

    /// No organization: the hub's account is all there is.
    async fn lone(&self) -> Result<Tree, Failure> {
        let account = match self.hub.account() {
            Some(account) => account,
            None => {
                let who = Caller::hub(&self.hub).call(WHO_AM_I, self.hub.sts().get_caller_identity().send()).await?;
                who.account().and_then(|id| id.parse().ok()).ok_or_else(|| Failure::unreadable(WHO_AM_I, "no account id"))?
            }
        };
        tracing::info!(%account, "there is no organization: only the hub's own account is acted on");
        Ok(Tree { accounts: BTreeMap::from([(account, Listed { entry: Entry::Open, ous: Vec::new() })]), alone: Some(account) })
    }
}

fn path(above: &[String], id: &str, name: Option<&str>) -> Vec<String> {
    above.iter().cloned().chain([id.to_owned()]).chain(name.map(str::to_owned)).collect()
}

/// The accounts and the units right below one parent.
async fn list_parent(hub: Hub, (parent, above): Parent) -> Result<(Vec<(AccountId, Listed)>, Vec<Parent>), Failure> {
    let mut units = Vec::new();
    let mut pages = Pages::of(LIST_UNITS);
    loop {
        let page = patiently(|| {
            let request = hub.organizations().list_organizational_units_for_parent().parent_id(&parent).set_next_token(pages.token()).max_results(PAGE);
            Caller::hub(&hub).call_owned(LIST_UNITS, request.send())
        })
        .await?;
        for unit in page.organizational_units() {
            let id = unit.id().ok_or_else(|| Failure::unreadable(LIST_UNITS, "a unit without an id"))?;
            units.push((id.to_owned(), path(&above, id, unit.name())));
        }
        if !pages.turn(page.next_token())? {
            break;
        }
    }
    let mut accounts = Vec::new();
    let mut pages = Pages::of(LIST_ACCOUNTS);
    loop {
        let page = patiently(|| {
            let request = hub.organizations().list_accounts_for_parent().parent_id(&parent).set_next_token(pages.token()).max_results(PAGE);
            Caller::hub(&hub).call_owned(LIST_ACCOUNTS, request.send())
        })
        .await?;
        for account in page.accounts() {
            let id = account.id().unwrap_or_default();
            // One odd line must not hide the others; an account that is not listed is not entered.
            match id.parse() {
                Ok(id) => accounts.push((id, Listed { entry: Entry::of(account), ous: above.clone() })),
                Err(error) => tracing::error!(%error, "ERROR the directory lists an account that is left out"),
            }
        }
        if !pages.turn(page.next_token())? {
            break;
        }
    }
    Ok((accounts, units))
}

/// Asks again, a few times, while it is throttled: Organizations allows few calls, and a directory has many pages.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    for wait in PATIENCE {
        match ask().await {
            Err(failure) if failure.kind == Kind::Throttled => tokio::time::sleep(Duration::from_secs(wait)).await,
            answer => return answer,
        }
    }
    ask().await
}

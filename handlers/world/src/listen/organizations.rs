//! AWS Organizations over the wire: the tree of organizational units and the accounts in it. `State` is sent, and the retired `Status` is
//! not (aws-facts 4).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_events::id::AccountId;

use super::answer::{Answer, Asked, Refusal, compact, epoch};
use super::page::{self, Page, WrongToken};
use super::read;
use crate::draw::Draw;
use crate::spec::AccountState;
use crate::state::State;

/// The largest page of every list here (aws-facts 4).
const PAGE_MAX: i64 = 20;

fn wrong_token(_: WrongToken) -> Refusal {
    Refusal::new("InvalidInputException", "You specified an invalid value: INVALID_PAGINATION_TOKEN")
}

fn size(asked: Option<i64>) -> Result<usize, Refusal> {
    page::size(asked, "maxResults", (1, 20, PAGE_MAX)).map_err(|refusal| match refusal {
        Refusal::Error { message, .. } => Refusal::new("InvalidInputException", message),
        Refusal::Cut => Refusal::Cut,
    })
}

/// The organization as a tree: paths of names below the root, each with what is in it.
struct Tree {
    hub: AccountId,
    organization: String,
    root: String,
    /// The units above each account, the root left out.
    accounts: BTreeMap<AccountId, (Vec<String>, AccountState)>,
}

impl Tree {
    fn new(state: &State, hub: AccountId) -> Self {
        let draw = |what: &str| Draw::new(state.seed, what).text(&hub.to_string());
        let mut accounts: BTreeMap<_, _> = state.accounts.values().map(|account| (account.id, (below_root(&account.ous), account.state))).collect();
        // The management account is a member like others, directly below the root.
        accounts.entry(hub).or_insert_with(|| (Vec::new(), AccountState::Active));
        Self { hub, organization: format!("o-{}", draw("organization").hex(10)), root: format!("r-{}", draw("root").hex(4)), accounts }
    }

    /// The id of a unit, from the names that lead to it; the root's where there are none.
    fn id(&self, path: &[String]) -> String {
        if path.is_empty() {
            return self.root.clone();
        }
        let unit = path.iter().fold(Draw::new(0, "ou").text(&self.root), |draw, name| draw.text(name));
        format!("ou-{}-{}", self.root.trim_start_matches("r-"), unit.hex(8))
    }

    /// Every path of the tree, parents before children.
    fn paths(&self) -> Vec<&[String]> {
        let all = self.accounts.values().flat_map(|(path, _)| (0..=path.len()).filter_map(|depth| path.get(..depth)));
        let mut paths: Vec<&[String]> = all.collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    fn find(&self, id: &str) -> Result<&[String], Refusal> {
        let is_shaped = id.starts_with("r-") || id.starts_with("ou-");
        let found = self.paths().into_iter().find(|path| self.id(path) == id);
        found.ok_or_else(|| match is_shaped {
            true => Refusal::new("ParentNotFoundException", "You specified parent that doesn't exist."),
            false => Refusal::new("InvalidInputException", "You specified an invalid value: INVALID_PATTERN_TARGET_ID"),
        })
    }

    fn arn(&self, what: &str) -> String {
        format!("arn:aws:organizations::{}:{what}", self.hub)
    }

    /// `o-.../r-.../ou-.../`, with what a path ends in.
    fn path(&self, names: &[String], end: &str) -> String {
        let ids = (1..=names.len()).filter_map(|depth| names.get(..depth)).map(|path| self.id(path) + "/");
        format!("{}/{}/{}{end}", self.organization, self.root, ids.collect::<String>())
    }

    fn account(&self, started: i64, id: AccountId) -> Option<Value> {
        let (path, state) = self.accounts.get(&id)?;
        let state = if *state == AccountState::Active { "ACTIVE" } else { "SUSPENDED" };
        Some(json!({
            "Id": id, "Arn": self.arn(&format!("account/{}/{id}", self.organization)), "Email": format!("aws+{id}@example.com"),
            "Name": if id == self.hub { "hub".to_owned() } else { format!("account-{id}") }, "State": state,
            "Paths": [self.path(path, &format!("{id}/"))], "JoinedMethod": "CREATED", "JoinedTimestamp": epoch(started - 90 * crate::clock::DAY),
        }))
    }
}

/// Worlds name the root or leave it out.
fn below_root(ous: &[String]) -> Vec<String> {
    let has_root = ous.first().is_some_and(|first| first.eq_ignore_ascii_case("root"));
    ous.iter().skip(usize::from(has_root)).cloned().collect()
}

/// The tree, for the management account only.
fn tree(asked: &Asked<'_>) -> Result<Tree, Refusal> {
    if asked.spoke.account != asked.hub {
        return Err(Refusal::new("AccessDeniedException", "You don't have permissions to access this resource."));
    }
    Ok(Tree::new(&asked.inner.state, asked.hub))
}

/// DescribeOrganization, which every member may call.
pub(super) fn describe_organization(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let _: serde_json::Map<String, Value> = read(body)?;
    let tree = Tree::new(&asked.inner.state, asked.hub);
    let (hub, id) = (tree.hub, &tree.organization);
    Ok(json!({ "Organization": {
        "Id": id, "Arn": tree.arn(&format!("organization/{id}")), "FeatureSet": "ALL", "MasterAccountArn": tree.arn(&format!("account/{id}/{hub}")),
        "MasterAccountId": hub, "MasterAccountEmail": format!("aws+{hub}@example.com"), "AvailablePolicyTypes": [],
    } }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    parent_id: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// ListRoots
pub(super) fn list_roots(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let list: List = read(body)?;
    let tree = tree(asked)?;
    Page::at(asked, "", size(list.max_results)?, list.next_token.as_deref()).map_err(wrong_token)?;
    let arn = tree.arn(&format!("root/{}/{}", tree.organization, tree.root));
    Ok(json!({ "Roots": [{ "Id": tree.root, "Arn": arn, "Name": "Root", "PolicyTypes": [] }] }))
}

fn parent(list: &List) -> Result<&str, Refusal> {
    list.parent_id.as_deref().ok_or_else(|| Refusal::new("InvalidInputException", "You specified an invalid value: INPUT_REQUIRED ParentId"))
}

/// ListOrganizationalUnitsForParent
pub(super) fn list_organizational_units_for_parent(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let list: List = read(body)?;
    let (tree, parent) = (tree(asked)?, parent(&list)?);
    let above = tree.find(parent)?;
    let page = Page::at(asked, parent, size(list.max_results)?, list.next_token.as_deref()).map_err(wrong_token)?;
    let children = tree.paths().into_iter().filter(|path| path.split_last().is_some_and(|(_, rest)| rest == above));
    let (children, next) = page.cut(children.collect());
    let line = |path: &[String]| {
        let id = tree.id(path);
        let arn = tree.arn(&format!("ou/{}/{id}", tree.organization));
        json!({ "Id": id, "Arn": arn, "Name": path.last(), "Path": tree.path(path, "") })
    };
    let lines: Vec<Value> = children.into_iter().map(line).collect();
    Ok(compact(json!({ "OrganizationalUnits": lines, "NextToken": next })))
}

/// ListAccountsForParent: directly below it.
pub(super) fn list_accounts_for_parent(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let list: List = read(body)?;
    let (tree, parent) = (tree(asked)?, parent(&list)?);
    let above = tree.find(parent)?;
    let page = Page::at(asked, parent, size(list.max_results)?, list.next_token.as_deref()).map_err(wrong_token)?;
    let found = tree.accounts.iter().filter(|(_, (path, _))| path == above).map(|(id, _)| *id);
    let (found, next) = page.cut(found.collect());
    let lines: Vec<Value> = found.into_iter().filter_map(|id| tree.account(asked.inner.state.started, id)).collect();
    Ok(compact(json!({ "Accounts": lines, "NextToken": next })))
}

/// ListAccounts: all of them, whatever their state.
pub(super) fn list_accounts(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let list: List = read(body)?;
    let tree = tree(asked)?;
    let page = Page::at(asked, "", size(list.max_results)?, list.next_token.as_deref()).map_err(wrong_token)?;
    let (found, next) = page.cut(tree.accounts.keys().copied().collect());
    let lines: Vec<Value> = found.into_iter().filter_map(|id| tree.account(asked.inner.state.started, id)).collect();
    Ok(compact(json!({ "Accounts": lines, "NextToken": next })))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    account_id: Option<String>,
}

/// DescribeAccount
pub(super) fn describe_account(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: Describe = read(body)?;
    let tree = tree(asked)?;
    let id = describe.account_id.unwrap_or_default();
    let id: AccountId = id.parse().map_err(|_| Refusal::new("InvalidInputException", "You specified an invalid value: INVALID_PATTERN AccountId"))?;
    let found = tree.account(asked.inner.state.started, id);
    let found = found.ok_or_else(|| Refusal::new("AccountNotFoundException", "You specified an account that doesn't exist."))?;
    Ok(json!({ "Account": found }))
}

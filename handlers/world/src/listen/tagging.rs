//! The Resource Groups Tagging API over the wire: tags of instances.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Asked, Refusal};
use super::page::{Page, WrongToken};
use super::read;
use crate::wire::instance_arn;

/// Resources of a page where nothing else is asked for, and at most.
const PAGE_USUAL: usize = 50;
const PAGE_MAX: i64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagFilter {
    key: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
struct Get {
    #[serde(rename = "PaginationToken")]
    token: Option<String>,
    #[serde(rename = "TagFilters", default)]
    tags: Vec<TagFilter>,
    #[serde(rename = "ResourcesPerPage")]
    size: Option<i64>,
    #[serde(rename = "ResourceTypeFilters", default)]
    kinds: Vec<String>,
    #[serde(rename = "ResourceARNList", default)]
    arns: Vec<String>,
}

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterException", message)
}

/// GetResources: what is tagged in the caller's account and Region. An ARN that is not there is absent.
pub(super) fn get_resources(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let get: Get = read(body)?;
    if get.arns.len() > 100 {
        return Err(wrong("ResourceARNList has more than 100 members"));
    }
    if !get.arns.is_empty()
        && (!get.tags.is_empty() || !get.kinds.is_empty() || get.size.is_some() || get.token.as_deref().is_some_and(|token| !token.is_empty()))
    {
        return Err(wrong("ResourceARNList can't be combined with filters or pages"));
    }
    if let Some(other) = get.arns.iter().find(|arn| arn.splitn(6, ':').count() != 6 || !arn.starts_with("arn:")) {
        return Err(wrong(format!("{other} is no ARN")));
    }
    let size = match get.size {
        None => PAGE_USUAL,
        Some(size) if (1..=PAGE_MAX).contains(&size) => usize::try_from(size).unwrap_or(PAGE_USUAL),
        Some(size) => return Err(wrong(format!("ResourcesPerPage is 1 to {PAGE_MAX}, not {size}"))),
    };
    if let Some(other) = get.kinds.iter().find(|kind| !["ec2", "ec2:instance", "ssm", "ssm:managed-instance"].contains(&kind.as_str())) {
        tracing::debug!(kind = %other, "this organization has no such resources");
    }
    let filters =
        get.tags.into_iter().map(|filter| Some((filter.key?, filter.values))).collect::<Option<Vec<_>>>().ok_or_else(|| wrong("TagFilters need a Key"))?;
    let question = format!("{filters:?} {:?} {:?}", get.kinds, get.arns);
    let page = Page::at(asked, &question, if get.arns.is_empty() { size } else { 100 }, get.token.as_deref());
    let page = page.map_err(|WrongToken| Refusal::new("PaginationTokenExpiredException", "The pagination token is not valid for this request"))?;
    let wanted: BTreeSet<&str> = get.arns.iter().map(String::as_str).collect();
    let (state, spoke) = (&asked.inner.state, &asked.spoke);
    let kind = |is_hybrid: bool| if is_hybrid { ("ssm", "ssm:managed-instance") } else { ("ec2", "ec2:instance") };
    let is_kind = |is_hybrid: bool| get.kinds.is_empty() || get.kinds.iter().any(|wanted| wanted == kind(is_hybrid).0 || wanted == kind(is_hybrid).1);
    let hosts = state.hosts_in(spoke).filter(|host| !host.terminated && !host.tags.is_empty() && is_kind(host.key.instance.is_hybrid()));
    let hosts = hosts.filter(|host| filters.iter().all(|(key, values)| host.tags.get(key).is_some_and(|value| values.is_empty() || values.contains(value))));
    let found = hosts.map(|host| (instance_arn(spoke.account, &spoke.region, &host.key.instance), host));
    let (found, next) = page.cut(found.filter(|(arn, _)| wanted.is_empty() || wanted.contains(arn.as_str())).collect());
    let tags = |host: &crate::host::Host| host.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect::<Vec<_>>();
    let lines: Vec<Value> = found.into_iter().map(|(arn, host)| json!({ "ResourceARN": arn, "Tags": tags(host) })).collect();
    // The last page has an empty token, not none.
    Ok(json!({ "ResourceTagMappingList": lines, "PaginationToken": next.unwrap_or_default() }))
}

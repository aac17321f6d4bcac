//! Every sample's outcome, how inputs are split, and what holds for any input at all.

mod patterns;
mod properties;
mod samples;
mod security_hub;
mod splitting;

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::id::TargetKey;

const STANDALONE: &str = "01-config-noncompliant-standalone-rule.json";

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn sample(name: &str) -> Vec<u8> {
    fs::read(folder("samples").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sample_value(name: &str) -> Value {
    serde_json::from_slice(&sample(name)).unwrap()
}

/// The file names of a folder, sorted.
fn files(name: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    names
}

/// One word per piece: what kind of event, `ignored` or `rejected`.
fn kinds(input: impl AsRef<[u8]>) -> Vec<&'static str> {
    let read = read(input.as_ref());
    assert!(read.iter().enumerate().all(|(place, read)| read.index == place));
    read.iter().map(|read| kind(&read.parsed)).collect()
}

fn kind(parsed: &Parsed) -> &'static str {
    match parsed {
        Parsed::Event { event, .. } => match event {
            Event::Finding { .. } => "finding",
            Event::FindingOf { .. } => "finding of another rule",
            Event::CommandChanged { .. } => "command",
            Event::InvocationChanged { .. } => "invocation",
            Event::AutomationChanged { .. } => "automation",
            Event::InstanceChanged { .. } => "instance",
            Event::CalendarChanged { .. } => "calendar",
            Event::Approval(_) => "approval",
            Event::LaneResumed { .. } => "resumed",
            Event::Cord { .. } => "cord",
            Event::Steer(_) => "steer",
            Event::Retry(_) => "retry",
            Event::RunAsked(_) => "run",
            Event::KevLoaded(_) => "catalog",
            Event::RunStopped { .. } => "run stopped",
            Event::Tick { .. } => "tick",
            Event::Nudge(_) | Event::Answer(_) => "inner",
        },
        Parsed::Ignored { .. } => "ignored",
        Parsed::Rejected { .. } => "rejected",
    }
}

/// A piece in one line.
fn told(parsed: &Parsed) -> String {
    match parsed {
        Parsed::Ignored { why } => format!("ignored: {why}"),
        Parsed::Rejected { why } => format!("rejected: {why}"),
        Parsed::Event { event, .. } => match event {
            Event::Finding { target, fact } => format!("{target} is {} since {} by {}", fact.compliance, fact.ordering, fact.source),
            Event::CommandChanged { account, region, command, status } => format!("{account}/{region}: command {command} is {status}"),
            Event::InvocationChanged { target, command, status } => format!("{target}: invocation of {command} is {status}"),
            Event::AutomationChanged { account, region, execution, status } => format!("{account}/{region}: automation {execution} is {status}"),
            Event::InstanceChanged { target, state, at } => format!("{target} is {state:?} at {at}"),
            Event::CalendarChanged { calendar, open, at, turns_at } => {
                let until = turns_at.map(|at| format!(" until {at}")).unwrap_or_default();
                format!("{calendar} is {} at {at}{until}", if *open { "open" } else { "closed" })
            }
            Event::Approval(a) => format!("{} says {:?} to {} ({}) at {}: {}", a.by, a.word, a.subject, a.digest.short(), a.at, a.comment),
            Event::LaneResumed { lane, by, comment } => format!("{by} resumes {lane}: {comment}"),
            Event::Cord { pulled, kill, by, comment } => {
                let (does, kill) = (if *pulled { "pulls" } else { "releases" }, if *kill { " to kill" } else { "" });
                format!("{by} {does} the cord{kill}{}{comment}", if comment.is_empty() { "" } else { ": " })
            }
            Event::Steer(steer) => format!("{} {} {}: {}", steer.by, if steer.go { "resumes" } else { "pauses" }, steer.on, steer.comment),
            Event::Retry(retry) => format!("{} retries {}: {}", retry.by, retry.what, retry.comment),
            Event::Tick { at } => format!("tick at {at}"),
            inner => format!("{inner:?}"),
        },
    }
}

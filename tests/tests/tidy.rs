//! The repository defends itself: top level, arrows between crates, long files, forbidden words, links, versions.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate_tests::binary::root;

fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()).output().unwrap();
    let files: Vec<PathBuf> = String::from_utf8(output.stdout).unwrap().lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect();
    assert!(files.len() > 50, "git lists only {} files", files.len());
    files
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(root().join(path)).unwrap()).into_owned()
}

#[test]
fn the_top_level_holds_what_it_may() {
    let allowed = [
        "Cargo.toml",
        "handlers",
        "rules",
        "stacksets",
        "events",
        "tests",
        "docs",
        "README.md",
        "Cargo.lock",
        "LICENSE",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "clippy.toml",
        "deny.toml",
        ".gitignore",
        ".cargo",
        ".ci",
        ".github",
        "examples",
    ];
    let found: BTreeSet<String> =
        tracked().iter().filter_map(|path| path.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned())).collect();
    let strange: Vec<&String> = found.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "not at the top level: {strange:?}");
}

/// Arrows of the design: what each crate may depend on. An arrow includes everything below it.
#[test]
fn crates_depend_only_downwards() {
    let may: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("tidegate-events", &[][..]),
        ("tidegate-rules", &["tidegate-events"]),
        ("tidegate-engine", &["tidegate-rules", "tidegate-events"]),
        ("tidegate-report", &["tidegate-rules", "tidegate-events"]),
        ("tidegate-embedded", &["tidegate-engine", "tidegate-rules", "tidegate-events"]),
        ("tidegate-world", &["tidegate-engine", "tidegate-rules", "tidegate-events"]),
        ("tidegate-aws", &["tidegate-engine", "tidegate-rules", "tidegate-events"]),
        ("tidegate-console", &["tidegate-engine", "tidegate-embedded", "tidegate-world", "tidegate-report", "tidegate-rules", "tidegate-events"]),
        ("tidegate-lambda", &["tidegate-aws", "tidegate-console", "tidegate-engine", "tidegate-report", "tidegate-rules", "tidegate-events"]),
        // The command line names `tidegate-aws` behind a feature: the first `cargo run` compiles no AWS SDK.
        ("tidegate", &["tidegate-aws", "tidegate-engine", "tidegate-embedded", "tidegate-world", "tidegate-report", "tidegate-rules", "tidegate-events"]),
        ("tidegate-dev", &[]),
    ]);
    let metadata = Command::new(env!("CARGO")).args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(root()).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() >= 8);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let Some(allowed) = may.get(name) else {
            assert_eq!(name, "tidegate-tests", "a crate without arrows: name them here");
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            assert!(!on.starts_with("tidegate") || allowed.contains(&on), "{name} may not depend on {on}");
            let may_call_aws = matches!(name, "tidegate-aws" | "tidegate-lambda");
            assert!(may_call_aws || !(on.starts_with("aws-") || on.starts_with("lambda")), "{name} may not depend on {on}: AWS stays in its adapters");
            let optional = dependency["optional"].as_bool().unwrap_or(false);
            assert!(name != "tidegate" || on != "tidegate-aws" || optional, "the command line compiles the AWS SDK only where it is asked to");
        }
    }
    for pure in ["events", "rules"] {
        for path in
            tracked().iter().filter(|path| path.starts_with(pure) && !path.ends_with("tests.rs") && path.extension().is_some_and(|extension| extension == "rs"))
        {
            for banned in ["Timestamp::now", "SystemTime", "std::env", "std::fs", "std::net", "async fn", "tokio"] {
                assert!(!read(path).contains(banned), "{} is pure and may not use `{banned}`", path.display());
            }
        }
    }
}

#[test]
fn files_stay_short_and_words_stay_out() {
    let banned = [["/ho", "me/"], ["/ro", "ot/"], ["/wo", "rk/"], ["sub", "agent"], ["TO", "DO:"], ["FIX", "ME"], ["todo", "!("]].map(|parts| parts.concat());
    for path in tracked() {
        let source = path.extension().is_some_and(|extension| ["rs", "toml", "md", "sh", "yaml", "html", "css"].iter().any(|known| extension == *known));
        if !source || path == Path::new("Cargo.lock") {
            continue;
        }
        let text = read(&path);
        for word in &banned {
            assert!(!text.contains(word.as_str()), "{} says `{word}`", path.display());
        }
        if path.extension().is_some_and(|extension| extension == "rs") {
            assert!(text.lines().count() <= 620, "{} has {} lines: one idea, one file", path.display(), text.lines().count());
            assert!(path.ends_with("tests.rs") || text.starts_with("//!"), "{} does not say what it is for", path.display());
        }
        assert!(text.ends_with('\n') || text.is_empty(), "{} does not end with a newline", path.display());
        assert!(!text.contains("\r\n"), "{} has CRLF", path.display());
    }
}

#[test]
fn links_in_the_docs_lead_somewhere() {
    for path in tracked().iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = read(path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let place = root().join(path).parent().unwrap().join(target);
            assert!(place.exists(), "{} links to `{link}`, which is not there", path.display());
        }
    }
}

#[test]
fn dependencies_are_declared_once() {
    for path in tracked().iter().filter(|path| path.ends_with("Cargo.toml") && path.components().count() > 1) {
        let manifest: toml::Table = read(path).parse().unwrap();
        for section in ["dependencies", "dev-dependencies"] {
            let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            for (name, value) in dependencies {
                assert_eq!(
                    value.get("workspace").and_then(toml::Value::as_bool),
                    Some(true),
                    "{}: `{name}` is declared outside [workspace.dependencies]",
                    path.display()
                );
            }
        }
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{} does not take the workspace's lints", path.display());
    }
}

//! Stories with goldens: each file in `scenarios/` is a list of commands and what they print. `cargo dev bless` writes them
//! anew; a changed golden is what a review looks at.

#![cfg(test)]

use std::process::Command;

use tidegate_tests::binary::{root, tidegate};

/// Runs a story: lines that begin with `$ ` are commands (`{tmp}` is a fresh folder, the working folder is the root of the
/// checkout), lines that begin with `#` are remarks; everything else is what was printed.
fn run(story: &str) -> String {
    let tmp = tempfile::tempdir().unwrap();
    let place = tmp.path().to_str().unwrap();
    let mut told = String::new();
    let mut lines = story.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('#') || line.is_empty() {
            told.push_str(&format!("{line}\n"));
        } else if let Some(command) = line.strip_prefix("$ ") {
            while lines.peek().is_some_and(|next| !next.starts_with("$ ") && !next.starts_with('#')) {
                lines.next();
            }
            let words: Vec<String> = command.split_whitespace().skip(1).map(|word| word.replace("{tmp}", place)).collect();
            let output = Command::new(tidegate()).args(&words).env("NO_COLOR", "1").env_remove("TIDEGATE_LOG").current_dir(root()).output().unwrap();
            told.push_str(&format!("{line}\n"));
            for text in [&output.stdout, &output.stderr] {
                let text = String::from_utf8_lossy(text).replace(place, "{tmp}");
                told.push_str(&text.lines().map(|line| format!("  {}\n", line.trim_end()).replace("  \n", "\n")).collect::<String>());
            }
            told.push_str(&format!("  exit {}\n\n", output.status.code().unwrap_or(-1)));
        }
    }
    told
}

#[test]
fn every_story_is_told_as_it_was() {
    let folder = root().join("tests/scenarios");
    let mut stories: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    stories.sort();
    assert!(stories.len() >= 6, "only {} stories", stories.len());
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut changed = Vec::new();
    for path in stories {
        let golden = std::fs::read_to_string(&path).unwrap();
        let told = run(&golden);
        if bless {
            std::fs::write(&path, &told).unwrap();
        } else if told.trim_end() != golden.trim_end() {
            let differs = told.lines().zip(golden.lines()).find(|(told, golden)| told != golden);
            changed.push(format!("{}: told {:?}", path.file_name().unwrap().to_string_lossy(), differs));
        }
    }
    assert!(changed.is_empty(), "run `cargo dev bless` and look at the diff:\n{}", changed.join("\n"));
}

//! Every example, wrong inputs with their exact messages, the three forms of one run, and what holds for any input.

mod examples;
mod forms;
mod inputs;
mod properties;
mod refusals;
mod table;
mod warnings;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// The example files, by their names below `examples/`.
fn examples() -> Vec<(String, Vec<u8>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut found = Vec::new();
    for folder in ["run-inputs", "custom-inputs"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            found.push((name, fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

fn example(name: &str) -> Vec<u8> {
    examples().into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no example {name}")).1
}

fn run_of(input: impl AsRef<[u8]>) -> BulkRun {
    parse(input.as_ref()).unwrap_or_else(|problems| panic!("{}\n{problems}", String::from_utf8_lossy(input.as_ref()))).run
}

fn warnings_of(input: impl AsRef<[u8]>) -> Vec<String> {
    parse(input.as_ref()).unwrap().warnings.iter().map(Warning::to_string).collect()
}

fn problems_of(input: impl AsRef<[u8]>) -> Vec<String> {
    match parse(input.as_ref()) {
        Ok(parsed) => panic!("{} is {parsed:?}", String::from_utf8_lossy(input.as_ref())),
        Err(problems) => problems.lines().collect(),
    }
}

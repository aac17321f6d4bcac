//! Every command of the README runs.

#![cfg(test)]

use std::process::Command;

use tidegate_tests::binary::{root, tidegate};

/// Lines of the README's ```sh fences.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut commands = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside && !line.trim().is_empty() {
            commands.push(line.trim().to_owned());
        }
    }
    commands
}

#[test]
fn the_readmes_commands_run() {
    let commands = commands();
    assert!(commands.iter().any(|command| command == "cargo dev test"), "the README does not name the test command");
    assert!(commands.iter().any(|command| command == "cargo run --release -- demo"), "the README does not name the demo");
    let tmp = tempfile::tempdir().unwrap();
    for folder in ["events", "rules", "examples", "tests"] {
        std::os::unix::fs::symlink(root().join(folder), tmp.path().join(folder)).unwrap();
    }
    for command in commands {
        // The test command is what runs this.
        let Some(args) = command.strip_prefix("cargo run --release -- ").or_else(|| command.strip_prefix("tidegate ")) else {
            assert!(command.starts_with("cargo dev "), "`{command}` is neither ours nor the task runner's");
            continue;
        };
        let args = args.split('#').next().unwrap_or_default();
        let output = Command::new(tidegate()).args(args.split_whitespace()).current_dir(tmp.path()).output().unwrap();
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1)), "`{command}` ends with {code:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

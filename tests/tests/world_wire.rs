//! The simulated organization over the wire, read by boto3: every operation, every error, held against botocore's own models.

#![cfg(test)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tidegate_tests::binary::{root, tidegate};
use tidegate_tests::rig;

/// A process that ends with the test.
struct World(Child);

impl Drop for World {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn boto3_understands_every_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("spokes.world");
    let mut child =
        Command::new(tidegate()).args(["world", "--listen", "127.0.0.1:0", "--tempo", "120", "--store"]).arg(&store).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let _world = World(child);
    let ready: Value = serde_json::from_str(&ready).unwrap_or_else(|error| panic!("`{ready}` does not say where it listens: {error}"));
    let endpoint = ready["listening"].as_str().unwrap();
    let output = Command::new(rig::python())
        .arg(root().join("tests/rig/world_contract.py"))
        .args([endpoint, "--tempo", "120", "--hub", ready["hub"].as_str().unwrap()])
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(said["failures"], Value::Array(Vec::new()));
    assert_eq!((said["ok"].as_bool(), said["operations"].as_u64()), (Some(true), Some(43)), "{said}");
    assert!(said["checks"].as_u64().is_some_and(|checks| checks > 300), "{said}");
}

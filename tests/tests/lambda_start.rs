//! Starting stays cheap: instructions from the first one of the process to its first `GET /next`, and in its first invocation. They do
//! not depend on how busy the machine is; `tests/rig/measure_start.py` counts them, and measures the rest for
//! docs/operations/performance.md.

#![cfg(test)]

use serde_json::Value;
use tidegate_tests::rig;

/// Measured: 2.8 million, 68 % of them the dynamic linker's, 18 % reading the policy. A client made at the start costs some millions, the
/// machine's certificates 30 million.
const TO_NEXT_MAX: u64 = 3_700_000;

/// Measured: 12.5, 6.0 and 7.3 million; with the machine's certificates 42.5, 36.1 and 38.0.
const FIRST_INVOCATION_MAX: [(&str, u64); 3] = [("enqueue", 16_500_000), ("patch", 8_000_000), ("notify", 9_500_000)];

fn count(report: &Value, function: &str, what: &str) -> u64 {
    report[function][what].as_u64().unwrap_or_else(|| panic!("`{function}` has no {what}: {report}"))
}

#[test]
fn a_function_starts_and_first_works_within_its_instructions() {
    let folder = tempfile::tempdir_in(rig::folder().unwrap()).unwrap();
    rig::package(folder.path(), "").unwrap();
    let bootstrap = folder.path().join("bootstrap").display().to_string();
    let report = rig::drive("measure_start.py", &["--bootstrap", &bootstrap, "--starts", "0", "--instructions"], &[]).unwrap();
    println!("{report:#}");
    for function in ["enqueue", "gate", "patch", "reevaluate", "notify", "console", "report"] {
        let made = count(&report, function, "instructions");
        assert!(made > 100_000, "`{function}`: {made} instructions are too few to have started");
        assert!(made <= TO_NEXT_MAX, "`{function}`: {made} instructions to its first GET /next, at most {TO_NEXT_MAX}");
    }
    for (function, most) in FIRST_INVOCATION_MAX {
        let made = count(&report, function, "first_invoke_instructions");
        assert!(made <= most, "`{function}`: {made} instructions in its first invocation, at most {most}");
    }
}

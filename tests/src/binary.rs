//! The built command line, for tests that need a real process: to kill it, to read its exit code, to talk to it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The root of the checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, PathBuf::from)
}

/// The binary `tidegate`, built once by this process with the profile and the features of the tests.
///
/// # Panics
/// When it does not build: then no test that needs it can say anything.
pub fn tidegate() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let test_binary = std::env::current_exe().unwrap_or_default();
            let target = test_binary.parent().and_then(|deps| deps.parent()).map(PathBuf::from).unwrap_or_default();
            let binary = target.join("tidegate");
            let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            // `--workspace` selects the same features as the test run, so that nothing but the binary is built.
            let built = Command::new(cargo).args(["build", "--quiet", "--locked", "--workspace", "--bin", "tidegate"]).current_dir(root()).status();
            assert!(built.is_ok_and(|status| status.success()), "the binary does not build");
            assert!(binary.exists(), "no binary at {}", binary.display());
            binary
        })
        .clone()
}

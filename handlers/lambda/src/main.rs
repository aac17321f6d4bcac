//! The binary `bootstrap` of every function.

// The runtime's services and the SDK's loaders nest their futures some 130 deep; 128 is the default.
#![recursion_limit = "256"]

use std::process::ExitCode;

fn main() -> ExitCode {
    // One thread: a function handles one invocation at a time and waits for answers, it does not compute.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ERROR the runtime can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(tidegate_lambda::run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ERROR {error}");
            ExitCode::FAILURE
        }
    }
}

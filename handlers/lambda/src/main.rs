//! The binary `bootstrap` of every function.

// The layout of a future that holds a whole decision, and the SDK's calls in it, is deep.
#![recursion_limit = "512"]

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
    match runtime.block_on(Box::pin(tidegate_lambda::run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ERROR {error}");
            ExitCode::FAILURE
        }
    }
}

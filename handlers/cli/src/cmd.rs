//! One file per command.

pub mod approve;
pub mod completions;
#[cfg(feature = "aws")]
pub mod console;
pub mod controls;
pub mod demo;
pub mod explain;
pub mod fleet;
pub mod later;
pub mod policy;
pub mod refused;
pub mod replay;
pub mod serve;
#[cfg(feature = "aws")]
pub mod serve_aws;
pub mod simulate;
pub mod status;
pub mod verify;
pub mod world;

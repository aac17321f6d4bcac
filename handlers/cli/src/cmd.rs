//! One file per command.

pub mod approve;
pub mod completions;
pub mod demo;
pub mod explain;
pub mod fleet;
pub mod later;
pub mod policy;
pub mod replay;
pub mod serve;
pub mod simulate;
pub mod status;
pub mod verify;
pub mod world;

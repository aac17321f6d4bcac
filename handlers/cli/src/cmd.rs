//! One file per command.

pub mod approve;
pub mod catalog;
pub mod completions;
#[cfg(feature = "aws")]
pub mod console;
pub mod controls;
pub mod demo;
pub mod doctor;
#[cfg(feature = "aws")]
pub mod doctor_aws;
pub mod explain;
pub mod fleet;
pub mod later;
pub mod plan;
pub mod policy;
pub mod refused;
pub mod replay;
pub mod run;
pub mod serve;
#[cfg(feature = "aws")]
pub mod serve_aws;
pub mod simulate;
pub mod status;
pub mod verify;
pub mod world;

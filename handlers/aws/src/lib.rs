//! The engine's ports on AWS.

pub mod dynamo;
pub mod queue;
pub mod random;

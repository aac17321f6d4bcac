//! The engine's ports on AWS.

pub mod dynamo;

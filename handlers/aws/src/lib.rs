//! The engine's ports on AWS.

pub mod queue;
pub mod random;

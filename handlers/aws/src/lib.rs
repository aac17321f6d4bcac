//! The engine's ports on AWS.

pub mod clients;
pub mod cloud;
pub mod secret;

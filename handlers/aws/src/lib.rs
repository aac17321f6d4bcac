//! The engine's ports on AWS.

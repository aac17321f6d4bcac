//! The Lambda shell.

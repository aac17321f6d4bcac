//! Doubt: what the tests share. The tests themselves are in `tests/`.

pub mod binary;

//! What the tests share. The tests themselves are in `tests/`.

pub mod asking;
pub mod binary;
pub mod conformance;
pub mod crashing;
mod doubles;
pub mod kept;
pub mod luck;
pub mod process;
pub mod queues;
pub mod rig;
pub mod site;
pub mod story;
pub mod twin;

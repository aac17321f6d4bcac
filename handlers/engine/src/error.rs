//! What can go wrong, split by what the caller does about it.

use tidegate_rules::Key;

/// The store's errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster, or a limit was reached meanwhile: load again and decide again.
    #[error("`{0}` changed in between")]
    Conflict(Key),
    /// A counter would exceed its limit: load again and decide again.
    #[error("the limit of `{0}` would be exceeded")]
    OverLimit(Key),
    /// The commit breaks a limit of DynamoDB: a defect of ours, refused everywhere alike.
    #[error("the commit is too large: {0}")]
    TooLarge(String),
    /// The store does not answer, or not with what was written: try again later.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// The engine's errors. None of them loses an event: the caller hands it in again.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Too many others changed the same things at once: hand it in again.
    #[error("lost the race for `{what}` {tries} times")]
    Contended {
        /// The event or action.
        what: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The store failed: hand it in again later.
    #[error("`{what}` could not be stored")]
    Store {
        /// The event or action.
        what: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The outside did not take an ask that only it can answer (a notice): it stays in the outbox.
    #[error("put off: {0}")]
    Later(String),
    /// What is stored contradicts itself: nothing is decided on it, a person must look.
    #[error("stored state is damaged: {0}")]
    Damaged(String),
}

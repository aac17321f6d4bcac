//! Tokens that people decide by: random, bound to one digest and its approver, good for one decision. Only their hashes are
//! kept, so that whoever reads the store can decide nothing.

use std::future::Future;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::event::{Subject, Word};
use tidegate_events::id::{Digest, PersonId};

use crate::error::StoreError;

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// What is decided.
    pub subject: Subject,
    /// The digest that was asked about: a decision is about this and nothing else.
    pub digest: Digest,
    /// Who may use it; `None` where the policy names nobody, and whoever decides gives a name.
    pub approver: Option<PersonId>,
    /// Until when.
    pub expires_at: Timestamp,
    /// The decision, once made.
    pub used: Option<UsedToken>,
}

/// A decision that was made with a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedToken {
    /// Yes or no.
    pub word: Word,
    /// Why.
    pub comment: String,
    /// Who.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
}

/// Why a token can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none, or it was forgotten after its time.
    #[error("this link is not known: use the one of the newest message")]
    Unknown,
    /// Its time is over.
    #[error("this link has expired: wait for the next message, or decide with `tidegate approve`")]
    Expired,
    /// A decision was made with it, and another one is wanted now.
    #[error("this link was used already: a decision that was made is not changed by the same link")]
    UsedOtherwise,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where tokens are kept. Hashes are SHA-256 over the token's text.
pub trait Tokens: Send + Sync {
    /// Keeps a new token.
    fn put_token(&self, hash: &Digest, record: &TokenRecord) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// A token that has not expired at `now`.
    fn token(&self, hash: &Digest, now: Timestamp) -> impl Future<Output = Result<Option<TokenRecord>, StoreError>> + Send;
    /// Uses a token, once. The very same decision of the same person may be repeated, since a process may die between using
    /// the token and deciding; any other is refused.
    fn use_token(&self, hash: &Digest, used: &UsedToken, now: Timestamp) -> impl Future<Output = Result<TokenRecord, TokenError>> + Send;
}

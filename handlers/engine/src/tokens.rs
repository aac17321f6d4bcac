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

impl UsedToken {
    /// Whether both are the same word of the same person.
    pub fn is_same_use(&self, other: &Self) -> bool {
        self.word == other.word && self.by.is_same_person(&other.by)
    }
}

/// Why a token can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody was given such a token, or it expired long ago.
    #[error("this link is not known: use the one of the newest message")]
    Unknown,
    /// It is too late.
    #[error("this link expired at {0}: wait for the next message, or decide with `tidegate approve`")]
    Expired(Timestamp),
    /// It was used for something else: another word, or by somebody else.
    #[error("this link was used before: {} said {} with it at {}", .0.by, said(.0.word), .0.at)]
    UsedOtherwise(Box<UsedToken>),
    /// It was given to somebody else.
    #[error("this link was given to {0}: only they may use it")]
    NotYours(PersonId),
    /// The store did not answer, or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn said(word: Word) -> &'static str {
    match word {
        Word::Approve => "yes",
        Word::Reject => "no",
        Word::Revoke => "that a yes is taken back",
    }
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

//! A store in memory that keeps tokens of approval links; its handles share one store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::error::StoreError;
use tidegate_engine::store::Store;
use tidegate_engine::tokens::{TokenError, TokenRecord, Tokens, UsedToken};
use tidegate_events::id::Digest;

/// A handle.
#[derive(Clone)]
pub struct Kept {
    inner: Arc<EmbeddedStore>,
    tokens: Arc<Mutex<BTreeMap<Digest, TokenRecord>>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { inner: Arc::new(EmbeddedStore::Memory(MemoryStore::new())), tokens: Arc::default() }
    }
}

impl Kept {
    /// How many tokens there are.
    pub fn tokens(&self) -> usize {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Store for Kept {
    crate::reads_go_to!(inner);
    crate::commits_go_to!(inner);
    crate::endings_go_to!(inner);
}

impl Tokens for Kept {
    async fn put_token(&self, hash: &Digest, record: &TokenRecord) -> Result<(), StoreError> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(*hash, record.clone());
        Ok(())
    }
    async fn token(&self, hash: &Digest, now: Timestamp) -> Result<Option<TokenRecord>, StoreError> {
        Ok(self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(hash).filter(|record| now < record.expires_at).cloned())
    }
    async fn use_token(&self, hash: &Digest, used: &UsedToken, _now: Timestamp) -> Result<TokenRecord, TokenError> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let record = tokens.get_mut(hash).ok_or(TokenError::Unknown)?;
        match &record.used {
            Some(before) if !before.is_same_use(used) => Err(TokenError::UsedOtherwise(Box::new(before.clone()))),
            _ => {
                record.used = Some(used.clone());
                Ok(record.clone())
            }
        }
    }
}

//! What the doubles of a store share: a double changes how one or two calls fare, and hands on all others.

/// In an `impl Store`: every call that reads goes to the store in this field.
#[macro_export]
macro_rules! reads_go_to {
    ($inner:ident) => {
        async fn get(&self, keys: &[::tidegate_rules::Key]) -> Result<Vec<Option<::tidegate_engine::store::Stored>>, ::tidegate_engine::error::StoreError> {
            self.$inner.get(keys).await
        }
        async fn counts(&self, keys: &[::tidegate_rules::Key]) -> Result<Vec<i64>, ::tidegate_engine::error::StoreError> {
            self.$inner.counts(keys).await
        }
        async fn list(
            &self,
            prefix: &str,
            after: Option<&::tidegate_rules::Key>,
            limit: usize,
        ) -> Result<::tidegate_engine::store::Page, ::tidegate_engine::error::StoreError> {
            self.$inner.list(prefix, after, limit).await
        }
        async fn list_counts(&self, prefix: &str) -> Result<Vec<(::tidegate_rules::Key, i64)>, ::tidegate_engine::error::StoreError> {
            self.$inner.list_counts(prefix).await
        }
        async fn due(&self, now: ::jiff::Timestamp, limit: usize) -> Result<Vec<::tidegate_rules::Key>, ::tidegate_engine::error::StoreError> {
            self.$inner.due(now, limit).await
        }
        async fn next_due(&self) -> Result<Option<::jiff::Timestamp>, ::tidegate_engine::error::StoreError> {
            self.$inner.next_due().await
        }
        async fn outbox(
            &self,
            after: Option<::tidegate_engine::store::ActionId>,
            limit: usize,
        ) -> Result<Vec<(::tidegate_engine::store::ActionId, ::tidegate_events::Action)>, ::tidegate_engine::error::StoreError> {
            self.$inner.outbox(after, limit).await
        }
        async fn journal(&self, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, ::tidegate_engine::error::StoreError> {
            self.$inner.journal(after, limit).await
        }
        async fn stream(&self, stream: &::tidegate_rules::Key) -> Result<Vec<(u64, Vec<u8>)>, ::tidegate_engine::error::StoreError> {
            self.$inner.stream(stream).await
        }
        async fn newest(&self) -> Result<Option<::jiff::Timestamp>, ::tidegate_engine::error::StoreError> {
            self.$inner.newest().await
        }
    };
}

/// In an `impl Store`: commits go to the store in this field.
#[macro_export]
macro_rules! commits_go_to {
    ($inner:ident) => {
        async fn commit(&self, commit: &::tidegate_engine::store::Commit) -> Result<(), ::tidegate_engine::error::StoreError> {
            self.$inner.commit(commit).await
        }
    };
}

/// In an `impl Store`: the end of actions goes to the store in this field.
#[macro_export]
macro_rules! endings_go_to {
    ($inner:ident) => {
        async fn performed(&self, ids: &[::tidegate_engine::store::ActionId]) -> Result<(), ::tidegate_engine::error::StoreError> {
            self.$inner.performed(ids).await
        }
    };
}

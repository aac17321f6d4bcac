//! What a run has written down.

use tidegate_cli::drive::Drive;
use tidegate_engine::store::Store;
use tidegate_events::journal::Line;

/// Every line of its journal, the oldest first.
pub async fn lines(drive: &Drive) -> Vec<Line> {
    let lines = drive.engine.store().journal(0, usize::MAX).await.unwrap();
    lines.into_iter().map(|(_, bytes)| serde_json::from_slice(&bytes).unwrap()).collect()
}

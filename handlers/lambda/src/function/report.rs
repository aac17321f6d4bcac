//! `report`: the day's evidence in the bucket: the whole journal with its anchor, and the report that is derived from it.

use std::path::Path;
use std::sync::Arc;

use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use tidegate_engine::store::Store;
use tidegate_events::journal::Line;
use tidegate_report::{Ledger, Meta, PackWriter, html};

use crate::intake::words;
use crate::site::{Site, now};

/// Journal lines read at once.
const PAGE: usize = 1_000;
/// Files of a pack, in the order they are uploaded: the anchor last, so that a pack that was cut short fails verification.
const FILES: [(&str, &str); 3] = [("report.html", "text/html; charset=utf-8"), ("journal.jsonl", "application/x-ndjson"), ("anchor.json", "application/json")];

/// What was written.
#[derive(Debug, Serialize)]
pub struct Written {
    /// `tidegate.report/1`
    schema: &'static str,
    /// The bucket.
    bucket: String,
    /// The keys, in order.
    keys: Vec<String>,
    /// Journal lines in it.
    lines: u64,
    /// The hash over all lines.
    root: String,
}

/// Writes the report.
///
/// # Errors
/// When the journal can't be read or the bucket does not take it: Lambda's own retry, or the next day, writes it again.
pub async fn run(site: Arc<Site>, _event: LambdaEvent<serde_json::Value>) -> Result<Written, String> {
    let written = write(&site, now()).await;
    match &written {
        Ok(written) => tracing::info!(bucket = %written.bucket, lines = written.lines, root = %written.root, "report"),
        Err(why) => tracing::error!(%why, "the report was not written"),
    }
    written
}

async fn write(site: &Site, at: Timestamp) -> Result<Written, String> {
    let Some(bucket) = site.settings().bucket.clone() else { return Err("`TIDEGATE_BUCKET` is not set".into()) };
    let dir = tempfile::tempdir().map_err(|error| format!("no room for the report: {error}"))?;
    let (lines, root) = pack(site, dir.path()).await?;
    let day = at.to_zoned(TimeZone::UTC).strftime("%Y/%m/%d").to_string();
    let s3 = site.hub().await.s3();
    let mut keys = Vec::new();
    for (name, content_type) in FILES {
        let key = format!("reports/{day}/{name}");
        let body = ByteStream::from_path(dir.path().join(name)).await.map_err(|error| format!("`{name}` can't be read: {error}"))?;
        let put = s3.put_object().bucket(&bucket).key(&key).content_type(content_type).body(body);
        put.send().await.map_err(|error| format!("s3:PutObject of `{key}`: {}", DisplayErrorContext(&error)))?;
        keys.push(key);
    }
    Ok(Written { schema: "tidegate.report/1", bucket, keys, lines, root })
}

/// Streams the journal into a pack folder and derives the report from it.
async fn pack(site: &Site, dir: &Path) -> Result<(u64, String), String> {
    let store = site.shell().await.engine().store();
    let mut pack = PackWriter::create(dir).map_err(|error| words(&error))?;
    let mut ledger = Ledger::default();
    let mut after = 0;
    loop {
        let page = store.journal(after, PAGE).await.map_err(|error| words(&error))?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, bytes) in &page {
            pack.add_line(bytes).map_err(|error| words(&error))?;
            let line: Line = serde_json::from_slice(bytes).map_err(|error| format!("the journal is damaged: {error}"))?;
            ledger.apply(&line);
        }
    }
    let (lines, root) = (pack.lines(), pack.root());
    let meta = Meta { title: "Patch compliance report".into(), generated_for: String::new(), root };
    let page = html::page(&ledger, &meta);
    pack.finish(&[("report.html", page.as_bytes())]).map_err(|error| words(&error))?;
    Ok((lines, root.to_string()))
}

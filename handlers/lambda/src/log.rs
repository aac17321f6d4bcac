//! Logs as JSON lines with ids as fields, and metrics in the CloudWatch Embedded Metric Format: a line of the log that
//! CloudWatch reads as metrics, so that no call is made for them.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Tidegate";

/// Sets up logging: JSON on stdout, which Lambda hands to CloudWatch Logs. `TIDEGATE_LOG` filters, as `RUST_LOG` does.
pub fn start() {
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // Lambda stamps every line with its own time.
    let started = tracing_subscriber::fmt().json().flatten_event(true).without_time().with_env_filter(filter).with_writer(std::io::stdout).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logging was set up already");
    }
}

/// Counts of one invocation.
#[derive(Debug, Default)]
pub struct Metrics {
    counts: BTreeMap<String, u64>,
}

impl Metrics {
    /// Counts one.
    pub fn count(&mut self, name: &str) {
        self.add(name, 1);
    }

    /// Counts several.
    pub fn add(&mut self, name: &str, times: u64) {
        *self.counts.entry(name.to_owned()).or_default() += times;
    }

    /// Takes in what was counted elsewhere.
    pub fn merge(&mut self, other: Self) {
        for (name, times) in other.counts {
            self.add(&name, times);
        }
    }

    /// The line of the log that CloudWatch reads, or `None` where nothing was counted. At most 100 metrics fit one line.
    pub fn to_json(&self, function: &str, at: Timestamp) -> Option<Value> {
        if self.counts.is_empty() {
            return None;
        }
        let counts: Vec<(&String, &u64)> = self.counts.iter().take(100).collect();
        let metrics: Vec<Value> = counts.iter().map(|(name, _)| json!({"Name": name, "Unit": "Count"})).collect();
        let mut line = json!({
            "_aws": {
                "Timestamp": at.as_millisecond(),
                "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": metrics}],
            },
            "Function": function,
        });
        if let Some(line) = line.as_object_mut() {
            line.extend(counts.into_iter().map(|(name, count)| (name.clone(), Value::from(*count))));
        }
        Some(line)
    }

    /// Writes the line.
    pub fn write(&self, function: &str, at: Timestamp) {
        if let Some(line) = self.to_json(function, at) {
            // Where stdout is gone, so is everybody who could read why.
            let _gone = writeln!(std::io::stdout(), "{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_that_is_named_has_its_value_in_the_line() {
        let mut metrics = Metrics::default();
        metrics.count("EventsAccepted");
        metrics.add("EventsRefused", 3);
        let line = metrics.to_json("enqueue", Timestamp::from_millisecond(1_790_000_000_123).unwrap()).unwrap();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 1_790_000_000_123_i64);
        assert_eq!(directive["Dimensions"], json!([["Function"]]));
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_u64(), "{line}");
        }
        assert_eq!((line["Function"].as_str(), line["EventsRefused"].as_u64()), (Some("enqueue"), Some(3)));
    }

    #[test]
    fn nothing_counted_is_nothing_written() {
        assert_eq!(Metrics::default().to_json("gate", Timestamp::UNIX_EPOCH), None);
    }
}

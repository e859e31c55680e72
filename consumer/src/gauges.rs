//! Values that are read when /metrics is scraped.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::journal::Journal;
use crate::status::Status;

/// The named states, so that each is shown at zero too.
const STATES: [&str; 7] = ["claiming", "opening", "reading", "proving", "paused", "quarantined", "settling"];

/// Registers the gauges. Their callbacks read memory only.
pub fn observe(meter: &Meter, status: &Arc<Status>, journal: &Journal) {
    let shown = Arc::clone(status);
    meter
        .u64_observable_gauge("assigned.partitions")
        .with_description("Assigned partitions by named state.")
        .with_callback(move |gauge| {
            let partitions = shown.snapshot().partitions;
            for state in STATES {
                let count = partitions.iter().filter(|partition| partition.state == state).count();
                gauge.observe(count as u64, &[KeyValue::new("state", state)]);
            }
        })
        .build();
    let shown = Arc::clone(status);
    meter
        .i64_observable_gauge("lag.records")
        .with_description("Log end minus stored offset.")
        .with_callback(move |gauge| {
            for partition in shown.snapshot().partitions {
                if let (Some(end), Some(stored)) = (partition.log_end, partition.stored) {
                    let label = KeyValue::new("partition", i64::from(partition.partition));
                    gauge.observe((end - stored).max(0), &[label]);
                }
            }
        })
        .build();
    let counted = journal.clone();
    meter
        .i64_observable_gauge("journal.waiting")
        .with_description("Journal events that are not in the database yet.")
        .with_callback(move |gauge| gauge.observe(counted.counts().waiting.load(Ordering::Relaxed), &[]))
        .build();
    let counted = journal.clone();
    meter
        .u64_observable_counter("journal.dropped")
        .with_description("Journal events that a full spool dropped.")
        .with_callback(move |counter| counter.observe(counted.counts().dropped.load(Ordering::Relaxed), &[]))
        .build();
}

//! The workload of tweets: a record is a row, and an item of each follower's feed. Large audiences are served beside it.
//!
//! ```text
//! batch ─> small audiences, in its transaction
//!      └─> a task ─> audiences: one range a transaction, by whichever worker is free
//!      └─> feeds that may be too long ─> audiences: trimmed
//! ```

use alarms::Observation;
use lifecycle::Tasks;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use schema::Fault;
use std::time::Duration;
use store::Store;
use store::batch::{Done, Part};
use store::copy::Origin;
use store::tweets::BATCH;
use telemetry::seconds;

use crate::audiences;
use crate::member::Workload;
use crate::writer::Watch;

/// What `consumer feed` does.
pub const WORKLOAD: Workload = Workload { encode, target: BATCH, beside: Some(beside) };

/// What has become of items, as `feed_updates_total` has it: items written by batches and tasks; tweets that readers pull,
/// of popular authors and of those that waited too long.
const UPDATES: [&str; 3] = ["delivered", "pulled", "expired"];

fn encode<'p>(
    row: &mut Vec<u8>,
    payload: Option<&'p [u8]>,
    origin: &Origin<'_>,
) -> Result<Option<Observation<'p>>, Fault> {
    (BATCH.encode)(row, payload, origin).map(|()| None)
}

fn beside(id: &str, store: &Store, meter: &Meter, tasks: &mut Tasks) -> Box<dyn Watch> {
    let updates = Updates::new(meter);
    let sizes = meter
        .f64_histogram("feed_size_items")
        .with_description("Items of a feed whenever it is looked at: about once in 512 items that are written to it.")
        .with_boundaries(vec![10.0, 50.0, 100.0, 200.0, 400.0, 600.0, 800.0, 1_000.0, 1_500.0, 2_000.0])
        .build();
    let (ranges, trims) = (store.clone(), store.clone());
    let served = updates.clone();
    tasks.spawn("audiences", |stop| audiences::serve(ranges, served, stop));
    tasks.spawn("trim", |stop| audiences::trim(trims, sizes, stop));
    Box::new(Counters::new(id, meter, updates))
}

/// `feed_updates_total{status}`.
#[derive(Clone)]
pub(crate) struct Updates(Counter<u64>);

impl Updates {
    fn new(meter: &Meter) -> Self {
        let counter = meter.u64_counter("feed.updates").with_description(
            "Feeds that got a tweet (delivered), and tweets that readers pull instead (pulled, expired).",
        );
        let updates = Self(counter.build());
        UPDATES.into_iter().for_each(|status| updates.add(status, 0));
        updates
    }

    /// So many more.
    pub(crate) fn add(&self, status: &str, count: u64) {
        self.0.add(count, &[KeyValue::new("status", status.to_owned())]);
    }
}

/// What is counted of the batches.
struct Counters {
    worker: KeyValue,
    messages: Counter<u64>,
    seconds: Histogram<f64>,
    updates: Updates,
}

impl Counters {
    fn new(id: &str, meter: &Meter, updates: Updates) -> Self {
        let counters = Self {
            worker: KeyValue::new("worker_id", id.to_owned()),
            messages: meter
                .u64_counter("worker.messages.processed")
                .with_description("Records of the topic that are stored, or are dead letters.")
                .build(),
            seconds: meter
                .f64_histogram("worker.processing.time")
                .with_unit("s")
                .with_description("Duration of one storing transaction, with the fan-out of its tweets.")
                .with_boundaries(seconds())
                .build(),
            updates,
        };
        ["stored", "dead_letter"].into_iter().for_each(|status| counters.messages(status, 0));
        counters
    }

    fn messages(&self, status: &'static str, count: u64) {
        self.messages.add(count, &[self.worker.clone(), KeyValue::new("status", status)]);
    }
}

impl Watch for Counters {
    fn stored(&self, parts: &[Part], done: &Done, took: Duration) {
        self.messages("stored", parts.iter().map(|part| part.row_count).sum());
        self.messages("dead_letter", parts.iter().map(|part| part.letters.len() as u64).sum());
        self.seconds.record(took.as_secs_f64(), &[]);
        for (status, count) in done {
            self.updates.add(status, *count);
        }
    }
}

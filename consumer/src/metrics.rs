//! The consumer's instruments. Names get their Prometheus suffixes from the exporter.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use schema::ReasonCode;
use store::batch::Part;
use telemetry::{seconds, zeroed};

/// Every instrument. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// Rows committed to the target.
    pub rows: Counter<u64>,
    /// Dead letters committed, by `reason`.
    pub letters: Counter<u64>,
    /// Offsets that the log did not have.
    pub gaps: Counter<u64>,
    /// Parts of batches that the fence refused.
    pub refusals: Counter<u64>,
    /// Claims taken.
    pub claims: Counter<u64>,
    /// Tries of a claim that failed.
    pub claims_failed: Counter<u64>,
    /// Partitions put into quarantine.
    pub quarantines: Counter<u64>,
    /// Batches that the database could not take and that were tried again.
    pub faults: Counter<u64>,
    /// Sessions whose outcome was unknown.
    pub sessions_lost: Counter<u64>,
    /// Records that were read and discarded because their incarnation had ended.
    pub discarded: Counter<u64>,
    /// Changes of alarms that were committed.
    pub alarm_changes: Counter<u64>,
    /// Readings of more sensors than a partition may have states of.
    pub unwatched: Counter<u64>,
    /// Panics of the decoder.
    pub decoder_panics: Counter<u64>,
    /// Duration of one storing transaction.
    pub batch_seconds: Histogram<f64>,
}

impl Metrics {
    /// The instruments, each at zero.
    pub fn new(meter: &Meter) -> Self {
        let counter =
            |name: &'static str, text: &'static str| zeroed(meter.u64_counter(name).with_description(text).build());
        let letters = meter.u64_counter("dead.letters").with_description("Dead letters committed.").build();
        for code in ReasonCode::ALL {
            letters.add(0, &[KeyValue::new("reason", code.as_str())]);
        }
        Self {
            rows: counter("rows.stored", "Rows committed to the target."),
            letters,
            gaps: counter("log.gaps", "Offsets that the log did not have."),
            refusals: counter("fence.refusals", "Parts of batches that the fence refused."),
            claims: counter("claims", "Claims taken."),
            claims_failed: counter("claims.failed", "Tries of a claim that failed."),
            quarantines: counter("quarantines", "Partitions put into quarantine."),
            faults: counter("batch.faults", "Batches that the database could not take and that were tried again."),
            sessions_lost: counter("sessions.lost", "Database sessions that ended with a batch's outcome unknown."),
            discarded: counter("records.discarded", "Records read and discarded with their incarnation."),
            alarm_changes: counter("alarm.changes", "Changes of sensors' alarms that were committed."),
            unwatched: counter("alarms.unwatched", "Readings whose sensors are too many for alarms to be raised."),
            decoder_panics: counter("decoder.panics", "Panics of the decoder."),
            batch_seconds: meter
                .f64_histogram("batch.duration")
                .with_unit("s")
                .with_description("Duration of one storing transaction.")
                .with_boundaries(seconds())
                .build(),
        }
    }

    /// Counts what a batch stored.
    pub fn stored(&self, part: &Part) {
        self.rows.add(part.row_count, &[]);
        for letter in &part.letters {
            self.letters.add(1, &[KeyValue::new("reason", letter.fault.code.as_str())]);
        }
        self.alarm_changes.add(part.transitions.len() as u64, &[]);
        let gaps: i64 = part.gaps.iter().map(|(from, to)| to - from).sum();
        self.gaps.add(u64::try_from(gaps).unwrap_or(0), &[]);
    }
}

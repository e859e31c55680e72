//! `/api/real-time-metrics`.

use jiff::Timestamp;
use serde::Serialize;
use store::throughput::Sums;
use utoipa::ToSchema;

use super::partitions::Partition;
use super::workloads::Workload;
use super::{per_second, tenths};
use crate::facts::{Facts, LagSample, RATE_SECONDS};

/// Answer of `GET /api/real-time-metrics`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RealTimeMetrics {
    /// When the database was asked.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Now, over everything.
    pub current: Metrics,
    /// Each workload that is in use.
    pub workloads: Vec<Workload>,
    /// How it went.
    pub series: Series,
}

/// Rates over the last ten whole seconds, and lag now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Metrics {
    /// Rows stored per second.
    pub stored_rows_per_second: f64,
    /// Dead letters stored per second.
    pub dead_letters_per_second: f64,
    /// Transactions per second, counted per partition.
    pub batches_per_second: f64,
    /// Milliseconds from Kafka's append to just before COMMIT, mean over the records; `null` when none was stored.
    pub latency_mean_ms: Option<f64>,
    /// The longest of them: that of some batch's first record.
    pub latency_max_ms: Option<f64>,
    /// Records between the stored offsets and the ends of the log; `null` while one of them is not known.
    pub lag_records: Option<u64>,
}

/// A chart's points, oldest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Series {
    /// Seconds that it reaches back.
    pub window_seconds: u32,
    /// Seconds between two points.
    pub step_seconds: u32,
    /// A point for each step in which something was stored or lag is known.
    pub points: Vec<Point>,
}

/// One step of a chart.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Point {
    /// Its start.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Rows stored in it.
    pub stored_rows: u64,
    /// Dead letters stored in it.
    pub dead_letters: u64,
    /// As in `current`.
    pub latency_mean_ms: Option<f64>,
    /// As in `current`.
    pub latency_max_ms: Option<f64>,
    /// The most records that waited in it; `null` where nobody looked (this monitor had not started).
    pub lag_records: Option<u64>,
}

/// Now, of these seconds' sums and of these partitions.
pub fn metrics<'a>(facts: &Facts, seconds: &[Sums], partitions: impl IntoIterator<Item = &'a Partition>) -> Metrics {
    // The second that is not over yet would make every rate too small.
    let now = facts.database.asked_at().map_or(0, Timestamp::as_second);
    let whole = |sums: &&Sums| (now - i64::from(RATE_SECONDS)..now).contains(&sums.at.as_second());
    let count = |of: fn(&Sums) -> u64| seconds.iter().filter(whole).map(of).sum::<u64>();
    let (rows, letters) = (count(|sums| sums.stored_rows), count(|sums| sums.dead_letters));
    let waited: f64 = seconds
        .iter()
        .filter(whole)
        .filter_map(|s| Some(s.latency_mean_s? * (s.stored_rows + s.dead_letters) as f64))
        .sum();
    Metrics {
        stored_rows_per_second: per_second(rows),
        dead_letters_per_second: per_second(letters),
        batches_per_second: per_second(count(|sums| sums.batches)),
        latency_mean_ms: (rows + letters > 0).then(|| tenths(waited / (rows + letters) as f64 * 1e3)),
        latency_max_ms: seconds.iter().filter(whole).filter_map(|s| s.latency_max_s).max_by(f64::total_cmp).map(ms),
        lag_records: partitions.into_iter().map(|p| p.lag_records).reduce(|sum, lag| Some(sum? + lag?)).flatten(),
    }
}

/// The seconds of the charts that may have changed since they were last told.
pub fn recent(facts: &Facts) -> Vec<Point> {
    const SECONDS: i64 = 8;
    let since = facts.database.asked_at().map_or(0, Timestamp::as_second) - SECONDS;
    let seconds = &facts.tables().seconds;
    let new = seconds.iter().filter(|sums| sums.at.as_second() >= since).cloned().collect();
    points(new, facts.lag.iter().rev().take_while(|sample| sample.at.as_second() >= since).copied(), 1)
}

/// Sums and lag samples as points of `step` seconds.
pub fn points(sums: Vec<Sums>, lag: impl Iterator<Item = LagSample>, step: u32) -> Vec<Point> {
    let mut points: std::collections::BTreeMap<i64, Point> = sums
        .into_iter()
        .map(|sums| {
            let point = Point {
                at: sums.at,
                stored_rows: sums.stored_rows,
                dead_letters: sums.dead_letters,
                latency_mean_ms: sums.latency_mean_s.map(ms),
                latency_max_ms: sums.latency_max_s.map(ms),
                lag_records: None,
            };
            (sums.at.as_second(), point)
        })
        .collect();
    for sample in lag {
        let start = sample.at.as_second().div_euclid(step.into()) * i64::from(step);
        let Ok(at) = Timestamp::from_second(start) else { continue };
        let point = points.entry(start).or_insert(Point {
            at,
            stored_rows: 0,
            dead_letters: 0,
            latency_mean_ms: None,
            latency_max_ms: None,
            lag_records: None,
        });
        point.lag_records = point.lag_records.max(Some(sample.records));
    }
    points.into_values().collect()
}

fn ms(seconds: f64) -> f64 {
    tenths(seconds * 1e3)
}

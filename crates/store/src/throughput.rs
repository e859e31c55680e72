//! `throughput`: what was stored per second and per minute, summed up in the transaction of each batch
//! (the statement is the ledger's, in `batch/transaction.rs`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::connect::Store;
use crate::count::unsigned;
use crate::error::Result;

/// Width of the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Kept for two hours.
    Second,
    /// Kept for 31 days.
    Minute,
}

impl Resolution {
    /// In seconds.
    pub fn seconds(self) -> i16 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
        }
    }
}

/// Sums of one bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// Start of the bucket.
    pub at: Timestamp,
    /// Rows in the target.
    pub stored_rows: u64,
    /// Records that became dead letters.
    pub dead_letters: u64,
    /// Transactions, counted once per partition that they stored.
    pub batches: u64,
    /// Mean seconds from Kafka's append to just before COMMIT; `None` without a record.
    pub latency_mean_s: Option<f64>,
    /// The longest of them.
    pub latency_max_s: Option<f64>,
}

/// Sums of one partition by one consumer over a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Consumer that stored.
    pub consumer_id: String,
    /// The table that they are rows of.
    pub target: String,
    /// Log that was read.
    pub log_id: i32,
    /// Kafka partition.
    pub partition: i32,
    /// Rows in the target.
    pub stored_rows: u64,
    /// Records that became dead letters.
    pub dead_letters: u64,
}

const SUMS: &str = "sum(stored_rows)::bigint, sum(dead_letters)::bigint, sum(batches)::bigint, \
    sum(latency_sum_s) / nullif(sum(timed_records), 0), max(latency_max_s)";

/// The buckets of the last `seconds` seconds up to now, oldest first, summed over everything and joined to
/// steps of `step` seconds (a multiple of the resolution's). Buckets in which nothing was stored are absent.
///
/// # Errors
/// Transient ones.
pub async fn series(store: &Store, resolution: Resolution, seconds: u32, step: u32) -> Result<Vec<Sums>> {
    let statement = format!(
        "SELECT date_bin(make_interval(secs => $3), bucket, 'epoch') AS at, {SUMS} FROM throughput \
          WHERE resolution_s = $1 AND bucket > now() - make_interval(secs => $2) GROUP BY 1 ORDER BY 1"
    );
    let values: [&(dyn ToSql + Sync); 3] = [&resolution.seconds(), &f64::from(seconds), &f64::from(step)];
    Ok(store.query("reading the throughput", &statement, &values).await?.iter().map(sums).collect())
}

/// Seconds of one span, oldest first. Those in which nothing was stored are absent.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Summed over everything.
    pub all: Vec<Sums>,
    /// By target.
    pub by_target: BTreeMap<String, Vec<Sums>>,
}

/// The last `seconds` seconds up to now.
///
/// # Errors
/// Transient ones.
pub async fn recent(store: &Store, seconds: u32) -> Result<Recent> {
    let statement = format!(
        "SELECT bucket, {SUMS}, target FROM throughput WHERE resolution_s = 1 AND bucket > now() - make_interval(secs => $1) \
          GROUP BY GROUPING SETS ((bucket), (target, bucket)) ORDER BY bucket"
    );
    let mut recent = Recent::default();
    for row in store.query("reading the latest throughput", &statement, &[&f64::from(seconds)]).await? {
        let of = match row.get::<_, Option<String>>(6) {
            Some(target) => recent.by_target.entry(target).or_default(),
            None => &mut recent.all,
        };
        of.push(sums(&row));
    }
    Ok(recent)
}

/// What each consumer stored of each partition in the last `seconds` whole seconds, by partition.
///
/// # Errors
/// Transient ones.
pub async fn shares(store: &Store, seconds: u32) -> Result<Vec<Share>> {
    const DOING: &str = "reading the throughput by partition";
    let statement = "SELECT consumer_id, target, log_id, partition_number, sum(stored_rows)::bigint, sum(dead_letters)::bigint \
               FROM throughput \
              WHERE resolution_s = 1 AND bucket < date_trunc('second', now()) \
                AND bucket >= date_trunc('second', now()) - make_interval(secs => $1) \
              GROUP BY 1, 2, 3, 4 ORDER BY 2, 3, 4, 1";
    let rows = store.query(DOING, statement, &[&f64::from(seconds)]).await?;
    let share = |row: &Row| Share {
        consumer_id: row.get(0),
        target: row.get(1),
        log_id: row.get(2),
        partition: row.get(3),
        stored_rows: unsigned(row.get(4)),
        dead_letters: unsigned(row.get(5)),
    };
    Ok(rows.iter().map(share).collect())
}

fn sums(row: &Row) -> Sums {
    Sums {
        at: row.get(0),
        stored_rows: unsigned(row.get(1)),
        dead_letters: unsigned(row.get(2)),
        batches: unsigned(row.get(3)),
        latency_mean_s: row.get(4),
        latency_max_s: row.get(5),
    }
}

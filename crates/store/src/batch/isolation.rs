//! Which rows of a batch does PostgreSQL refuse? Found by halving, in transactions that are
//! rolled back: O(bad · log n) COPYs, bounded in time.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_postgres::error::DbError;

use super::transaction::{join_rows, split_rows};
use super::{BatchWriter, Part};
use crate::error::{Error, Result, session_survived};

/// Rows of a sample.
const SAMPLE: usize = 40;
/// Smaller batches are not sampled: halving them is as quick.
const SAMPLED_FROM: usize = 5 * SAMPLE;

/// A row that PostgreSQL refuses by its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// SQLSTATE.
    pub sql_state: String,
    /// The constraint, where one is named.
    pub constraint: Option<String>,
    /// PostgreSQL's message.
    pub message: String,
}

/// What halving found.
#[derive(Debug)]
pub struct Isolation {
    /// The refused rows, ascending by partition and offset.
    pub bad: Vec<BadRow>,
    /// Rows looked at in all.
    pub rows: usize,
    /// Whether every row was looked at before the time ran out.
    pub complete: bool,
}

/// Whether the error is the row's own fault: SQLSTATE class 22 (data exception), or class 23
/// with a constraint that the target names. A missing partition (23514 without a name), a full
/// disk or an unknown code is the database's.
pub(super) fn is_bad_row(error: &DbError) -> bool {
    let code = error.code().code();
    code.starts_with("22") || (code.starts_with("23") && error.constraint().is_some())
}

impl BatchWriter {
    /// Whether more than a tenth of a sample is refused: then it is the table that is wrong, and
    /// looking for bad rows would only find as many as the time allows. The sample is spread over
    /// the batch, so that a run of bad records is not taken for all of them, and begins elsewhere
    /// each time, so that an unlucky one does not decide for ever. Always false for a small batch.
    ///
    /// # Errors
    /// As [`BatchWriter::isolate`].
    pub async fn is_refused_widely(&self, parts: &[Part]) -> Result<bool> {
        let rows: Vec<_> = parts.iter().flat_map(|p| split_rows(&p.rows)).collect();
        if rows.len() < SAMPLED_FROM {
            return Ok(false);
        }
        let stride = rows.len() / SAMPLE;
        let first = usize::try_from(Timestamp::now().subsec_nanosecond()).unwrap_or(0) / 1_000 % stride;
        let mut refused = 0;
        for row in rows.into_iter().skip(first).step_by(stride) {
            refused += usize::from(self.rehearse(row).await?.is_some());
        }
        Ok(refused > SAMPLE / 10)
    }

    /// Finds the rows of `parts` that PostgreSQL refuses. Stops at `budget`, and as soon as
    /// `enough` were found.
    ///
    /// # Errors
    /// Anything that is not a row's own fault: wait, then try again.
    pub async fn isolate(&self, parts: &[Part], budget: Duration, enough: usize) -> Result<Isolation> {
        let rows: Vec<_> =
            parts.iter().flat_map(|p| split_rows(&p.rows).into_iter().map(move |row| (p.partition, row))).collect();
        let until = Instant::now() + budget;
        let mut isolation = Isolation { bad: Vec::new(), rows: rows.len(), complete: true };
        // The leftmost range on top, so that rows are found in order.
        let mut ranges = Vec::from([(0, rows.len())]);
        while let Some((start, end)) = ranges.pop() {
            if isolation.bad.len() >= enough || Instant::now() > until && !isolation.bad.is_empty() {
                isolation.complete = false;
                break;
            }
            let bytes: Vec<_> = rows[start..end].iter().map(|(_, row)| row.clone()).collect();
            let Some(error) = self.rehearse(join_rows(&bytes)).await? else { continue };
            if end - start > 1 {
                let middle = start + (end - start) / 2;
                ranges.push((middle, end));
                ranges.push((start, middle));
                continue;
            }
            let (partition, row) = &rows[start];
            isolation.bad.push(BadRow {
                partition: *partition,
                offset: offset_of(row),
                sql_state: error.code().code().to_owned(),
                constraint: error.constraint().map(str::to_owned),
                message: error.message().to_owned(),
            });
        }
        Ok(isolation)
    }

    /// COPYs the rows and rolls back; the row's own fault, if there is one.
    async fn rehearse(&self, rows: bytes::Bytes) -> Result<Option<DbError>> {
        const DOING: &str = "isolating a bad row";
        let client = &self.session.client;
        client.batch_execute("BEGIN").await.map_err(Error::doing(DOING))?;
        let answer = self.copy_rows(&[rows]).await;
        if answer.as_ref().err().is_none_or(session_survived) {
            client.batch_execute("ROLLBACK").await.map_err(Error::doing(DOING))?;
        }
        match answer {
            Ok(()) => Ok(None),
            Err(source) => match source.as_db_error() {
                Some(db) if is_bad_row(db) => Ok(Some(db.clone())),
                _ => Err(Error::Statement { doing: DOING, source }),
            },
        }
    }
}

/// The last field of every target's row is its Kafka offset, a `bigint`.
fn offset_of(row: &[u8]) -> i64 {
    let (_, last) = row.split_last_chunk::<8>().expect("a row ends in an eight-byte offset");
    i64::from_be_bytes(*last)
}

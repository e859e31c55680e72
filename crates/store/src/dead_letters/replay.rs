//! A letter's bytes into the target after all, with the original coordinates.
//!
//! Row and letter change in one transaction, and the letter goes from open to replayed by
//! compare-and-swap: two at once, or an answer that was lost, never make two rows.

use schema::{Fault, ReasonCode, SensorReading, sensor_reading};
use tokio_postgres::Transaction;

use crate::connect::Store;
use crate::error::{Error, Result};
use crate::producer_health::signed;
use crate::sensor_readings::TARGET;

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It is a row now.
    Replayed,
    /// It still is no event, and stays open.
    StillBad(Fault),
    /// It was replayed before.
    NotOpen,
}

/// Decodes the letter `id` again and stores it as a row by `by` (`operator:<name>`).
///
/// # Errors
/// [`Error::Refused`] when there is no such letter, or when its target has no decoder here; transient
/// ones, after which it is safe to try again.
pub async fn replay(store: &Store, id: i64, by: &str) -> Result<Replay> {
    let mut client = store.pooled().await?;
    let transaction = client.transaction().await.map_err(Error::doing("beginning a replay"))?;
    let swapped = transaction
        .query_opt(
            "UPDATE dead_letters SET status = 'replayed', replayed_at = now(), replayed_by = $2 \
             WHERE id = $1 AND status = 'open' \
             RETURNING target, log_id, partition_number, kafka_offset, payload",
            &[&id, &by],
        )
        .await
        .map_err(Error::doing("marking a letter as replayed"))?;
    let Some(row) = swapped else {
        let known = transaction.query_opt("SELECT FROM dead_letters WHERE id = $1", &[&id]).await;
        return match known.map_err(Error::doing("looking for a dead letter"))? {
            Some(_) => Ok(Replay::NotOpen),
            None => Err(Error::Refused(format!("there is no dead letter {id}"))),
        };
    };
    let target: &str = row.get(0);
    if target != TARGET {
        return Err(Error::Refused(format!(
            "dead letter {id} was meant for {target}, which this command cannot replay"
        )));
    }
    // What follows an early return is a rollback: the letter stays open.
    let reading = match decode(row.get(4)) {
        Ok(reading) => reading,
        Err(fault) => return Ok(Replay::StillBad(fault)),
    };
    match insert(&transaction, &reading, by, (row.get(1), row.get(2), row.get(3))).await {
        Ok(()) => {}
        Err(error) if error.code().is_some_and(|code| code.code().starts_with("22")) => {
            let text = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
            return Ok(Replay::StillBad(Fault::new(ReasonCode::RefusedByDatabase, None, text)));
        }
        Err(source) => return Err(Error::Statement { doing: "storing a replayed letter", source }),
    }
    transaction.commit().await.map_err(Error::doing("committing a replay"))?;
    Ok(Replay::Replayed)
}

/// The decoder, with a panic of its own being a fault of the record, as in the consumer.
fn decode(payload: Option<&[u8]>) -> std::result::Result<SensorReading<'_>, Fault> {
    std::panic::catch_unwind(|| sensor_reading::decode(payload))
        .unwrap_or_else(|_| Err(Fault::new(ReasonCode::DecoderPanic, None, "the decoder panicked on these bytes")))
}

async fn insert(
    transaction: &Transaction<'_>,
    reading: &SensorReading<'_>,
    by: &str,
    (log_id, partition, offset): (i32, i32, i64),
) -> std::result::Result<(), tokio_postgres::Error> {
    transaction
        .execute(
            "INSERT INTO sensor_readings (sensor_id, sensor_type, unit, value, event_time, producer_id, run_id, \
                 sequence, processed_by_consumer, log_id, kafka_partition, kafka_offset) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            &[
                &reading.sensor_id.as_ref(),
                &reading.sensor_type.as_str(),
                &reading.unit.as_ref(),
                &reading.value,
                &reading.event_time,
                &reading.producer_id.as_ref(),
                &reading.run_id,
                &signed(reading.sequence),
                &by,
                &log_id,
                &partition,
                &offset,
            ],
        )
        .await
        .map(drop)
}

//! A letter's bytes into the target after all, with the original coordinates.
//!
//! Row and letter change in one transaction, and the letter goes from open to replayed by
//! compare-and-swap: two at once, or an answer that was lost, never make two rows.

use bytes::Bytes;
use schema::{Fault, ReasonCode};
use tokio_postgres::Transaction;
use tokio_postgres::types::ToSql;

use crate::batch::{self, Target};
use crate::connect::Store;
use crate::copy::{self, Origin};
use crate::error::{Error, Result};

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
    let target = batch::target(row.get(0))?;
    let at: (i32, i32, i64) = (row.get(1), row.get(2), row.get(3));
    // What follows an early return is a rollback: the letter stays open.
    let encoded =
        match encode(target, row.get(4), &Origin { consumer_id: by, log_id: at.0, partition: at.1, offset: at.2 }) {
            Ok(encoded) => encoded,
            Err(fault) => return Ok(Replay::StillBad(fault)),
        };
    match insert(&transaction, target, encoded, at).await {
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

/// The row, with a panic of the decoder being a fault of the record, as in the consumer.
fn encode(target: &Target, payload: Option<&[u8]>, origin: &Origin<'_>) -> std::result::Result<Bytes, Fault> {
    std::panic::catch_unwind(|| {
        let mut row = Vec::new();
        (target.encode)(&mut row, payload, origin).map(|()| Bytes::from(row))
    })
    .unwrap_or_else(|_| Err(Fault::new(ReasonCode::DecoderPanic, None, "the decoder panicked on these bytes")))
}

/// The row, and what follows from it.
async fn insert(
    transaction: &Transaction<'_>,
    target: &Target,
    row: Bytes,
    (log_id, partition, offset): (i32, i32, i64),
) -> std::result::Result<(), tokio_postgres::Error> {
    let statement = transaction.prepare(target.copy).await?;
    copy::send(transaction.client(), &statement, &[row]).await?;
    for then in target.then {
        let part: [&(dyn ToSql + Sync); 4] = [&vec![log_id], &vec![partition], &vec![offset], &vec![offset + 1]];
        transaction.execute(then.careful, &part).await?;
    }
    Ok(())
}

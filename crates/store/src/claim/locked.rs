//! A stored offset under its lock, and the three ways out.

use super::{Claimant, Predecessor, StoredOffset};
use crate::connect::Backend;
use crate::error::{Error, Result};

/// A stored offset that is locked. Dropping it closes the connection, which rolls back.
pub struct Locked {
    pub(super) client: deadpool_postgres::ClientWrapper,
    pub(super) target: String,
    pub(super) partition: i32,
    pub(super) log_id: i32,
    pub(super) stored: Option<StoredOffset>,
    pub(super) predecessor: Option<Predecessor>,
    pub(super) ended: Vec<Backend>,
}

/// A claim that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Short key of the log, for the rows.
    pub log_id: i32,
    /// Where to read from.
    pub next_offset: i64,
    /// Claims in a row, this one included, that found this same offset with records behind it.
    pub claims_at_offset: i32,
}

impl Locked {
    /// The row, or `None` before the first claim on this log.
    pub fn stored(&self) -> Option<&StoredOffset> {
        self.stored.as_ref()
    }

    /// The log that carried the topic's name before, when this one was never claimed.
    pub fn predecessor(&self) -> Option<&Predecessor> {
        self.predecessor.as_ref()
    }

    /// Backends that were terminated to get the lock.
    pub fn ended(&self) -> &[Backend] {
        &self.ended
    }

    /// What is remembered of the partition's sensors, id and JSON text, under the lock: nobody stores readings
    /// meanwhile.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn sensor_states(&self) -> Result<Vec<(String, String)>> {
        let rows = self
            .client
            .query(
                "SELECT sensor_id, state::text FROM alarm_states JOIN kafka_logs USING (topic) \
                 WHERE target = $1 AND log_id = $2 AND partition_number = $3",
                &[&self.target, &self.log_id, &self.partition],
            )
            .await
            .map_err(Error::doing("reading the states of the sensors"))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Writes the claim and commits. `start_offset` is used when there is no row yet;
    /// `backlog` says whether records wait behind the stored offset.
    ///
    /// # Errors
    /// Transient ones: the claim may or may not be written, so claim again with a new token.
    pub async fn take(self, claimant: &Claimant, start_offset: i64, backlog: bool) -> Result<Taken> {
        let row = match self.stored {
            Some(_) => self.update(claimant, backlog).await?,
            None => self.insert(claimant, start_offset, None).await?,
        };
        self.commit().await?;
        Ok(Taken { log_id: self.log_id, next_offset: row.0, claims_at_offset: row.1 })
    }

    /// Stops the partition with a reason and commits. Without a row yet, `start_offset` is where
    /// it would begin.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn quarantine(self, claimant: &Claimant, start_offset: i64, reason: &str) -> Result<()> {
        match self.stored {
            Some(_) => {
                self.client
                    .execute(
                        "UPDATE stored_offsets SET quarantine_reason = $4, quarantined_at = now(), updated_at = now() \
                         WHERE target = $1 AND log_id = $2 AND partition_number = $3 AND quarantine_reason IS NULL",
                        &[&self.target, &self.log_id, &self.partition, &reason],
                    )
                    .await
                    .map_err(Error::doing("writing a quarantine"))?;
            }
            None => {
                self.insert(claimant, start_offset, Some(reason)).await?;
            }
        }
        self.commit().await
    }

    async fn update(&self, claimant: &Claimant, backlog: bool) -> Result<(i64, i32)> {
        let row = self
            .client
            .query_one(
                "UPDATE stored_offsets SET group_id = $4, owner = $5, boot_id = $6, claim = $7, writer_pid = $8, \
                     writer_started_at = $9, claimed_at = now(), updated_at = now(), claimed_offset = next_offset, \
                     claims_at_offset = CASE WHEN $10 AND claimed_offset = next_offset THEN claims_at_offset + 1 ELSE 1 END \
                 WHERE target = $1 AND log_id = $2 AND partition_number = $3 \
                 RETURNING next_offset, claims_at_offset",
                &[
                    &self.target,
                    &self.log_id,
                    &self.partition,
                    &claimant.group_id,
                    &claimant.consumer_id,
                    &claimant.boot_id,
                    &claimant.claim,
                    &claimant.writer.pid,
                    &claimant.writer.started_at,
                    &backlog,
                ],
            )
            .await
            .map_err(Error::doing("writing a claim"))?;
        Ok((row.get(0), row.get(1)))
    }

    async fn insert(&self, claimant: &Claimant, start_offset: i64, quarantine: Option<&str>) -> Result<(i64, i32)> {
        let row = self
            .client
            .query_opt(
                "INSERT INTO stored_offsets (target, log_id, partition_number, group_id, owner, boot_id, claim, \
                     writer_pid, writer_started_at, claimed_at, start_offset, next_offset, claimed_offset, \
                     quarantine_reason, quarantined_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now(), $10, $10, $10, $11, \
                     CASE WHEN $11::text IS NOT NULL THEN now() END) \
                 ON CONFLICT DO NOTHING RETURNING next_offset, claims_at_offset",
                &[
                    &self.target,
                    &self.log_id,
                    &self.partition,
                    &claimant.group_id,
                    &claimant.consumer_id,
                    &claimant.boot_id,
                    &claimant.claim,
                    &claimant.writer.pid,
                    &claimant.writer.started_at,
                    &start_offset,
                    &quarantine,
                ],
            )
            .await
            .map_err(Error::doing("writing a first claim"))?;
        // Two first claims race on this insert; the loser claims again and finds the row.
        let row = row.ok_or(Error::TimedOut { doing: "racing another first claim", seconds: 0 })?;
        Ok((row.get(0), row.get(1)))
    }

    async fn commit(&self) -> Result<()> {
        self.client.batch_execute("COMMIT").await.map_err(Error::doing("committing a claim"))
    }
}

//! One command's change of stored offsets: all partitions in one transaction, or none.

use tokio_postgres::Transaction;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::connect::{Backend, Store};
use crate::error::{Error, Result};

/// Who changes, and why.
#[derive(Clone, Debug)]
pub struct Operator {
    /// `operator:<name>`, as in `batch_ledger.consumer_id`.
    pub consumer_id: String,
    /// Not empty.
    pub reason: String,
}

/// What is to become of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Ends a quarantine in place.
    Release,
    /// Moves the stored offset.
    Set {
        /// The new stored offset.
        to: i64,
        /// The log is what was stored only up to here (the end of the stored leader epoch, KIP-320):
        /// going back below it would store records again.
        intact_to: i64,
        /// Go back all the same.
        store_again: bool,
    },
    /// Hands the partition to a group.
    Adopt {
        /// That group.
        group_id: String,
        /// Start of the log: one that nothing was stored from yet is read from there. What it lost
        /// since it was first seen shows in the ledger.
        log_start: i64,
    },
}

/// What became of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Kafka partition.
    pub partition: i32,
    /// `batch_ledger.kind` of the entry.
    pub kind: &'static str,
    /// Stored offset before.
    pub from: i64,
    /// Stored offset after.
    pub to: i64,
    /// Group before.
    pub group_before: String,
    /// The quarantine that ended.
    pub quarantine_before: Option<String>,
}

/// Changes partitions of the log `log_id`.
///
/// # Errors
/// [`Error::Refused`] says why; then nothing was changed. Transient ones: look before trying again.
pub async fn change(
    store: &Store,
    target: &str,
    log_id: i32,
    operator: &Operator,
    changes: &[(i32, Change)],
) -> Result<Vec<Changed>> {
    if operator.reason.trim().is_empty() {
        return Err(Error::Refused("a change of stored offsets needs a reason".into()));
    }
    let mut session = store.long_session().await?;
    let backend = session.backend;
    let transaction = session.client.transaction().await.map_err(Error::doing("beginning a change of offsets"))?;
    // In the order in which everybody locks.
    let mut ordered: Vec<&(i32, Change)> = changes.iter().collect();
    ordered.sort_by_key(|(partition, _)| *partition);
    let mut done = Vec::new();
    for (partition, change) in ordered {
        let row = Row { transaction: &transaction, target, log_id, partition: *partition };
        done.push(row.change(operator, backend, change).await?);
    }
    transaction.commit().await.map_err(Error::doing("committing a change of offsets"))?;
    Ok(done)
}

struct Row<'a> {
    transaction: &'a Transaction<'a>,
    target: &'a str,
    log_id: i32,
    partition: i32,
}

/// What the row says, under its lock.
struct Before {
    group_id: String,
    start_offset: i64,
    next_offset: i64,
    leader_epoch: i32,
    quarantine_reason: Option<String>,
}

/// What it shall say.
struct After {
    kind: &'static str,
    group_id: String,
    next_offset: i64,
    leader_epoch: i32,
}

impl Row<'_> {
    async fn change(&self, operator: &Operator, backend: Backend, change: &Change) -> Result<Changed> {
        let before = self.lock().await?;
        let after = decide(&before, change)
            .map_err(|why| Error::Refused(format!("partition {}: {why}; nothing was changed", self.partition)))?;
        if let Change::Set { to, store_again: false, .. } = change
            && *to < before.next_offset
        {
            self.part_with_alarms(*to).await?;
        }
        let (claim, boot_id) = (Uuid::new_v4(), Uuid::new_v4());
        self.transaction
            .execute(
                "UPDATE stored_offsets SET group_id = $4, next_offset = $5, leader_epoch = $6, \
                     claim = $7, owner = $8, boot_id = $9, writer_pid = $10, writer_started_at = $11, \
                     claimed_at = clock_timestamp(), claimed_offset = $5, claims_at_offset = 1, \
                     quarantine_reason = NULL, quarantined_at = NULL, updated_at = clock_timestamp() \
                 WHERE target = $1 AND log_id = $2 AND partition_number = $3",
                &[
                    &self.target,
                    &self.log_id,
                    &self.partition,
                    &after.group_id,
                    &after.next_offset,
                    &after.leader_epoch,
                    &claim,
                    &operator.consumer_id,
                    &boot_id,
                    &backend.pid,
                    &backend.started_at,
                ],
            )
            .await
            .map_err(Error::doing("changing a stored offset"))?;
        // The time is taken under the lock: it is after every batch that came before.
        self.transaction
            .execute(
                "INSERT INTO batch_ledger (stored_at, target, log_id, partition_number, kind, claim, boot_id, \
                     consumer_id, first_offset, next_offset, stored_rows, dead_letters, reason) \
                 VALUES (clock_timestamp(), $1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10)",
                &[
                    &self.target,
                    &self.log_id,
                    &self.partition,
                    &after.kind,
                    &claim,
                    &boot_id,
                    &operator.consumer_id,
                    &before.next_offset,
                    &after.next_offset,
                    &operator.reason.trim(),
                ],
            )
            .await
            .map_err(Error::doing("auditing a change of offsets"))?;
        Ok(Changed {
            partition: self.partition,
            kind: after.kind,
            from: before.next_offset,
            to: after.next_offset,
            group_before: before.group_id,
            quarantine_before: before.quarantine_reason,
        })
    }

    async fn lock(&self) -> Result<Before> {
        let row = self
            .transaction
            .query_opt(
                "SELECT group_id, start_offset, next_offset, leader_epoch, quarantine_reason FROM stored_offsets \
                 WHERE target = $1 AND log_id = $2 AND partition_number = $3 FOR UPDATE",
                &[&self.target, &self.log_id, &self.partition],
            )
            .await
            .map_err(Error::doing("locking a stored offset"))?
            .ok_or_else(|| {
                Error::Refused(format!(
                    "partition {} has no stored offset in this log yet: the first claim of a consumer makes it; \
                     nothing was changed",
                    self.partition
                ))
            })?;
        Ok(Before {
            group_id: row.get(0),
            start_offset: row.get(1),
            next_offset: row.get(2),
            leader_epoch: row.get(3),
            quarantine_reason: row.get(4),
        })
    }
}

impl Row<'_> {
    /// What was told of the records that a truncation took stays on record, and makes room for those that have their
    /// offsets now.
    async fn part_with_alarms(&self, from: i64) -> Result<()> {
        let statement = "UPDATE alarm_events SET log_id = NULL, detail = concat_ws('; ', detail, \
                         format('of offset %s, which was cut from the log', kafka_offset)) \
                         WHERE log_id = $1 AND partition_number = $2 AND kafka_offset >= $3";
        let values: [&(dyn ToSql + Sync); 3] = [&self.log_id, &self.partition, &from];
        self.transaction.execute(statement, &values).await.map_err(Error::doing("parting with alarms of a cut"))?;
        Ok(())
    }
}

/// The rules. A refusal is a clause that follows "partition N:".
fn decide(before: &Before, change: &Change) -> std::result::Result<After, String> {
    let keep = |kind| After {
        kind,
        group_id: before.group_id.clone(),
        next_offset: before.next_offset,
        leader_epoch: before.leader_epoch,
    };
    match change {
        Change::Release if before.quarantine_reason.is_none() => Err("is not quarantined".into()),
        Change::Release => Ok(keep("released")),
        Change::Set { to, intact_to, store_again } => {
            let again_from = before.next_offset.min(*intact_to);
            if *to < again_from && !store_again {
                return Err(format!(
                    "the records from {to} to {} are stored already and still in the log, going back would store \
                     them twice (--store-again does it all the same)",
                    again_from - 1
                ));
            }
            let kind = if *to > before.next_offset { "skipped" } else { "set" };
            // Which epoch the record before the new offset has is not known: the next batch says.
            Ok(After { next_offset: *to, leader_epoch: -1, ..keep(kind) })
        }
        Change::Adopt { group_id, log_start } => {
            if before.quarantine_reason.is_none() && before.group_id == *group_id {
                return Err(format!("belongs to group {group_id} already and is not quarantined"));
            }
            let untouched = before.next_offset == before.start_offset;
            let next_offset = if untouched { before.next_offset.max(*log_start) } else { before.next_offset };
            Ok(After { group_id: group_id.clone(), next_offset, ..keep("adopted") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(next_offset: i64, quarantine: Option<&str>) -> Before {
        Before {
            group_id: "sensor-consumers".into(),
            start_offset: 10,
            next_offset,
            leader_epoch: 4,
            quarantine_reason: quarantine.map(str::to_owned),
        }
    }

    fn set(to: i64, intact_to: i64) -> Change {
        Change::Set { to, intact_to, store_again: false }
    }

    #[test]
    fn only_a_quarantine_can_be_released() {
        assert!(decide(&before(50, None), &Change::Release).is_err());
        let after = decide(&before(50, Some("why")), &Change::Release).expect("it is quarantined");
        assert_eq!((after.kind, after.next_offset, after.leader_epoch), ("released", 50, 4));
    }

    #[test]
    fn forward_skips_and_forgets_the_epoch() {
        let after = decide(&before(50, None), &set(80, 100)).expect("forward is allowed");
        assert_eq!((after.kind, after.next_offset, after.leader_epoch), ("skipped", 80, -1));
    }

    #[test]
    fn back_only_to_where_the_log_was_truncated() {
        assert!(decide(&before(50, None), &set(40, 100)).is_err(), "an intact log");
        assert!(decide(&before(50, Some("truncated")), &set(29, 30)).is_err(), "below the cut");
        let after = decide(&before(50, Some("truncated")), &set(30, 30)).expect("at the cut");
        assert_eq!((after.kind, after.next_offset), ("set", 30));
        let again = Change::Set { to: 29, intact_to: 30, store_again: true };
        assert!(decide(&before(50, None), &again).is_ok(), "when it is asked for");
    }

    #[test]
    fn adopting_keeps_the_offset_of_a_log_that_was_read() {
        let adopt = Change::Adopt { group_id: "new".into(), log_start: 45 };
        let after = decide(&before(50, None), &adopt).expect("another group");
        assert_eq!((after.group_id.as_str(), after.next_offset, after.leader_epoch), ("new", 50, 4));
    }

    #[test]
    fn adopting_a_log_that_was_never_read_begins_at_its_start() {
        let adopt = Change::Adopt { group_id: "sensor-consumers".into(), log_start: 45 };
        assert!(decide(&before(10, None), &adopt).is_err(), "nothing to adopt");
        let after = decide(&before(10, Some("another topic id")), &adopt).expect("a new log");
        assert_eq!(after.next_offset, 45);
    }
}

//! Barriers: the database holds a consumer at a named phase, so that a fault hits exactly there.

use std::time::Duration;

use anyhow::Result;
use testkit::wait_until;
use tokio_postgres::Client;

use crate::plant::Plant;

/// Where a consumer is when it is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Rows are buffered, the fence waits for the row lock that the test holds.
    RowsBuffered,
    /// The fence has passed, COPY waits for a table lock that the test holds.
    InsideCopy,
    /// COMMIT was sent; the server holds it back (`commit_delay`).
    CommitSent,
}

/// The phases of a batch.
pub const BATCH_PHASES: [Phase; 3] = [Phase::RowsBuffered, Phase::InsideCopy, Phase::CommitSent];

/// A barrier that is up. Dropping it lets everybody through.
pub struct Barrier {
    client: Client,
    /// Looks at `pg_stat_activity`: inside the barrier's own transaction that view stands still.
    watcher: Client,
    phase: Phase,
}

impl Phase {
    /// The phase's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::RowsBuffered => "rows buffered",
            Self::InsideCopy => "inside COPY",
            Self::CommitSent => "COMMIT sent",
        }
    }

    /// What `pg_stat_activity` shows of a consumer in this phase.
    fn seen(self) -> &'static str {
        match self {
            Self::RowsBuffered => "query LIKE 'SELECT advance_stored_offsets%' AND wait_event_type = 'Lock'",
            Self::InsideCopy => "query LIKE 'COPY sensor_readings%' AND wait_event_type = 'Lock'",
            Self::CommitSent => "query = 'COMMIT' AND state = 'active'",
        }
    }
}

impl Barrier {
    /// Puts the barrier up.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn up(plant: &Plant, phase: Phase) -> Result<Self> {
        let (client, watcher) = (plant.connect().await?, plant.connect().await?);
        match phase {
            Phase::RowsBuffered => {
                client.batch_execute("BEGIN; SELECT 1 FROM stored_offsets FOR UPDATE").await?;
            }
            Phase::InsideCopy => {
                client.batch_execute("BEGIN; LOCK TABLE sensor_readings IN EXCLUSIVE MODE").await?;
            }
            Phase::CommitSent => {
                // ALTER SYSTEM cannot stand beside other statements in one message.
                client.batch_execute("ALTER SYSTEM SET commit_delay = 100000").await?;
                client.batch_execute("ALTER SYSTEM SET commit_siblings = 0").await?;
                client.batch_execute("SELECT pg_reload_conf()").await?;
            }
        }
        Ok(Self { client, watcher, phase })
    }

    /// Waits until a batch of consumer `id` stands at the barrier.
    pub async fn reached(&self, id: &str) {
        let query = format!(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database() AND {}",
            self.phase.seen()
        );
        wait_until(Duration::from_secs(60), "a batch stands at the barrier", async || {
            self.watcher.query_opt(&query, &[&id]).await.is_ok_and(|row| row.is_some())
        })
        .await;
    }

    /// Takes the barrier down.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn down(self) -> Result<()> {
        match self.phase {
            Phase::RowsBuffered | Phase::InsideCopy => self.client.batch_execute("ROLLBACK").await?,
            Phase::CommitSent => {
                self.client.batch_execute("ALTER SYSTEM RESET commit_delay").await?;
                self.client.batch_execute("ALTER SYSTEM RESET commit_siblings").await?;
                self.client.batch_execute("SELECT pg_reload_conf()").await?;
            }
        }
        Ok(())
    }
}

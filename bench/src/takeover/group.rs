//! Three consumers as processes, and what each of them owns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::plant::Site;
use testkit::Process;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{CONSUMERS, Case, DEADLINE, End, Options};
use crate::pipeline::Pipeline;

/// Boot id and partitions of each consumer.
pub type Duties = BTreeMap<String, (Uuid, Vec<i32>)>;

/// How long nothing may have moved before a group counts as settled: several heartbeats.
const CALM: Duration = Duration::from_secs(3);

/// See the module.
pub struct Group {
    /// Its database.
    pub pipeline: Pipeline,
    arguments: Vec<String>,
    members: BTreeMap<&'static str, Process>,
}

impl Group {
    /// Starts all members.
    ///
    /// # Errors
    /// When the database cannot be made or a process not be started.
    pub async fn start(site: &Arc<Site>, topic: &str, case: &Case, options: &Options) -> Result<Self> {
        let pipeline = Pipeline::new(site, topic, options.session_ms).await?;
        let arguments = vec![
            format!("--protocol={}", case.protocol),
            format!("--assignor={}", case.assignor),
            format!("--static-membership={}", case.end == End::Restarted),
            format!("--session-timeout-ms={}", options.session_ms),
        ];
        let mut group = Self { pipeline, arguments, members: BTreeMap::new() };
        for id in CONSUMERS {
            group.start_again(id)?;
        }
        Ok(group)
    }

    /// Starts a member that is dead.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start_again(&mut self, id: &'static str) -> Result<()> {
        let process = self.pipeline.consumer(id, &self.arguments)?;
        self.members.insert(id, process);
        Ok(())
    }

    /// SIGTERM. The process is let go when another takes its place.
    ///
    /// # Errors
    /// When it has exited already.
    pub fn term(&self, id: &str) -> Result<()> {
        self.members.get(id).map_or(Ok(()), Process::term)
    }

    /// SIGKILL.
    pub fn kill(&mut self, id: &str) {
        // Dropping a process is SIGKILL.
        self.members.remove(id);
    }

    /// Waits until every member owns its share, stores all of it, and nothing has moved for a while.
    ///
    /// # Errors
    /// When that is not so within two minutes.
    pub async fn settled(&self, client: &Client) -> Result<Duties> {
        let began = Instant::now();
        let mut calm: Option<(Instant, Duties)> = None;
        loop {
            let duties = duties(client).await?;
            let whole = duties.len() == CONSUMERS.len()
                && duties
                    .values()
                    .all(|(_, partitions)| partitions.len() == super::PARTITIONS as usize / CONSUMERS.len());
            match &calm {
                Some((since, before)) if whole && *before == duties => {
                    if since.elapsed() >= CALM {
                        return Ok(duties);
                    }
                }
                _ => calm = whole.then(|| (Instant::now(), duties)),
            }
            for (id, process) in &self.members {
                ensure!(process.exited().is_none(), "{id} ended:\n{}", process.last_output());
            }
            ensure!(began.elapsed() < DEADLINE, "the group did not settle: {calm:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What each consumer owns and has stored within the last second.
async fn duties(client: &Client) -> Result<Duties> {
    let rows = client
        .query(
            "SELECT owner, boot_id, array_agg(partition_number ORDER BY partition_number) FROM stored_offsets \
              WHERE updated_at > clock_timestamp() - interval '1 s' GROUP BY owner, boot_id",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
}

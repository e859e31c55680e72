//! A database with a state that was made as the consumer makes it: by claims and batches.

use anyhow::{Context as _, Result, bail};
use millrace_store::batch::{Author, BatchWriter, Letter, Outcome, Part};
use millrace_store::claim::{Claimant, LogPartition};
use millrace_store::copy::Origin;
use millrace_store::sensor_readings::{BATCH, TARGET, encode_row};
use millrace_store::verify::{Kind, Report};
use millrace_store::{Store, verify};
use schema::{Fault, ReasonCode, SensorReading, SensorType};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

pub const TOPIC: &str = "sensor-readings";

/// A migrated database of its own, and one topic.
pub struct World {
    pub store: Store,
    /// For what no program does.
    pub sql: Client,
    pub topic_id: Uuid,
    author: Author,
    run_id: Uuid,
}

/// A partition that was claimed, with the writer of its batches.
pub struct Owned {
    pub log_id: i32,
    pub partition: i32,
    pub next: i64,
    claim: Uuid,
    writer: BatchWriter,
}

impl World {
    pub async fn new() -> Result<Self> {
        let url = testkit::shared().await.database_url;
        let (sql, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        let options = millrace_store::Options { database_url: url, database_pool_size: 4 };
        let store = Store::new(&options, "verify-test")?;
        millrace_store::migrate::run(&store).await?;
        let author = Author { consumer_id: "sensor-consumer-1".into(), boot_id: Uuid::new_v4() };
        Ok(Self { store, sql, topic_id: Uuid::new_v4(), author, run_id: Uuid::new_v4() })
    }

    /// Two partitions with four batches each; partition 1 has dead letters at 7 and 60 and a gap at 120-122.
    pub async fn filled() -> Result<Self> {
        let world = Self::new().await?;
        for partition in 0..2 {
            let mut owned = world.claim(partition).await?;
            let odd = partition == 1;
            world.batch(&mut owned, 50, &if odd { vec![7] } else { vec![] }, &[]).await?;
            world.batch(&mut owned, 50, &if odd { vec![60] } else { vec![] }, &[]).await?;
            world.batch(&mut owned, 50, &[], &if odd { vec![(120, 123)] } else { vec![] }).await?;
            world.batch(&mut owned, 50, &[], &[]).await?;
        }
        Ok(world)
    }

    pub fn log(&self, partition: i32) -> LogPartition {
        LogPartition { cluster_id: "cluster".into(), topic_id: self.topic_id, topic: TOPIC.into(), partition }
    }

    pub async fn claim(&self, partition: i32) -> Result<Owned> {
        let writer = BatchWriter::connect(&self.store, &BATCH).await?;
        let claimant = Claimant {
            group_id: "sensor-consumers".into(),
            consumer_id: self.author.consumer_id.clone(),
            boot_id: self.author.boot_id,
            claim: Uuid::new_v4(),
            writer: writer.backend(),
        };
        let locked = millrace_store::claim::lock(&self.store, TARGET, &self.log(partition), writer.backend()).await?;
        let taken = locked.take(&claimant, 0, false).await?;
        let (log_id, next) = (taken.log_id, taken.next_offset);
        Ok(Owned { log_id, partition, next, claim: claimant.claim, writer })
    }

    /// Stores `count` offsets in one transaction.
    pub async fn batch(&self, owned: &mut Owned, count: i64, bad: &[i64], gaps: &[(i64, i64)]) -> Result<()> {
        match self.outcome(owned, count, bad, gaps).await {
            Outcome::Stored(_) => Ok(()),
            other => bail!("the batch was not stored: {other:?}"),
        }
    }

    pub async fn outcome(&self, owned: &mut Owned, count: i64, bad: &[i64], gaps: &[(i64, i64)]) -> Outcome<()> {
        let (mut rows, mut row_count, mut letters) = (Vec::new(), 0, Vec::new());
        for offset in owned.next..owned.next + count {
            let origin =
                Origin { consumer_id: "sensor-consumer-1", log_id: owned.log_id, partition: owned.partition, offset };
            if bad.contains(&offset) {
                letters.push(self.letter(&origin));
            } else if !gaps.iter().any(|(from, to)| (*from..*to).contains(&offset)) {
                encode_row(&mut rows, &self.reading(&origin), &origin);
                row_count += 1;
            }
        }
        let part = Part {
            log_id: owned.log_id,
            partition: owned.partition,
            claim: owned.claim,
            expected: owned.next,
            next: owned.next + count,
            leader_epoch: 0,
            rows: vec![rows.into()],
            row_count,
            letters,
            gaps: gaps.to_vec(),
            first_append_at: None,
            last_append_at: None,
            sensors: Vec::new(),
            transitions: Vec::new(),
        };
        let outcome = owned.writer.store(&self.author, &[part], std::future::ready(None::<()>)).await;
        if matches!(outcome, Outcome::Stored(_)) {
            owned.next += count;
        }
        outcome
    }

    fn reading(&self, origin: &Origin<'_>) -> SensorReading<'static> {
        SensorReading {
            version: 1,
            sensor_id: format!("sensor-{}-{}", origin.partition, origin.offset % 3).into(),
            sensor_type: SensorType::Temperature,
            unit: "Cel".into(),
            value: 20.5,
            event_time: jiff::Timestamp::UNIX_EPOCH,
            producer_id: "temperature-sensor".into(),
            run_id: self.run_id,
            sequence: u64::try_from(origin.offset * 10 + i64::from(origin.partition)).expect("offsets from 0"),
        }
    }

    /// A letter whose bytes decode all the same: as after a fix of the decoder.
    fn letter(&self, origin: &Origin<'_>) -> Letter {
        Letter {
            offset: origin.offset,
            fault: Fault::new(ReasonCode::UnknownVersion, Some("version"), "version 2 is not known"),
            key: None,
            payload: Some(self.reading(origin).encode()),
            appended_at: None,
        }
    }

    pub async fn verify(&self) -> Result<Report> {
        Ok(verify::run(&self.store, TARGET).await?)
    }

    /// Damages the state by hand; exactly one row must be hit.
    pub async fn damage(&self, statement: &str) -> Result<()> {
        let hit = self.sql.execute(statement, &[]).await.with_context(|| statement.to_owned())?;
        anyhow::ensure!(hit == 1, "{statement} hit {hit} rows");
        Ok(())
    }
}

/// The first offset that a class of finding names in a partition.
pub fn named(report: &Report, kind: Kind, partition: i32) -> Option<(i64, i64)> {
    let mut findings = report.findings.iter();
    let finding = findings.find(|f| f.kind == kind && f.partition == partition && f.topic == TOPIC)?;
    finding.places.ranges.first().copied()
}

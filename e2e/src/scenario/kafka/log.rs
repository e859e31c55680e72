//! The log loses records: at its end, at its start. Every time the partition is quarantined, and a
//! command gets out.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use testkit::{Broker, wait_until};

use super::{accepted, admin, alerted, offsets, quarantined, rows_in, send};
use crate::load::Report;
use crate::oracle;
use crate::plant::{Plant, Site};
use crate::scenario::process::any_protocol;
use crate::scenario::trial::Trial;
use crate::scenario::{HEAL, Hits};

/// Partitions that are hit; the others go on.
const HIT: [i32; 2] = [0, 1];
/// Events of the first load.
const EVENTS: u64 = 30_000;

/// The stored offsets lie behind the end of the log.
pub(super) async fn truncated(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::idle(&site, any_protocol(&mut rng), 2).await?;
    let old = send(&mut trial, EVENTS).await?;
    trial.plant.drained(HEAL).await?;
    let cut = truncate(&trial.plant, &mut rng).await?;
    quarantined(&trial.plant, &HIT).await;
    // Too few to reach the stored offsets.
    let new = send(&mut trial, EVENTS / 100).await?;
    get_out(trial, &cut, &old, &new, "log truncated").await
}

/// The log grew past the stored offsets again before anybody looked: only the leader epochs tell.
pub(super) async fn grown_again(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::idle(&site, any_protocol(&mut rng), 2).await?;
    let old = send(&mut trial, EVENTS).await?;
    trial.plant.drained(HEAL).await?;
    trial.consumers.iter().for_each(testkit::Process::kill);
    let stored = trial.plant.stored().await?;
    let cut = truncate(&trial.plant, &mut rng).await?;
    let new = send(&mut trial, EVENTS * 2).await?;
    let ends = trial.plant.log_ends().await?;
    for partition in HIT {
        let (end, next) = (offset(&ends, partition)?, offset(&stored, partition)?);
        ensure!(end > next, "partition {partition} ends at {end} only, before the stored offset {next}");
    }
    for number in [1, 2] {
        trial.start_consumer(number)?;
    }
    quarantined(&trial.plant, &HIT).await;
    get_out(trial, &cut, &old, &new, "log truncated and grown again").await
}

/// Cuts the log of some partitions, as a restored disk would. Returns the new ends.
async fn truncate(plant: &Plant, rng: &mut StdRng) -> Result<Vec<(i32, i64)>> {
    let (kafka, ends) = (&plant.site.kafka, plant.log_ends().await?);
    kafka.brokers().iter().for_each(Broker::kill);
    for partition in HIT {
        let end = offset(&ends, partition)?;
        kafka.truncate_log(&plant.topic, partition, rng.random_range(end / 4..end * 3 / 4))?;
    }
    for broker in kafka.brokers() {
        broker.start()?;
    }
    kafka.wait_until_healthy(Duration::from_secs(90)).await;
    let cut = plant.log_ends().await?;
    for partition in HIT {
        ensure!(offset(&cut, partition)? < offset(&ends, partition)?, "partition {partition} was not truncated");
    }
    Ok(cut)
}

/// Nothing of the changed partitions was stored; set to where the log was cut, all of it is.
async fn get_out(mut trial: Trial, cut: &[(i32, i64)], old: &Report, new: &Report, phase: &str) -> Result<Hits> {
    alerted(&trial.plant, &HIT, "truncated").await;
    let rows = rows_in(&trial.plant, new, &HIT).await?;
    ensure!(rows == 0, "{rows} rows out of partitions that are in quarantine");
    for partition in HIT {
        let to = offset(cut, partition)?.to_string();
        offsets(&trial.plant, &["set", "--partition", &partition.to_string(), "--to", &to]).await?;
        trial.hit(phase);
    }
    trial.plant.drained(HEAL).await?;
    oracle::rows_are_exact(&trial.plant, old).await?;
    oracle::rows_are_exact(&trial.plant, new).await?;
    trial.verified(2).await?;
    Ok(trial.passed())
}

/// Retention deletes what was never read, while the database is away.
pub(super) async fn deleted_unread(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 2).await?;
    trial.progress(&mut rng).await?;
    trial.plant.proxy.refuse(true);
    trial.paused().await;
    let stored = trial.plant.stored().await?;
    wait_until(Duration::from_secs(60), "every partition has unread records", async || {
        let ends = trial.plant.log_ends().await;
        ends.is_ok_and(|ends| ends.iter().zip(&stored).all(|((_, end), (_, next))| *end > next + 100))
    })
    .await;
    let mut report = trial.load_finished().await?;
    let (mut before, mut deleted) = (TopicPartitionList::new(), 0);
    for partition in HIT {
        let (next, end) = (offset(&stored, partition)?, offset(&trial.plant.log_ends().await?, partition)?);
        let start = rng.random_range(next + 1..=end);
        before.add_partition_offset(&trial.plant.topic, partition, Offset::Offset(start))?;
        deleted += start - next;
    }
    let (admin, options) = admin(&trial.plant)?;
    let answer = admin.delete_records(&before, &options).await?;
    accepted(answer.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::error).collect())?;
    trial.plant.proxy.refuse(false);

    quarantined(&trial.plant, &HIT).await;
    alerted(&trial.plant, &HIT, "deleted unread").await;
    let partitions = HIT.map(|partition| partition.to_string()).join(",");
    offsets(&trial.plant, &["set", "--partition", &partitions, "--to", "earliest"]).await?;
    trial.plant.drained(HEAL).await?;
    let rows = rows_in(&trial.plant, &report, &[0, 1, 2, 3, 4, 5]).await?;
    let lost = i64::try_from(report.sent)? - rows;
    ensure!(lost == deleted, "{lost} events have no row, and {deleted} were deleted unread");
    // Which they are is known to nobody; how many is.
    report.unacknowledged.extend(0..report.sent);
    oracle::rows_are_exact(&trial.plant, &report).await?;
    trial.verified(2).await?;
    HIT.iter().for_each(|_| trial.hit("records deleted unread"));
    Ok(trial.passed())
}

fn offset(offsets: &[(i32, i64)], partition: i32) -> Result<i64> {
    let found = offsets.iter().find(|(number, _)| *number == partition);
    found.map(|(_, offset)| *offset).with_context(|| format!("no offset of partition {partition}"))
}

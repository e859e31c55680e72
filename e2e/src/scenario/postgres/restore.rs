//! An older copy of the database is put back: the stored offsets go back, and are obeyed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use testkit::{PostgresOptions, wait_until};

use crate::plant::{Plant, Site};
use crate::scenario::Hits;
use crate::scenario::barrier::{Barrier, Phase};
use crate::scenario::process::any_protocol;
use crate::scenario::trial::Trial;

/// The batches of the restored database are held up for a moment, so that the mirror in Kafka can
/// be seen at the old offsets.
pub(super) async fn older_copy(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let site = site.beside(PostgresOptions::default()).await?;
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 2).await?;
    trial.progress(&mut rng).await?;
    let copy = site.postgres.copy_data_dir().await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        let from = Timestamp::now();
        let before = trial.plant.stored().await?;
        trial.plant.proxy.refuse(true);
        site.postgres.restore_data_dir(&copy).await?;
        let barrier = Barrier::up(&trial.plant, Phase::InsideCopy).await?;
        let restored = trial.plant.stored().await?;
        ensure!(restored.iter().zip(&before).any(|(now, then)| now < then), "the copy is not older");
        trial.plant.proxy.refuse(false);
        wait_until(Duration::from_secs(30), "the mirror in Kafka follows back", async || {
            mirrored(&trial.plant).await.is_ok_and(|mirrored| mirrored == restored)
        })
        .await;
        barrier.down().await?;
        trial.progress(&mut rng).await?;
        // What was sent between the copy and its return is gone with the database: no look for holes.
        wait_until(Duration::from_secs(30), "the journal says that an offset went back", async || {
            noted(&trial.plant, from, &restored).await.unwrap_or(false)
        })
        .await;
        trial.hit("stored offsets went back");
    }
    trial.judged().await
}

/// The journal has an offset that went back, or a claim at one of these: whoever got the partition
/// meanwhile knows no other.
async fn noted(plant: &Plant, from: Timestamp, restored: &[(i32, i64)]) -> Result<bool> {
    let offsets: Vec<i64> = restored.iter().map(|(_, next)| *next).collect();
    let row = plant
        .connect()
        .await?
        .query_one(
            "SELECT count(*) FROM rebalancing_events WHERE timestamp >= $1 \
                AND (event_type = 'offset_went_back' OR event_type = 'claimed' AND kafka_offset = ANY($2))",
            &[&from, &offsets],
        )
        .await?;
    Ok(row.get::<_, i64>(0) > 0)
}

/// The offsets that Kafka has for the group, by partition.
async fn mirrored(plant: &Plant) -> Result<Vec<(i32, i64)>> {
    let mut config = plant.kafka_options().client("e2e-mirror");
    config.set("group.id", &plant.group);
    let (topic, partitions) = (plant.topic.clone(), plant.settings.partitions);
    let committed = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range(&topic, 0, partitions - 1);
        consumer.committed_offsets(wanted, Duration::from_secs(5))
    })
    .await??;
    let committed = committed.elements();
    let offsets = committed.iter().map(|element| match element.offset() {
        Offset::Offset(offset) => Ok((element.partition(), offset)),
        other => Err(anyhow!("{other:?}")),
    });
    offsets.collect::<Result<_>>().context("asking for the group's offsets")
}

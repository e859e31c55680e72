//! `/api/assignments`: how it was at one instant.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use store::Store;
use store::flight_recorder as recorded;
use utoipa::ToSchema;

use super::ms;

/// A heartbeat older than this is a silent process's.
const SILENT_MS: i64 = 2_000;

/// Answer of `GET /api/assignments`. Instants are milliseconds since the epoch, by the database's clock.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Assignments {
    /// As asked for.
    pub at: i64,
    /// Why nothing is known of that instant; `null` when it was recorded.
    pub blind: Option<String>,
    /// Every partition that somebody had, or that was dark.
    pub partitions: Vec<PartitionAt>,
    /// Consumers that were there, or had ended within two sessions.
    pub consumers: Vec<ConsumerAt>,
    /// Records that waited; `null` when no sample was taken.
    pub lag_records: Option<i64>,
    /// Rows stored per second around it; `null` when that is not kept.
    pub stored_rows_per_second: Option<f64>,
}

/// A partition at the instant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartitionAt {
    /// Group.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// Who took itself for its owner: nobody, one, or two.
    pub owners: Vec<String>,
    /// Whether a record waited that nobody read.
    pub dark: bool,
    /// Since when.
    pub dark_since: Option<i64>,
    /// Whether nothing came.
    pub quiet: bool,
}

/// A consumer at the instant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConsumerAt {
    /// Its name.
    pub consumer_id: String,
    /// Its group.
    pub group_id: String,
    /// Whether it beat.
    pub alive: bool,
    /// For how long it had been silent; `null` while it beat.
    pub silent_ms: Option<i64>,
    /// Its session time-out.
    pub session_timeout_ms: i32,
    /// Partitions that it took for its own.
    pub partitions: Vec<i32>,
}

/// Looks up one instant.
///
/// # Errors
/// Transient ones.
pub async fn assignments(store: &Store, at: Timestamp) -> store::Result<Assignments> {
    let owned = recorded::assigned_at(store, at).await?;
    let dark = recorded::dark_between(store, at, at).await?;
    // Where nobody has any of a group's partitions, only its lives tell what it reads.
    let topics: BTreeMap<String, String> = recorded::known_groups(store).await?.into_iter().collect();
    let lives = recorded::lives_at(store, at).await?;
    let around = (at - SignedDuration::from_secs(2), at + SignedDuration::from_secs(1));
    let blind = recorded::blind_spans(store, at, at).await?;
    let rows = recorded::rows_between(store, None, around.0, around.1, false, 1).await?;
    let quiet = recorded::quiet_between(store, at - SignedDuration::from_secs(10), at, false, 8).await?;
    let mut partitions: BTreeMap<(String, String, i32), PartitionAt> = BTreeMap::new();
    for one in &owned {
        let key = (one.group_id.clone(), one.topic.clone(), one.partition);
        let blank = PartitionAt {
            group_id: one.group_id.clone(),
            topic: one.topic.clone(),
            partition: one.partition,
            owners: Vec::new(),
            dark: false,
            dark_since: None,
            quiet: quiet.iter().any(|quiet| (&quiet.topic, quiet.partition) == (&one.topic, one.partition)),
        };
        partitions.entry(key).or_insert(blank).owners.push(one.consumer_id.clone());
    }
    for dark in &dark {
        let topic = topics.get(&dark.group_id).cloned().unwrap_or_default();
        let key = (dark.group_id.clone(), topic.clone(), dark.partition);
        let blank = PartitionAt {
            group_id: dark.group_id.clone(),
            topic,
            partition: dark.partition,
            owners: Vec::new(),
            dark: true,
            dark_since: None,
            quiet: false,
        };
        let partition = partitions.entry(key).or_insert(blank);
        (partition.dark, partition.dark_since, partition.quiet) = (true, Some(ms(dark.from)), false);
    }
    let consumer = |life: recorded::LifeAt| {
        let ended = (life.last_beat < at).then_some(life.last_beat);
        let since = life.silent_since.or(ended);
        let silent_ms = since.map(|since| ms(at) - ms(since)).filter(|ms| *ms > SILENT_MS);
        let listed = silent_ms.is_none_or(|silent| silent < 2 * i64::from(life.session_timeout_ms))
            && !(ended.is_some() && life.status == "stopped");
        let own = owned.iter().filter(|o| o.boot_id == life.boot_id).map(|o| o.partition);
        listed.then(|| ConsumerAt {
            consumer_id: life.consumer_id.clone(),
            group_id: life.group_id.clone(),
            alive: silent_ms.is_none(),
            silent_ms,
            session_timeout_ms: life.session_timeout_ms,
            partitions: own.collect(),
        })
    };
    Ok(Assignments {
        at: ms(at),
        blind: blind.first().map(|_| "the recorder or its database was away".to_owned()),
        partitions: partitions.into_values().collect(),
        consumers: lives.into_iter().filter_map(consumer).collect(),
        lag_records: recorded::lag_records_at(store, at).await?,
        stored_rows_per_second: (!rows.is_empty())
            .then(|| rows.iter().map(|(_, rows)| *rows as f64).sum::<f64>() / rows.len() as f64),
    })
}

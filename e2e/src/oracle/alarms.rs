//! The alarms, worked out again from the stored readings alone: a replay or a hand-over tells none twice and
//! misses none.

use std::collections::{BTreeMap, BTreeSet};

use alarms::{Observation, Place, Reading, RuleBook, Sensors};
use anyhow::{Result, ensure};
use futures_util::{TryStreamExt, pin_mut};
use schema::SensorType;
use tokio_postgres::Client;

/// Log, partition, offset, condition, event, level.
type Told = (i32, i32, i64, String, String, Option<String>);

/// Compares what was told with what the readings say.
///
/// # Errors
/// What was told twice, not at all, or without a reason; alarms that are not what happened last.
pub async fn are_exact(client: &Client) -> Result<()> {
    let expected = from_readings(client).await?;
    let told = client
        .query(
            "SELECT log_id, partition_number, kafka_offset, condition, event, level FROM alarm_events \
              WHERE source_type = 'sensor' AND log_id IS NOT NULL ORDER BY id",
            &[],
        )
        .await?;
    let count = told.len();
    let told: BTreeSet<Told> =
        told.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4), row.get(5))).collect();
    ensure!(told.len() == count, "alarms were told twice: {count} events, {} different ones", told.len());
    let missed: Vec<&Told> = expected.difference(&told).collect();
    ensure!(
        missed.is_empty(),
        "{} of {} alarm events are missing, such as {:?}",
        missed.len(),
        expected.len(),
        missed[0]
    );
    let invented: Vec<&Told> = told.difference(&expected).collect();
    ensure!(invented.is_empty(), "{} alarm events that no reading explains, such as {:?}", invented.len(), invented[0]);

    let wrong = client
        .query(
            "SELECT source, condition FROM alarms a JOIN LATERAL ( \
                    SELECT event, level, severity FROM alarm_events e WHERE (e.source_type, e.source, e.condition) = \
                           (a.source_type, a.source, a.condition) ORDER BY id DESC LIMIT 1) last ON true \
              WHERE a.source_type = 'sensor' AND (a.active, a.level) IS DISTINCT FROM (last.event <> 'returned', last.level)",
            &[],
        )
        .await?;
    ensure!(wrong.is_empty(), "alarm {:?} is not what happened last", wrong.first().map(|row| row.get::<_, String>(0)));
    Ok(())
}

async fn from_readings(client: &Client) -> Result<BTreeSet<Told>> {
    let statement = "SELECT log_id, kafka_partition, kafka_offset, sensor_id, sensor_type, value, event_time \
                       FROM sensor_readings WHERE processed_by_consumer NOT LIKE 'operator:%' \
                      ORDER BY log_id, kafka_partition, processing_timestamp, kafka_offset";
    let rows = client.query_raw(statement, std::iter::empty::<i32>()).await?;
    pin_mut!(rows);
    let book = RuleBook::default();
    let mut partitions: BTreeMap<i32, Sensors> = BTreeMap::new();
    let mut last: Option<Place> = None;
    while let Some(row) = rows.try_next().await? {
        let place = Place { log_id: row.get(0), partition: row.get(1), offset: row.get(2) };
        let sensor_type: SensorType = row.get::<_, &str>(4).parse().map_err(anyhow::Error::msg)?;
        let reading = Reading { value: row.get(5), event_time: row.get(6) };
        let observation = Observation { sensor_id: row.get::<_, &str>(3).into(), sensor_type, reading };
        let sensors = partitions.entry(place.partition).or_default();
        // An operator went back to where the log was cut.
        if last.is_some_and(|last| {
            (last.log_id, last.partition) == (place.log_id, place.partition) && last.offset >= place.offset
        }) {
            sensors.rewind(place);
        }
        sensors.apply(&book, place, &observation);
        last = Some(place);
    }
    let events = partitions.values_mut().flat_map(|sensors| sensors.take().events);
    Ok(events
        .map(|event| {
            let kind = event.told.kind;
            let level = kind.level().map(str::to_owned);
            let Place { log_id, partition, offset } = event.place;
            (log_id, partition, offset, kind.condition().to_owned(), kind.event().to_owned(), level)
        })
        .collect())
}

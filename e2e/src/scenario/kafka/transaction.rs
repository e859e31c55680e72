//! A transactional producer that aborts: what it took back is no gap of ours, and nothing of it is
//! stored.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use schema::{SensorReading, SensorType};
use uuid::Uuid;

use crate::plant::Site;
use crate::scenario::Hits;
use crate::scenario::process::any_protocol;
use crate::scenario::trial::Trial;

const TRANSACTIONS: u64 = 12;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Transactions among a plain load, so that every partition ends in a record and not in a marker.
pub(super) async fn aborted(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 2).await?;
    trial.progress(&mut rng).await?;
    let mut config = trial.plant.kafka_options().client("e2e-transactions");
    config.set("transactional.id", &trial.plant.topic).set("linger.ms", "5");
    let (topic, run_id) = (trial.plant.topic.clone(), Uuid::now_v7());
    let plan: Vec<(u64, bool)> =
        (0..TRANSACTIONS).map(|n| (rng.random_range(1..300), n < 4 && n % 2 == 0 || rng.random_bool(0.5))).collect();
    let aborted = plan.iter().filter(|(_, abort)| *abort).count();
    let committed = tokio::task::spawn_blocking(move || run(&config, &topic, run_id, &plan)).await??;
    trial.progress(&mut rng).await?;
    for _ in 0..aborted {
        trial.hit("aborted transaction");
    }

    let report = trial.load_finished().await?;
    crate::oracle::judge(&trial.plant, &report, crate::scenario::HEAL).await?;
    let client = trial.plant.connect().await?;
    let rows = client.query("SELECT sequence FROM sensor_readings WHERE run_id = $1", &[&run_id]).await?;
    let stored: BTreeSet<u64> = rows.iter().map(|row| row.get::<_, i64>(0).unsigned_abs()).collect();
    ensure!(
        stored == committed,
        "{} rows of aborted transactions, {} rows of committed ones missing",
        stored.difference(&committed).count(),
        committed.difference(&stored).count()
    );
    let row = client
        .query_one(
            "SELECT (SELECT coalesce(sum(upper(gap) - lower(gap)), 0)::bigint FROM batch_ledger, unnest(gaps) gap), \
                    (SELECT count(*) FROM sensor_readings)",
            &[],
        )
        .await?;
    let (gaps, rows) = (row.get::<_, i64>(0), row.get::<_, i64>(1));
    let log: i64 = trial.plant.log_ends().await?.iter().map(|(_, end)| end).sum();
    ensure!(gaps > 0 && gaps == log - rows, "the ledger has {gaps} offsets in gaps; {log} in the log, {rows} rows");
    Ok(trial.passed())
}

/// Runs the transactions; the sequences of the committed ones.
fn run(config: &ClientConfig, topic: &str, run_id: Uuid, plan: &[(u64, bool)]) -> Result<BTreeSet<u64>> {
    let producer: BaseProducer = config.create()?;
    producer.init_transactions(TIMEOUT)?;
    let (mut sequence, mut committed) = (0, BTreeSet::new());
    for &(records, abort) in plan {
        producer.begin_transaction()?;
        for sequence in sequence..sequence + records {
            let sensor = format!("transactional-{:02}", sequence % 30);
            let payload = reading(&sensor, run_id, sequence).encode();
            let record = BaseRecord::to(topic).key(&sensor).payload(&payload);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        // Aborting purges what was not sent yet: only what is in the log is worth aborting.
        producer.flush(TIMEOUT)?;
        if abort {
            producer.abort_transaction(TIMEOUT)?;
        } else {
            producer.commit_transaction(TIMEOUT)?;
            committed.extend(sequence..sequence + records);
        }
        sequence += records;
    }
    Ok(committed)
}

fn reading(sensor: &str, run_id: Uuid, sequence: u64) -> SensorReading<'_> {
    SensorReading {
        version: schema::sensor_reading::VERSION,
        sensor_id: Cow::Borrowed(sensor),
        sensor_type: SensorType::Pressure,
        unit: Cow::Borrowed("bar"),
        value: 1.0,
        event_time: Timestamp::now(),
        producer_id: Cow::Borrowed("e2e-transactions"),
        run_id,
        sequence,
    }
}

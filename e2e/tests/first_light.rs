//! The thinnest slice, end to end: one consumer, three brokers, Postgres.

use std::time::Duration;

use e2e::oracle;
use e2e::plant::{Plant, Settings, Site};
use testkit::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn one_consumer_stores_every_event_once() {
    let site = Site::start().await.expect("brokers and Postgres");
    let plant = Plant::new(&site, Settings::default()).await.expect("a plant");
    let load = plant.load(20_000, 100_000, 10_000).expect("a load");
    let consumer = plant.consumer("sensor-consumer-1").expect("a consumer");
    wait_until(Duration::from_secs(60), "100,000 events are sent", async || load.sent() == 100_000).await;
    let report = load.finish(10_000).await.expect("everything acknowledged");
    if let Err(error) = oracle::judge(&plant, &report, Duration::from_secs(20)).await {
        panic!("{error:#}\n{}", consumer.output());
    }
}

/// What the ledger calls a gap is read back from the log: a lost record can't hide as one.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_record_booked_as_a_gap_is_found_by_verify() {
    let site = Site::start().await.expect("brokers and Postgres");
    let plant = Plant::new(&site, Settings::default()).await.expect("a plant");
    let load = plant.load(0, 1_000, 0).expect("a load");
    let consumer = plant.consumer("sensor-consumer-1").expect("a consumer");
    wait_until(Duration::from_secs(60), "1,000 events are sent", async || load.sent() == 1_000).await;
    let report = load.finish(0).await.expect("everything acknowledged");
    if let Err(error) = oracle::judge(&plant, &report, Duration::from_secs(60)).await {
        panic!("{error:#}\n{}", consumer.output());
    }
    let client = plant.connect().await.expect("the database");
    client
        .batch_execute(
            "WITH gone AS (DELETE FROM sensor_readings WHERE (kafka_partition, kafka_offset) = (2, 17) RETURNING *) \
             UPDATE batch_ledger l SET stored_rows = stored_rows - 1, gaps = gaps + '{[17,18)}'::int8multirange FROM gone \
              WHERE l.partition_number = 2 AND l.stored_at = gone.processing_timestamp",
        )
        .await
        .expect("the mutation");
    let (code, output) = plant.command(&["verify"]).await.expect("verify ends");
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("partition 2: lost: offset 17"), "{output}");
}

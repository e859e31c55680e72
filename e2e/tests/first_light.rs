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

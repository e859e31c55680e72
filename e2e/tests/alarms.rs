//! Alarms through kills: each is told once, whoever owned the partition when.

use std::time::Duration;

use e2e::oracle;
use e2e::plant::{Plant, Settings, Site};
use testkit::wait_until;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn alarms_are_told_once_through_kills_and_hand_overs() {
    let site = Site::start().await.expect("brokers and Postgres");
    let plant = Plant::new(&site, Settings::default()).await.expect("a plant");
    let load = plant.load(2_000, 60_000, 1_000).expect("a load");
    let client = plant.connect().await.expect("the database");
    let raised = async |by: &str| {
        let events = "SELECT count(*) FROM alarm_events WHERE event = 'raised' AND by_whom = $1";
        client.query_one(events, &[&by]).await.expect("the alarms").get::<_, i64>(0)
    };

    let first = plant.consumer("sensor-consumer-1").expect("a consumer");
    wait_until(DEADLINE, "the first consumer raises alarms", async || raised("sensor-consumer-1").await > 10).await;
    first.kill();
    let second = plant.consumer("sensor-consumer-2").expect("a consumer");
    wait_until(DEADLINE, "the second one does", async || raised("sensor-consumer-2").await > 10).await;
    let third = plant.consumer("sensor-consumer-3").expect("a consumer");
    wait_until(DEADLINE, "and a third beside it", async || raised("sensor-consumer-3").await > 0).await;
    second.kill();

    wait_until(DEADLINE, "everything is sent", async || load.sent() == 60_000).await;
    let report = load.finish(1_000).await.expect("everything acknowledged");
    if let Err(error) = oracle::judge(&plant, &report, DEADLINE).await {
        panic!("{error:#}\n{}", third.output());
    }
    let kinds = "SELECT count(DISTINCT (condition, event)) FROM alarm_events";
    let kinds: i64 = client.query_one(kinds, &[]).await.expect("the alarms").get(0);
    assert!(kinds >= 4, "limits and deviations are raised and return: {kinds}");

    let mutation = "DELETE FROM alarm_events WHERE id = (SELECT min(id) FROM alarm_events)";
    client.execute(mutation, &[]).await.expect("the mutation");
    let missed = oracle::rows_are_exact(&plant, &report).await.expect_err("an event is gone");
    assert!(missed.to_string().contains("missing"), "{missed}");
}

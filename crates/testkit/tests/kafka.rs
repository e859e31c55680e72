//! The brokers of the test kit break the way they are told to, and come back.

use anyhow::Result;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::Duration;
use testkit::{Kafka, KafkaOptions, wait_for, wait_until};

const SOON: Duration = Duration::from_secs(60);

fn client(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap()).set("log_level", "0");
    config
}

async fn create_topic(kafka: &Kafka, name: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(kafka).create()?;
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(3));
    for outcome in admin.create_topics(&[topic], &AdminOptions::new()).await? {
        outcome.map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))?;
    }
    kafka.wait_until_healthy(SOON).await;
    Ok(())
}

/// One batch per record: a log can only be truncated between batches.
async fn produce(kafka: &Kafka, topic: &str, records: usize) -> Result<()> {
    let producer: FutureProducer =
        client(kafka).set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "0").create()?;
    for _ in 0..records {
        let record = FutureRecord::<(), _>::to(topic).payload("a reading").partition(0);
        producer.send(record, SOON).await.map_err(|(error, _)| error)?;
    }
    Ok(())
}

/// The next offset of partition 0, once somebody answers.
async fn end(kafka: &Kafka, topic: &str) -> i64 {
    let consumer: BaseConsumer = client(kafka).create().expect("a client of this configuration can be made");
    wait_for(SOON, "the watermarks of the topic", async || {
        consumer.fetch_watermarks(topic, 0, Duration::from_secs(1)).ok().map(|(_, high)| high)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_survive_a_killed_a_frozen_and_a_stopped_broker() -> Result<()> {
    let kafka = Kafka::start(KafkaOptions::default()).await?;
    create_topic(&kafka, "survivors").await?;
    produce(&kafka, "survivors", 10).await?;

    let killed = kafka.leader_of("survivors", 0).await?;
    kafka.broker(killed).kill();
    assert!(!kafka.broker(killed).is_running());
    wait_until(SOON, "another leader", async || {
        kafka.leader_of("survivors", 0).await.is_ok_and(|leader| leader != killed)
    })
    .await;
    produce(&kafka, "survivors", 10).await?;
    kafka.broker(killed).start()?;
    kafka.wait_until_healthy(SOON).await;
    let home = wait_for(SOON, "the leader is home again", async || {
        kafka.leader_of("survivors", 0).await.ok().filter(|&leader| leader == killed)
    })
    .await;

    kafka.broker(home).pause()?;
    wait_until(SOON, "the frozen broker is left out", async || {
        kafka.leader_of("survivors", 0).await.is_ok_and(|leader| leader != home)
    })
    .await;
    kafka.broker(home).resume()?;
    kafka.wait_until_healthy(SOON).await;

    kafka.broker(home).stop().await?;
    produce(&kafka, "survivors", 10).await?;
    kafka.broker(home).start()?;
    kafka.wait_until_healthy(SOON).await;
    assert_eq!(end(&kafka, "survivors").await, 30);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_log_ends_where_it_was_cut() -> Result<()> {
    let kafka = Kafka::start(KafkaOptions::default()).await?;
    create_topic(&kafka, "shortened").await?;
    produce(&kafka, "shortened", 10).await?;
    assert!(kafka.truncate_log("shortened", 0, 4).is_err(), "refused while brokers run");

    for keep_before in [4, 0] {
        kafka.brokers().iter().for_each(testkit::Broker::kill);
        kafka.truncate_log("shortened", 0, keep_before)?;
        for broker in kafka.brokers() {
            broker.start()?;
        }
        kafka.wait_until_healthy(SOON).await;
        assert_eq!(end(&kafka, "shortened").await, keep_before);
    }
    produce(&kafka, "shortened", 1).await?;
    assert_eq!(end(&kafka, "shortened").await, 1, "the partition is usable");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coordinator_of_a_group_and_the_controller_can_be_found() -> Result<()> {
    let kafka = Kafka::start(KafkaOptions::default()).await?;
    create_topic(&kafka, "grouped").await?;
    produce(&kafka, "grouped", 1).await?;
    let consumer: BaseConsumer = client(&kafka)
        .set("group.id", "sensor-consumers")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "1000")
        .set("heartbeat.interval.ms", "200")
        .create()?;
    consumer.subscribe(&["grouped"])?;
    wait_until(SOON, "a record through the group", async || {
        consumer.poll(Duration::from_millis(100)).is_some_and(|record| record.is_ok())
    })
    .await;

    let coordinator = kafka.coordinator_of("sensor-consumers").await?;
    let log = std::fs::read_to_string(kafka.broker(coordinator).log())?;
    assert!(log.contains("sensor-consumers"), "the coordinator's log tells of the group");
    let others = kafka.brokers().iter().filter(|broker| broker.id() != coordinator);
    for other in others {
        let log = std::fs::read_to_string(other.log())?;
        assert!(!log.contains("group sensor-consumers"), "kafka{} is not the coordinator", other.id());
    }

    let controller = kafka.controller()?;
    kafka.broker(controller).kill();
    wait_until(SOON, "another controller", async || kafka.controller().is_ok_and(|now| now != controller)).await;
    Ok(())
}

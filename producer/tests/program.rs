//! The built `producer` against real brokers and a real database, both of which go away.

#[path = "program/log.rs"]
mod log;
#[path = "program/pipe.rs"]
mod pipe;
#[path = "program/run.rs"]
mod run;

use std::{collections::BTreeSet, fs};

use log::read_topic;
use run::{DEADLINE, Run, id};
use store::{Store, migrate};
use testkit::{Kafka, KafkaOptions, PgProxy, shared, wait_until};

/// A recording whose clock repeats and jumps back, in an order that no sorting would give.
fn recording(rows: usize) -> (String, Vec<String>) {
    let minute = |row: usize| match row % 10 {
        7 => row - 1,
        8 => row.saturating_sub(60),
        _ => row,
    };
    let times: Vec<String> = (0..rows)
        .map(minute)
        .map(|minute| format!("2013-12-{:02} {:02}:{:02}:00", 1 + minute / 1440, minute / 60 % 24, minute % 60))
        .collect();
    let lines: String = times.iter().enumerate().map(|(row, time)| format!("{time},{row}.5\n")).collect();
    (format!("timestamp,value\n{lines}"), times)
}

#[tokio::test]
async fn every_row_of_a_recording_is_one_event_in_the_files_order() {
    let brokers = shared().await.brokers;
    let (text, times) = recording(5_000);
    let name = id("replay");
    let run = Run::start(&brokers, |program, dir| {
        fs::write(dir.join("recording.csv"), text).expect("it is written");
        program.arg("replay").arg(dir.join("recording.csv")).args([
            "--sensor",
            "machine",
            "--type",
            "temperature",
            "--unit",
            "[degF]",
            "--id",
            &name,
        ])
    });
    assert_eq!(run.exit().await, Some(0), "{}", run.process.last_output());
    assert!(run.process.output().contains("5000 rows: 5000 sent, 5000 acknowledged\n"));

    let events = read_topic(&brokers, &name);
    assert_eq!(events.len(), 5_000);
    for (row, event) in events.iter().enumerate() {
        assert_eq!((event.sequence, event.value), (row as u64, row as f64 + 0.5));
        assert_eq!(event.event_time, format!("{}Z", times[row]).parse().expect("a time"));
        assert_eq!(
            (event.key.as_str(), event.sensor_id.as_str(), event.unit.as_str()),
            ("machine", "machine", "[degF]")
        );
        assert_eq!((event.run_id, event.partition), (events[0].run_id, events[0].partition));
    }
}

#[tokio::test]
async fn a_bad_row_is_named_before_anything_is_sent() {
    let brokers = shared().await.brokers;
    let name = id("replay");
    let start = |text: String| {
        Run::start(&brokers, |program, dir| {
            fs::write(dir.join("recording.csv"), text).expect("it is written");
            program.arg("replay").arg(dir.join("recording.csv")).args(["--sensor", "machine", "--id", &name])
        })
    };
    let (text, _) = recording(3);
    let bad = start(format!("{text}2013-12-02 21:15:00,many\n"));
    assert_eq!(bad.exit().await, Some(65));
    assert!(
        bad.process.output().contains("recording.csv: line 5, column 2 (value): `many`"),
        "{}",
        bad.process.output()
    );
    let good = start(text);
    assert_eq!(good.exit().await, Some(0), "{}", good.process.last_output());
    assert_eq!(read_topic(&brokers, &name).len(), 3, "only the good file's rows");
}

#[tokio::test]
async fn what_is_wrong_with_its_configuration_ends_it_with_64() {
    let wrong: [(&[&str], &str); 9] = [
        (&["replay", "no-such-file.csv", "--sensor", "a"], "no-such-file.csv"),
        (&["sensor", "--type", "temperature", "--id", "a", "--rate", "0"], "--rate"),
        (&["sensor", "--type", "humidity", "--id", "a"], "humidity"),
        (&["sensor", "--type", "pressure", "--id", ""], "--id"),
        (&["sensor", "--type", "pressure", "--id", "a", "--kafka-brokers", "nowhere"], "KAFKA_BROKERS"),
        (&["sensor", "--type", "pressure", "--id", "a", "--database-url", "postgres://:::"], "DATABASE_URL"),
        (&["pipe", "--database-url", "postgres://a@b/c?sslmode=verify-ca&sslrootcert=no-such"], "sslrootcert: no-such"),
        (&["pipe", "--kafka-sasl-username", "press"], "KAFKA_SASL_USERNAME"),
        (&["pipe", "--config", "no-such.toml"], "no-such.toml"),
    ];
    for (arguments, named) in wrong {
        let run = Run::start("127.0.0.1:1", |program, _| program.args(arguments));
        assert_eq!(run.exit().await, Some(64), "{arguments:?}: {}", run.process.output());
        assert!(run.process.output().contains(named), "{arguments:?}: {}", run.process.output());
    }
}

#[tokio::test]
async fn a_plant_goes_on_without_the_database_and_its_heartbeats_come_back_with_it() {
    let shared = shared().await;
    let options = store::Options { database_url: shared.database_url.clone(), database_pool_size: 2 };
    let store = Store::new(&options, "test").expect("a good URL");
    migrate::run(&store).await.expect("it migrates");
    let proxy = PgProxy::in_front_of(&shared.database_url).await.expect("a proxy");
    let name = id("plant");
    let run = Run::plant(&shared.brokers, &name, 500, Some(&proxy.url(&shared.database_url)));
    let row = async || run::health_row(&store, &name).await;
    wait_until(DEADLINE, "a heartbeat says running", async || {
        row().await.is_some_and(|row| row.status == "running" && row.connection == "connected" && row.last_minute > 0)
    })
    .await;
    assert!(run.get("/readyz").await.contains("ready"));

    proxy.refuse(true);
    proxy.sever_all();
    let before = run.metric("producer_events_acknowledged_total").await;
    wait_until(DEADLINE, "it goes on without the database", async || {
        run.metric("producer_events_acknowledged_total").await > before + 1_000
    })
    .await;
    assert!(run.get("/readyz").await.contains("\"ready\""), "the database is not what it needs");
    let stale = row().await.expect("the row is still there");
    proxy.refuse(false);
    wait_until(DEADLINE, "heartbeats are back", async || row().await.is_some_and(|row| row.sent > stale.sent)).await;

    run.process.term().expect("it runs");
    assert_eq!(run.exit().await, Some(0), "{}", run.process.last_output());
    let last = row().await.expect("the row is still there");
    let events = read_topic(&shared.brokers, &name);
    assert_eq!((last.status.as_str(), last.sent), ("stopped", events.len() as i64));
    let sequences: BTreeSet<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (0..events.len() as u64).collect());
    let sensors: BTreeSet<&str> = events.iter().map(|event| event.sensor_id.as_str()).collect();
    assert_eq!(sensors.len(), 20);
    assert!(events.iter().all(|event| event.key == event.sensor_id && event.unit == "bar"));
}

#[tokio::test]
async fn while_kafka_is_away_it_waits_and_counts_and_then_nothing_is_missing_or_doubled() {
    let kafka = Kafka::start(KafkaOptions::default()).await.expect("brokers start");
    let name = id("plant");
    let run = Run::plant(&kafka.bootstrap(), &name, 40_000, None);
    let acknowledged = async || run.metric("producer_events_acknowledged_total").await;
    wait_until(DEADLINE, "events are acknowledged", async || acknowledged().await > 10_000).await;
    wait_until(DEADLINE, "it is ready", async || run.get("/readyz").await.contains("\"ready\"")).await;

    for broker in kafka.brokers() {
        broker.kill();
    }
    wait_until(DEADLINE, "it says that it waits for Kafka", async || {
        run.get("/readyz").await.contains("waiting for kafka")
    })
    .await;
    wait_until(DEADLINE, "the queue is full", async || run.metric("producer_queue_full_total").await > 10).await;
    assert!(run.metric("producer_events_waiting").await <= 100_001);
    for broker in kafka.brokers() {
        broker.start().expect("it starts again");
    }
    let before = acknowledged().await;
    wait_until(DEADLINE, "the queue is sent", async || acknowledged().await > before + 150_000).await;
    wait_until(DEADLINE, "it is ready", async || run.get("/readyz").await.contains("\"ready\"")).await;

    run.process.term().expect("it runs");
    assert_eq!(run.exit().await, Some(0), "{}", run.process.last_output());
    let said = run.process.output();
    let told: Vec<bool> = said
        .lines()
        .filter_map(|line| match () {
            () if line.contains("Kafka is there") => Some(true),
            () if line.contains("waiting for Kafka") => Some(false),
            () => None,
        })
        .collect();
    assert!(told.len() >= 3 && told.windows(2).all(|pair| pair[0] != pair[1]), "once per change: {said}");
    let events = read_topic(&kafka.bootstrap(), &name);
    let sequences: BTreeSet<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences.len(), events.len(), "no event twice");
    assert_eq!(sequences, (0..events.len() as u64).collect(), "none is missing");
    assert!(said.contains(&format!(" acknowledged={} ", events.len())), "{said}");

    without_kafka_a_stop_names_what_was_not_delivered(&kafka).await;
}

/// Shares the brokers of the test before it: three of them are not started for nothing.
async fn without_kafka_a_stop_names_what_was_not_delivered(kafka: &Kafka) {
    let start = |flush_s| Run::plant_flushing(&kafka.bootstrap(), &id("plant"), 100, None, flush_s);
    let (patient, hasty) = (start(3), start(600));
    let metric = async |name| patient.metric(name).await.min(hasty.metric(name).await);
    wait_until(DEADLINE, "events are acknowledged", async || metric("producer_events_acknowledged_total").await > 100)
        .await;
    for broker in kafka.brokers() {
        broker.kill();
    }
    wait_until(DEADLINE, "events wait", async || metric("producer_events_waiting").await > 100).await;
    for run in [&patient, &hasty] {
        run.process.term().expect("it runs");
    }
    wait_until(DEADLINE, "it has heard", async || hasty.process.output().contains("stop requested")).await;
    hasty.process.term().expect("it waits for acknowledgements");
    assert_eq!(hasty.exit().await, Some(128 + 15), "{}", hasty.process.last_output());
    assert_eq!(patient.exit().await, Some(75), "{}", patient.process.last_output());
    let said = patient.process.output();
    assert!(said.contains("not every event is acknowledged") && said.contains(" undelivered="), "{said}");

    let never = start(3);
    wait_until(DEADLINE, "it serves", async || never.get("/readyz").await.contains("waiting for kafka")).await;
    never.process.term().expect("it runs");
    assert_eq!(never.exit().await, Some(0), "nothing was sent: {}", never.process.last_output());
}

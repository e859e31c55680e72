//! A record that makes the decoder panic is a bad record like any other: a dead letter with its
//! bytes, and the ones around it are stored. The member runs in this process, with a decoder that
//! has the bug.

use std::process::Command;
use std::time::Duration;

use alarms::Observation;
use clap::Parser;
use consumer::member::{self, Options, Workload};
use lifecycle::exit;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use schema::sensor_reading::{VERSION, decode};
use schema::topics::Topic;
use schema::{Fault, SensorReading, SensorType};
use store::copy::Origin;
use store::sensor_readings::{BATCH, encode_row};
use testkit::{Scratch, Shared, shared, wait_until};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(60);
/// The sensor that the decoder cannot bear.
const CURSED: &str = "cursed";

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
}

fn panicking<'p>(
    row: &mut Vec<u8>,
    payload: Option<&'p [u8]>,
    origin: &Origin<'_>,
) -> Result<Option<Observation<'p>>, Fault> {
    let reading = decode(payload)?;
    // What a panic leaves behind must not be taken for a row.
    row.extend_from_slice(b"half a row");
    assert!(reading.sensor_id != CURSED, "a bug that only this sensor finds");
    row.clear();
    encode_row(row, &reading, origin);
    Ok(None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_panics_the_decoder_becomes_a_letter_among_its_neighbours() {
    let services = shared().await;
    let name = Uuid::new_v4().simple().to_string();
    let (topic, group) = (format!("readings-{name}"), format!("group-{name}"));
    let migrated = command(&services, &["migrate", "--wait", "30", "--group", &group]);
    assert_eq!(migrated.0, Some(0), "{}", migrated.1);
    send(&services, &topic, 300, &[0, 1, 150, 299]).await;

    let scratch = Scratch::new("decoder-panic").expect("a folder");
    let dir = scratch.path().to_string_lossy().into_owned();
    let line = ["consumer", "--id", "panicking", "--http-addr", "127.0.0.1:0", "--topic", &topic, "--group", &group];
    let places = ["--data-dir", &dir, "--kafka-brokers", &services.brokers, "--database-url", &services.database_url];
    let line = CommandLine::try_parse_from(line.into_iter().chain(places)).expect("a command line");
    let workload = Workload { encode: panicking, target: BATCH, beside: None };
    let member = tokio::spawn(member::run(workload, line.options, None));

    wait_until(DEADLINE, "every record is a row or a letter", async || {
        let (_, text) = command(&services, &["verify", "--json"]);
        let report: serde_json::Value =
            serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap_or_default();
        let partition = &report["partitions"][0];
        (&partition["rows"], &partition["dead_letters"]) == (&296.into(), &4.into())
    })
    .await;
    let (code, text) = command(&services, &["verify"]);
    assert_eq!(code, Some(0), "{text}");
    let (_, letters) = command(&services, &["dead-letters", "list", "--reason-code", "decoder_panic"]);
    assert_eq!(letters.matches("the decoder panicked on this record").count(), 4, "{letters}");

    let stop = Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status();
    assert!(stop.expect("there is a kill").success());
    assert_eq!(member.await.expect("the member itself does not panic"), exit::OK);
}

/// A topic of one partition with so many readings, some of them of the cursed sensor.
async fn send(services: &Shared, topic: &str, count: u64, cursed: &[u64]) {
    let name: &'static str = Box::leak(topic.to_owned().into_boxed_str());
    let topic = Topic { name, partitions: 1, key: "sensor_id", retention: Duration::from_secs(3_600) };
    let options = kafka::Options::plaintext(services.brokers.as_str());
    kafka::admin::ensure_topics(&options, "test", &[topic]).await.expect("the topic is made");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &services.brokers).set("acks", "all").set("linger.ms", "0");
    let producer: FutureProducer = config.create().expect("a producer");
    let run_id = Uuid::new_v4();
    for sequence in 0..count {
        let reading = SensorReading {
            version: VERSION,
            sensor_id: if cursed.contains(&sequence) { CURSED } else { "sensor-1" }.into(),
            sensor_type: SensorType::Pressure,
            unit: "bar".into(),
            value: 1.5,
            event_time: jiff::Timestamp::UNIX_EPOCH,
            producer_id: "pressure-sensor".into(),
            run_id,
            sequence,
        };
        let payload = reading.encode();
        let record = FutureRecord::<(), [u8]>::to(name).payload(&payload);
        producer.send(record, DEADLINE).await.expect("it is acknowledged");
    }
}

/// Runs a command of the built `consumer`; its exit code and what it printed.
fn command(services: &Shared, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consumer"));
    command.args(arguments);
    command.env("DATABASE_URL", &services.database_url).env("KAFKA_BROKERS", &services.brokers);
    let output = command.output().expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

//! `producer pipe` against real brokers: every line one event, and what becomes of the others.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{PipeWriter, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use testkit::{Kafka, KafkaOptions, Program, shared, wait_until};

use crate::log::read_topic;
use crate::run::{DEADLINE, Run, id};

/// A reading of some other producer and run, which the pipe makes its own.
fn line(number: u64) -> String {
    format!(
        r#"{{"version":1,"sensor_id":"press-{}","sensor_type":"pressure","unit":"bar","value":{number}.25,"#,
        number % 3
    ) + r#""event_time":"2013-12-02T21:15:00Z","producer_id":"elsewhere","#
        + &format!(r#""run_id":"0193d1c4-8a7e-7d3e-9f0a-2b1c3d4e5f60","sequence":{}}}"#, number * 7)
}

fn pipe(brokers: &str, name: &str, text: &str, more: &[&str]) -> Run {
    Run::start(brokers, |program, dir| {
        let file = dir.join("lines");
        fs::write(&file, text).expect("it is written");
        reading(program, name).args(more).stdin(File::open(file).expect("it is there"))
    })
}

fn reading(program: Program, name: &str) -> Program {
    program.args(["pipe", "--flush-timeout-s", "60", "--id", name])
}

#[tokio::test]
async fn every_line_is_one_event_of_this_run_in_the_input_s_order() {
    let brokers = shared().await.brokers;
    let name = id("pipe");
    let text: String = (0..3_000).map(|number| line(number) + if number == 2_999 { "" } else { "\n" }).collect();
    let run = pipe(&brokers, &name, &text, &[]);
    assert_eq!(run.exit().await, Some(0), "{}", run.process.last_output());
    assert!(run.process.output().contains("3000 lines: 3000 sent, 3000 acknowledged, 0 bad\n"));

    let events = read_topic(&brokers, &name);
    let sequences: BTreeSet<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!((events.len(), sequences), (3_000, (0..3_000).collect()));
    for event in &events {
        assert_eq!(event.value, event.sequence as f64 + 0.25, "its number is its place in the input");
        assert_eq!((&event.key, &event.run_id), (&event.sensor_id, &events[0].run_id));
    }
    assert_ne!(events[0].run_id.to_string(), "0193d1c4-8a7e-7d3e-9f0a-2b1c3d4e5f60");
}

#[tokio::test]
async fn a_line_that_is_no_reading_is_told_by_line_field_and_reason() {
    let brokers = shared().await.brokers;
    let text = [line(0), line(1).replace("1.25", "\"many\""), line(2), "{".into(), line(4)].join("\n");

    let name = id("pipe");
    let stopped = pipe(&brokers, &name, &text, &[]);
    assert_eq!(stopped.exit().await, Some(65), "{}", stopped.process.last_output());
    let said = stopped.process.output();
    assert!(
        said.contains("line=2 field=\"value\" code=wrong_type") && said.contains("`value`: invalid type"),
        "{said}"
    );
    assert!(said.contains("2 lines: 1 sent, 1 acknowledged, 1 bad\n"), "{said}");
    assert_eq!(read_topic(&brokers, &name).len(), 1, "what is before the bad line is sent");

    let name = id("pipe");
    let skipped = pipe(&brokers, &name, &text, &["--on-error", "skip"]);
    assert_eq!(skipped.exit().await, Some(0), "{}", skipped.process.last_output());
    let said = skipped.process.output();
    assert!(said.contains("line=2 ") && said.contains("line=4 code=invalid_json"), "{said}");
    assert!(said.contains("5 lines: 3 sent, 3 acknowledged, 2 bad\n"), "{said}");
    let values: BTreeSet<String> = read_topic(&brokers, &name).iter().map(|event| event.value.to_string()).collect();
    assert_eq!(values, ["0.25", "2.25", "4.25"].map(String::from).into());
}

#[tokio::test]
async fn while_kafka_is_away_the_input_is_not_read_and_then_nothing_is_missing_or_doubled() {
    const LINES: u64 = 160_000;
    let kafka = Kafka::start(KafkaOptions::default()).await.expect("brokers start");
    let (stdin, input) = std::io::pipe().expect("a pipe");
    let name = id("pipe");
    let run = Run::start(&kafka.bootstrap(), |program, _| reading(program, &name).stdin(stdin));
    let written = Arc::new(AtomicU64::new(0));
    let (go_on, killed) = mpsc::channel();
    let writer = std::thread::spawn({
        let written = Arc::clone(&written);
        move || write(input, LINES, &written, &killed)
    });
    let acknowledged = async || run.metric("producer_events_acknowledged_total").await;
    wait_until(DEADLINE, "events are acknowledged", async || acknowledged().await > 1_000).await;
    for broker in kafka.brokers() {
        broker.kill();
    }
    go_on.send(()).expect("the writer waits for it");
    wait_until(DEADLINE, "the queue is full", async || run.metric("producer_queue_full_total").await > 10).await;
    let read = run.metric("producer_events_sent_total").await;
    // What is read ahead, and what the kernel's pipe holds (64 KiB), is far below a thousand lines.
    let ahead = written.load(Ordering::Relaxed) - read;
    assert!(ahead < 1_000, "{ahead} lines are read ahead of {read} sent");
    assert!(!writer.is_finished(), "whoever writes has to wait");

    for broker in kafka.brokers() {
        broker.start().expect("it starts again");
    }
    assert_eq!(run.exit().await, Some(0), "{}", run.process.last_output());
    writer.join().expect("it wrote").expect("all of it");
    let events = read_topic(&kafka.bootstrap(), &name);
    let sequences: BTreeSet<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences.len(), events.len(), "no event twice");
    assert_eq!(sequences, (0..LINES).collect(), "none is missing");
}

/// Two thousand lines, and the rest once Kafka is away.
fn write(mut input: PipeWriter, lines: u64, written: &AtomicU64, away: &mpsc::Receiver<()>) -> std::io::Result<()> {
    for number in 0..lines {
        if number == 2_000 {
            away.recv().expect("the test says so");
        }
        input.write_all((line(number) + "\n").as_bytes())?;
        written.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

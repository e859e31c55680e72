//! Every line of the fault matrix once, with a printed seed; `make soak` runs it with many seeds.
//!
//! A group of lines has brokers and a Postgres of its own, so that the groups can run side by side.

use std::fmt::Write as _;
use std::time::Instant;

use e2e::plant::Site;
use e2e::scenario::{Scenario, kafka, postgres, process, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_processes_leaves_each_row_once() {
    matrix(process::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_postgres_leaves_each_row_once() {
    matrix(postgres::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_kafka_leaves_each_row_once() {
    matrix(kafka::SCENARIOS).await;
}

/// Runs every scenario, also after one that failed, and prints what was hit.
async fn matrix(scenarios: &[Scenario]) {
    let seed = testkit::seed();
    let site = Site::start().await.expect("brokers and Postgres start");
    let (mut table, mut failures) = (String::from("| scenario | phase | hits |\n|---|---|---|\n"), Vec::new());
    for scenario in scenarios {
        let began = Instant::now();
        match run(*scenario, &site, seed).await {
            Ok(hits) => {
                println!("{}: ok in {:.1} s", scenario.name, began.elapsed().as_secs_f64());
                for (phase, count) in hits {
                    writeln!(table, "| {} | {phase} | {count} |", scenario.name)
                        .expect("a String takes all that memory does");
                }
            }
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    println!("{table}");
    assert!(failures.is_empty(), "with TEST_SEED={seed}:\n{}", failures.join("\n"));
}

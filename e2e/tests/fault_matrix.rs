//! The core of the fault matrix once, with a printed seed, one line after the other: what fits into
//! the time of `make test`. `make soak` runs every line with many seeds.

use std::fmt::Write as _;
use std::time::Instant;

use e2e::plant::Site;
use e2e::scenario::{all, run};

/// A line for each part that can die: a process, the database, a broker, and a hand-over.
const CORE: [&str; 8] = [
    "consumer kill -9, random phases",
    "consumer kill -9, named phases",
    "stopped between claim and first fetch",
    "SIGTERM: drained, seen as a leave",
    "rolling restart, static members",
    "Postgres kill -9",
    "broker kill -9",
    "poison, one in 10,000",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_core_leaves_each_row_once() {
    let seed = testkit::seed();
    let site = Site::start().await.expect("brokers and Postgres start");
    let (mut table, mut failures) = (String::from("| scenario | phase | hits |\n|---|---|---|\n"), Vec::new());
    for name in CORE {
        let scenario = all().into_iter().find(|scenario| scenario.name == name).expect("the matrix has this line");
        let began = Instant::now();
        match run(scenario, &site, seed).await {
            Ok(hits) => {
                println!("{name}: ok in {:.1} s", began.elapsed().as_secs_f64());
                for (phase, count) in hits {
                    writeln!(table, "| {name} | {phase} | {count} |").expect("a String takes all that memory does");
                }
            }
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    println!("{table}");
    assert!(failures.is_empty(), "with TEST_SEED={seed}:\n{}", failures.join("\n"));
}

//! `testkit run -- CMD…`: Kafka and Postgres for as long as one command runs.

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;
use testkit::{Kafka, KafkaOptions, Postgres, PostgresOptions, services};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};

/// Throw-away brokers and Postgres for tests
#[derive(Parser)]
#[command(name = "testkit")]
struct Options {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start Kafka and Postgres, run a command, stop everything, return the command's exit code
    ///
    /// The command finds them in TESTKIT_KAFKA_BROKERS and TESTKIT_DATABASE_URL.
    Run {
        /// The command and its arguments, after `--`
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Action::Run { command } = Options::parse().command;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;

    let services =
        async { tokio::try_join!(Kafka::start(KafkaOptions::default()), Postgres::start(PostgresOptions::default())) };
    // Whatever has been started by the time of a signal is killed by its Drop.
    let (kafka, postgres) = select! {
        services = services => services?,
        _ = interrupt.recv() => return Ok(ended_by(Signal::INT)),
        _ = terminate.recv() => return Ok(ended_by(Signal::TERM)),
    };

    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .env(services::KAFKA_BROKERS, kafka.bootstrap())
        .env(services::DATABASE_URL, postgres.url("postgres"))
        // A group of its own, so that a signal reaches the tests that cargo has started.
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {}", command[0].display()))?;
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let group = id.expect("the kernel gives positive process ids");
    let mut ended = tokio::task::spawn_blocking(move || child.wait());

    let received = select! {
        status = &mut ended => return Ok(exit_code(status.context("waiting")?.context("waiting")?)),
        _ = interrupt.recv() => Signal::INT,
        _ = terminate.recv() => Signal::TERM,
    };
    let _ = kill_process_group(group, received);
    if tokio::time::timeout(Duration::from_secs(10), &mut ended).await.is_err() {
        let _ = kill_process_group(group, Signal::KILL);
        let _ = ended.await;
    }
    Ok(ended_by(received))
}

/// The shells' convention: 128 and the signal.
fn ended_by(signal: Signal) -> ExitCode {
    ExitCode::from(128 + u8::try_from(signal.as_raw()).expect("signals are below 65"))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

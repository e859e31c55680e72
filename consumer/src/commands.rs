//! The command line of `consumer`: one module a command, each with its options and its `run`.
//!
//! A command prints what it found or did on stdout and why it failed on stderr, one line, and
//! answers with an exit code (docs/commands.md). None of them needs a running consumer.

mod brokers;
mod failure;
mod migrate;
mod table;
mod verify;

use clap::{Parser, Subcommand};
use failure::Failure;

/// What the commands call themselves towards brokers and database.
const CLIENT_ID: &str = "consumer-command";
/// The consumer group of the sensors workload.
const GROUP: &str = "sensor-consumers";

/// Stores every event exactly once and journals every rebalance
#[derive(Debug, Parser)]
#[command(version)]
pub struct Program {
    /// What to do
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring schema, topics and group settings to this build's state; run once before the rest
    Migrate(migrate::Options),
    /// Prove from the rows that no record was lost or stored twice
    Verify(verify::Options),
    /// Run one member of the group that stores sensor readings
    Sensors(Box<consumer::sensors::Options>),
}

/// Runs the command to its exit code.
pub fn run(program: Program) -> u8 {
    match program.command {
        Command::Migrate(options) => finish(migrate::run(options)),
        Command::Verify(options) => finish(verify::run(options)),
        Command::Sensors(options) => finish(async { Ok(consumer::sensors::run(*options).await) }),
    }
}

/// Runs a command that is a future and says why it failed.
fn finish(command: impl Future<Output = Result<u8, Failure>>) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Unavailable(format!("starting the runtime: {error}")).report(),
    };
    runtime.block_on(command).unwrap_or_else(|failure| failure.report())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Program::command().debug_assert();
    }
}

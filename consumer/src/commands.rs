//! The command line of `consumer`: one module a command, each with its options and its `run`.
//!
//! A command prints what it found or did on stdout and why it failed on stderr, one line, and
//! answers with an exit code (docs/commands.md). None of them needs a running consumer.

mod alarms;
mod check;
mod dead_letters;
mod failure;
mod feed_settings;
mod migrate;
mod offsets;
mod printable;
mod retention;
mod table;
mod verify;
mod who;

use clap::{Parser, Subcommand};
use configuration::Effective;
use consumer::{feed, member, sensors};
use failure::Failure;
use lifecycle::exit;
use schema::topics::TWEETS;
use store::{Store, schema_version};

/// What the commands call themselves towards brokers and database.
const CLIENT_ID: &str = "consumer-command";
/// The consumer group of the sensors workload.
const GROUP: &str = "sensor-consumers";
/// The consumer group of the feed workload.
const FEED_GROUP: &str = "feed-workers";

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
    /// Say whether all that a consumer needs is there, a line each
    Check(check::Options),
    /// Store sensor readings: one process, one member of the group
    Sensors(member::Options),
    /// Store tweets and fan them out to feeds: one process, one member of the group
    #[command(
        mut_arg("topic", |a| a.env("TWEET_TOPIC").default_value(TWEETS.name)),
        mut_arg("group", |a| a.default_value(FEED_GROUP)),
        mut_arg("batch_max_records", |a| a.default_value("50")),
        mut_arg("http_addr", |a| a.default_value("127.0.0.1:9131")),
    )]
    Feed(member::Options),
    /// Prove from the rows that no record was lost or stored twice
    Verify(verify::Options),
    /// Records that were no events: list, show, replay
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// What is wrong: list, acknowledge, shelve, limits
    #[command(subcommand)]
    Alarms(alarms::Command),
    /// Stored offsets: show, adopt, release, set
    #[command(subcommand)]
    Offsets(offsets::Command),
    /// Drop old days of rows and ledger
    Retention(retention::Options),
    /// How tweets reach their audiences: shown, and changed for those that follow
    FeedSettings(feed_settings::Options),
}

/// Runs the command to its exit code.
pub fn run(program: Program, settings: &Effective) -> u8 {
    if !matches!(program.command, Command::Sensors(_) | Command::Feed(_)) {
        lifecycle::end_when_nobody_reads();
    }
    match program.command {
        Command::Migrate(options) => finish(migrate::run(options)),
        Command::Check(options) => finish(check::run(options)),
        Command::Sensors(options) => {
            finish(async { Ok(member::run(sensors::WORKLOAD, options, Some(settings)).await) })
        }
        Command::Feed(options) => finish(async { Ok(member::run(feed::WORKLOAD, options, Some(settings)).await) }),
        Command::Verify(options) => finish(verify::run(options)),
        Command::DeadLetters(command) => finish(dead_letters::run(command)),
        Command::Alarms(command) => finish(alarms::run(command)),
        Command::Offsets(command) => finish(offsets::run(command)),
        Command::Retention(options) => finish(retention::run(options)),
        Command::FeedSettings(options) => finish(feed_settings::run(options)),
    }
}

/// The database of a command that needs its schema.
async fn open(options: &store::Options) -> Result<Store, Failure> {
    let store = Store::new(options, CLIENT_ID)?;
    schema_version::check(&store).await?;
    Ok(store)
}

/// Runs a command that is a future and says why it failed.
fn finish(command: impl Future<Output = Result<u8, Failure>>) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Unavailable(format!("starting the runtime: {error}")).report(),
    };
    // A panic has said itself on stderr; the supervisor is to know it for a bug.
    let run = std::panic::AssertUnwindSafe(|| runtime.block_on(command));
    match std::panic::catch_unwind(run) {
        Ok(outcome) => outcome.unwrap_or_else(|failure| failure.report()),
        Err(_) => exit::SOFTWARE,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Program::command().debug_assert();
    }

    #[test]
    fn the_page_of_settings_is_what_the_consumer_takes() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let held = configuration::page::hold(page.as_ref(), &configuration::command::<super::Program>());
        held.unwrap_or_else(|error| panic!("{error}"));
    }
}

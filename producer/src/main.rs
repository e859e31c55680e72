//! `producer`: a simulated plant, a replayed recording or lines of JSON, into Kafka; and the API of the tweet feed.

use std::process::ExitCode;

use configuration::Effective;
use lifecycle::exit;
use producer::{
    app, demonstration,
    options::{Command, Options, Tweets},
    setup::{Refused, Setup},
    tweets,
};
use tracing::{error, info};

fn main() -> ExitCode {
    let (options, settings) = match configuration::parse::<Options>() {
        Ok(parsed) => parsed,
        Err(error) => return refuse_command_line(&error),
    };
    match options.command {
        Command::Sensor(sensor) => produce(Setup::sensor(sensor), &settings),
        Command::Replay(replay) => produce(Setup::replay(replay), &settings),
        Command::Pipe(pipe) => produce(Setup::pipe(pipe), &settings),
        Command::Tweets(tweets) => serve(tweets, &settings),
        Command::FeedDemo(options) => demonstration::feed_demo(options).map_or_else(refuse, ExitCode::from),
        Command::FeedReplay(options) => demonstration::feed_replay(options).map_or_else(refuse, ExitCode::from),
    }
}

/// Sends the events of a source.
fn produce(setup: Result<Setup, Refused>, settings: &Effective) -> ExitCode {
    let setup = match setup {
        Ok(setup) => setup,
        Err(refused) => return refuse(refused),
    };
    info!(%settings, "starting");
    match app::run(setup) {
        Ok(report) => {
            if let Some(rows) = report.rows {
                let counts = report.counts;
                println!("{rows} rows: {} sent, {} acknowledged", counts.sent, counts.acknowledged);
            }
            if let Some(lines) = report.input {
                let (read, counts) = (lines.good + lines.bad, report.counts);
                println!("{read} lines: {} sent, {} acknowledged, {} bad", counts.sent, counts.acknowledged, lines.bad);
            }
            report.exit_code().into()
        }
        Err(failure) => fail(&failure),
    }
}

/// Serves the API of the tweet feed.
fn serve(options: Tweets, settings: &Effective) -> ExitCode {
    match tweets::run(options, settings) {
        Ok(()) => exit::OK.into(),
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &anyhow::Error) -> ExitCode {
    error!(error = format!("{failure:#}"), "ended in failure");
    app::failure_code(failure).into()
}

fn refuse(refused: Refused) -> ExitCode {
    eprintln!("producer: {:#}", refused.error);
    refused.code.into()
}

/// Help and version are answers; anything else that the command line cannot be is a usage error.
fn refuse_command_line(error: &clap::Error) -> ExitCode {
    // Nowhere left to say it when stderr is gone.
    let _ = error.print();
    if error.use_stderr() { exit::USAGE.into() } else { exit::OK.into() }
}

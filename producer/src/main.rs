//! `producer`: a simulated plant, a replayed recording or lines of JSON, into Kafka.

use std::process::ExitCode;

use lifecycle::exit;
use producer::{app, options::Options, setup::Setup};
use tracing::{error, info};

fn main() -> ExitCode {
    let (options, settings) = match configuration::parse::<Options>() {
        Ok(parsed) => parsed,
        Err(error) => return refuse_command_line(&error),
    };
    let setup = match Setup::new(options.command) {
        Ok(setup) => setup,
        Err(refused) => {
            eprintln!("producer: {:#}", refused.error);
            return refused.code.into();
        }
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
        Err(failure) => {
            error!(error = format!("{failure:#}"), "ended in failure");
            app::failure_code(&failure).into()
        }
    }
}

/// Help and version are answers; anything else that the command line cannot be is a usage error.
fn refuse_command_line(error: &clap::Error) -> ExitCode {
    // Nowhere left to say it when stderr is gone.
    let _ = error.print();
    if error.use_stderr() { exit::USAGE.into() } else { exit::OK.into() }
}

//! `monitor`: serves the health and the metrics of the pipeline, read-only.
//!
//! ```text
//! GET /livez /readyz /metrics ─> http ─> Readiness <─ database (probed each second)
//! ```
//!
//! It writes nothing, and its own stopping or failing harms nobody that it watches.

mod address;
mod database;
mod options;

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use lifecycle::{Readiness, Shutdown, TaskError, Tasks, exit};
use store::Store;
use telemetry::Metrics;
use tracing::error;

use crate::{database::Database, options::Options};

/// How long a stop may take, all in all.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return refuse_command_line(&error),
    };
    let setup = match Setup::new(&options) {
        Ok(setup) => setup,
        Err(error) => {
            eprintln!("monitor: {error:#}");
            return exit::USAGE.into();
        }
    };
    match run(setup) {
        Ok(()) => exit::OK.into(),
        Err(failure) => {
            error!(error = format!("{failure:#}"), "ended in failure");
            code(&failure).into()
        }
    }
}

/// What the configuration amounts to, found out before any connection is made.
struct Setup {
    address: SocketAddr,
    store: Store,
    metrics: Metrics,
}

impl Setup {
    fn new(options: &Options) -> anyhow::Result<Self> {
        Ok(Self {
            address: address::allowed(options.host, options.port, options.trusted_network)?,
            store: Store::new(&options.store, "monitor")?,
            metrics: telemetry::init("monitor", &options.telemetry)?,
        })
    }
}

#[tokio::main]
async fn run(setup: Setup) -> anyhow::Result<()> {
    let Setup { address, store, metrics } = setup;
    let shutdown = Shutdown::on_signals().context("listening for signals")?;
    let readiness = Readiness::new();
    let database = Database::new(store, &readiness);
    let listener = http::bind(address).await?;
    let routes = http::ops(readiness, telemetry::CONTENT_TYPE, move || metrics.render());

    let mut tasks = Tasks::new(shutdown);
    tasks.spawn("http", |stop| http::serve(listener, routes, http::Limits::default(), stop));
    tasks.spawn("database", |stop| database.watch(stop));
    tasks.run(STOP_DEADLINE).await?;
    Ok(())
}

/// Help and version are answers; anything else that the command line cannot be is a usage error.
fn refuse_command_line(error: &clap::Error) -> ExitCode {
    // Nowhere left to say it when stderr is gone.
    let _ = error.print();
    if error.use_stderr() { exit::USAGE.into() } else { exit::OK.into() }
}

fn code(failure: &anyhow::Error) -> u8 {
    if failure.is::<TaskError>() { exit::SOFTWARE } else { exit::UNAVAILABLE }
}

//! `monitor`: shows the pipeline as it is now and what happened to it. It never writes what it watches.
//!
//! ```text
//! database (asked each second) ─┐
//!                               ├─> Facts ─> view ─> api  GET /api/…
//! cluster  (asked each second) ─┘             └────> stream  GET /api/stream ─> page
//! event_outbox ─recorder─> event_stream ─follower─────^
//!                  └ also tells the alarms of the system
//! guard stands before all routes; /livez /readyz /metrics are the server's own
//! ```

mod address;
mod api;
mod check;
mod cluster;
mod coordinator;
mod database;
mod facts;
mod guard;
mod metrics;
mod options;
mod page;
mod record;
mod recorder;
mod stream;
mod system_alarms;
mod task;
mod view;
mod workload;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use configuration::Secret;
use kafka::Inspector;
use lifecycle::{Readiness, Shutdown, TaskError, Tasks, exit};
use store::Store;
use telemetry::Metrics;
use tokio::sync::{Notify, watch};
use tracing::{error, info};
use warp::Filter;

use crate::{
    api::Api,
    database::Database,
    facts::Facts,
    guard::Policy,
    options::{Command, Options},
    stream::Hub,
    workload::Workload,
};

/// How long a stop may take, all in all.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let (options, settings) = match configuration::parse::<Options>() {
        Ok(parsed) => parsed,
        Err(error) => return refuse_command_line(&error),
    };
    if let Some(command) = options.command {
        return finish(command, &options).into();
    }
    let setup = match Setup::new(&options) {
        Ok(setup) => setup,
        Err(error) => {
            eprintln!("monitor: {error:#}");
            return exit::USAGE.into();
        }
    };
    info!(%settings, "starting");
    match run(setup) {
        Ok(()) => exit::OK.into(),
        Err(failure) => {
            error!(error = format!("{failure:#}"), "ended in failure");
            code(&failure).into()
        }
    }
}

/// Does what there is to do besides serving; the exit code.
#[tokio::main(flavor = "current_thread")]
async fn finish(command: Command, options: &Options) -> u8 {
    lifecycle::end_when_nobody_reads();
    task::run(command, options).await
}

/// What the configuration amounts to, found out before any connection is made.
struct Setup {
    address: SocketAddr,
    policy: Policy,
    workloads: [Workload; 2],
    inspector: Inspector,
    group_inspector: Inspector,
    store: Store,
    recorder: Option<Store>,
    metrics: Metrics,
}

impl Setup {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let token = options.token.as_ref().map(Secret::expose);
        let guarded = options.trusted_network || token.is_some();
        Ok(Self {
            address: address::allowed(options.host, options.port, guarded)?,
            policy: Policy::new(token, &options.allowed_hosts),
            workloads: workloads(options)?,
            inspector: Inspector::new(&options.kafka, "monitor").map_err(anyhow::Error::msg)?,
            // Of its own: a question to a slow leader must not hold up the one to the coordinator.
            group_inspector: Inspector::new(&options.kafka, "monitor").map_err(anyhow::Error::msg)?,
            store: Store::read_only(&options.store, "monitor")?,
            recorder: recorder_store(options)?,
            metrics: telemetry::init("monitor", &options.telemetry)?,
        })
    }
}

/// What is watched. Each topic has one target: otherwise every partition would be there twice.
fn workloads(options: &Options) -> anyhow::Result<[Workload; 2]> {
    let workloads = options.workloads();
    if workloads[0].topic == workloads[1].topic {
        anyhow::bail!("--tweet-topic: {} is the topic of the sensors' readings already (--topic)", options.tweet_topic);
    }
    Ok(workloads)
}

/// The recorder's way to the database, where there is one.
fn recorder_store(options: &Options) -> anyhow::Result<Option<Store>> {
    let Some(url) = &options.recorder_database_url else { return Ok(None) };
    let options = store::Options { database_url: url.expose().to_owned(), database_pool_size: 1 };
    Store::new(&options, "monitor-recorder").context("RECORDER_DATABASE_URL").map(Some)
}

#[tokio::main]
async fn run(setup: Setup) -> anyhow::Result<()> {
    let Setup { address, policy, workloads, inspector, group_inspector, store, recorder, metrics } = setup;
    let shutdown = Shutdown::on_signals().context("listening for signals")?;
    let readiness = Readiness::new();
    let facts = watch::Sender::new(Facts::of(&workloads));
    let database = Database::new(store.clone(), facts.clone(), &readiness);
    let hub = Hub::new(store.clone(), shutdown.clone());
    let api = Api { facts: facts.subscribe(), store, recorder: recorder.clone(), hub: hub.clone() };
    let meter = opentelemetry::global::meter("monitor");
    metrics::observe(&meter, &facts.subscribe());
    let policy = Arc::new(policy);
    let listener = http::bind(address).await?;
    let ops = http::ops(readiness, telemetry::CONTENT_TYPE, move || metrics.render()).map(warp::Reply::into_response);
    let routes = ops.or(api::routes(api)).unify().or(guard::login(Arc::clone(&policy))).unify();
    let routes = routes.or(page::routes()).unify();
    let routes = guard::guard(policy).and(routes);

    let mut tasks = Tasks::new(shutdown);
    tasks.spawn("http", |stop| http::serve(listener, routes, http::Limits::default(), stop));
    let (told, watched) = (hub.clone(), facts.subscribe());
    tasks.spawn("state", |stop| told.tell_state(watched, stop));
    tasks.spawn("follower", |stop| hub.follow(stop));
    let group_changed = Arc::new(Notify::new());
    if let Some(store) = recorder {
        let watched = facts.subscribe();
        let changed = Arc::clone(&group_changed);
        tasks.spawn("recorder", |stop| recorder::run(store, watched, changed, stop));
    }
    let told = facts.clone();
    tasks.spawn("coordinator", |stop| coordinator::watch(group_inspector, told, group_changed, stop));
    tasks.spawn("cluster", |stop| cluster::watch(inspector, facts, stop));
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

//! The parts of a running producer, put together.
//!
//! ```text
//! spawned first ─> http, health, heartbeat, events <─ stopped first
//! ```

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use lifecycle::{Readiness, Shutdown, TaskError, Tasks, exit};
use resilience::Backoff;
use schema::topics::{self, Topic};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    connection::LastSeen,
    health::Health,
    heartbeat::Heartbeat,
    publisher::{self, Publisher},
    setup::{Setup, Source},
    tally::{Counts, Tally},
    tweets::posting,
};

/// For what a stop does besides waiting for acknowledgements.
const STOP_MARGIN: Duration = Duration::from_secs(4);

/// What a run has come to.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// What became of the events.
    pub counts: Counts,
    /// How many there should have been, where that is known.
    pub rows: Option<u64>,
    /// What came in, where that is not known before.
    pub input: Option<Lines>,
}

/// The lines of standard input.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// Handed to Kafka's client.
    pub good: u64,
    /// No readings.
    pub bad: u64,
    /// Whether the input was read to its end, or to the bad line that was to end it.
    pub read: bool,
    /// Whether a bad line ended it.
    pub refused: bool,
}

impl Report {
    /// Ok only when everything that should be, and everything that was, sent is acknowledged; data error when that is
    /// so for everything before a bad line.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let complete = self.rows.is_none_or(|rows| self.counts.acknowledged == rows);
        let complete = complete && self.input.is_none_or(|lines| lines.read);
        match self.input {
            _ if !complete || self.counts.undelivered() > 0 => exit::TEMPORARY,
            Some(Lines { refused: true, .. }) => exit::DATA,
            _ => exit::OK,
        }
    }
}

/// The exit code of a run that ended in failure.
#[must_use]
pub fn failure_code(failure: &anyhow::Error) -> u8 {
    match failure.downcast_ref() {
        Some(TaskError::Failed { source, .. }) if source.is::<publisher::Error>() || source.is::<posting::Fatal>() => {
            exit::TEMPORARY
        }
        Some(TaskError::Failed { source, .. }) if source.is::<kafka::admin::Error>() => exit::UNAVAILABLE,
        Some(_) => exit::SOFTWARE,
        None => exit::UNAVAILABLE,
    }
}

/// Runs until the source has ended or the stop is requested.
///
/// # Errors
/// When the address is taken or a task fails.
#[tokio::main]
pub async fn run(setup: Setup) -> anyhow::Result<Report> {
    let shutdown = Shutdown::on_signals().context("listening for signals")?;
    let readiness = Readiness::new();
    let (tally, seen) = (Arc::new(Tally::default()), Arc::new(LastSeen::default()));
    tally.observe(&opentelemetry::global::meter("producer"));
    let health = Health::new(Arc::clone(&tally), Arc::clone(&seen), &readiness);
    let (rows, input) = (setup.source.rows(), setup.source.input());

    let mut tasks = Tasks::new(shutdown.clone());
    if let Some(address) = setup.http_addr {
        let listener = http::bind(address).await?;
        let metrics = setup.metrics.clone();
        let routes = http::ops(readiness, telemetry::CONTENT_TYPE, move || metrics.render());
        tasks.spawn("http", |stop| http::serve(listener, routes, http::Limits::default(), stop));
    }
    let status = health.status();
    tasks.spawn("health", |stop| health.watch(shutdown.clone(), stop));
    if let Some(store) = setup.store {
        let identity = setup.identity.clone();
        let heartbeat = Heartbeat { store, identity, tally: Arc::clone(&tally), seen: Arc::clone(&seen), status };
        tasks.spawn("heartbeat", |stop| heartbeat.run(stop));
    } else {
        info!("no DATABASE_URL: no heartbeats");
    }
    let events = Events {
        source: setup.source,
        kafka: setup.kafka,
        producer_id: setup.identity.producer_id,
        run_id: setup.identity.run_id,
        flush_timeout: setup.flush_timeout,
        tally: Arc::clone(&tally),
        seen,
    };
    tasks.spawn("events", |stop| events.run(shutdown, stop));
    tasks.run(setup.flush_timeout + STOP_MARGIN).await?;

    let input = input.map(|input| Lines {
        good: input.good(),
        bad: input.bad(),
        read: input.ended() || input.refused(),
        refused: input.refused(),
    });
    let report = Report { counts: tally.counts(), rows, input };
    tell(&report);
    Ok(report)
}

fn tell(report: &Report) {
    let Counts { sent, acknowledged, failed, queue_full, skipped } = report.counts;
    let undelivered = report.counts.undelivered();
    if undelivered > 0 {
        warn!(sent, acknowledged, undelivered, failed, queue_full, skipped, "stopped; not every event is acknowledged");
        return;
    }
    if let Some(rows) = report.rows.filter(|rows| *rows > sent) {
        warn!(rows, sent, "stopped before the end of the recording");
    }
    if report.input.is_some_and(|lines| !lines.read) {
        warn!(sent, "stopped before the end of the input");
    }
    info!(sent, acknowledged, queue_full, skipped, "stopped; every event that was sent is acknowledged");
}

/// The work itself.
struct Events {
    source: Source,
    kafka: kafka::Options,
    producer_id: String,
    run_id: uuid::Uuid,
    flush_timeout: Duration,
    tally: Arc<Tally>,
    seen: Arc<LastSeen>,
}

impl Events {
    /// The topic, then the events, then their acknowledgements; at the end everybody may stop.
    async fn run(self, shutdown: Shutdown, stop: Shutdown) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            made = ensure_topic(&self.kafka, &self.producer_id, topics::SENSOR_READINGS) => made?,
        }
        let mut publisher =
            Publisher::new(&self.kafka, &self.producer_id, self.run_id, Arc::clone(&self.tally), self.seen)?;
        info!(producer_id = self.producer_id, run_id = %self.run_id, "producing");
        let ended = match self.source {
            Source::Simulation(simulation) => simulation.run(&mut publisher, &self.tally, &stop).await,
            Source::Replay(replay) => replay.run(&mut publisher, &self.tally, &stop).await,
            Source::Pipe(pipe) => pipe.run(&mut publisher, &self.tally, &stop).await,
        };
        publisher.finish(self.flush_timeout).await;
        ended?;
        shutdown.request("the source has ended");
        Ok(())
    }
}

/// Tries for as long as the brokers are away or too few.
pub(crate) async fn ensure_topic(
    kafka: &kafka::Options,
    client_id: &str,
    topic: Topic,
) -> Result<(), kafka::admin::Error> {
    let mut backoff =
        Backoff::new(Duration::from_millis(200), Duration::from_secs(5)).expect("0.2 s is shorter than 5 s");
    let mut told = false;
    loop {
        match kafka::admin::ensure_topics(kafka, client_id, &[topic]).await {
            Ok(made) => {
                for topic in made {
                    info!(topic, "made");
                }
                return Ok(());
            }
            Err(error) if error.is_transient() => {
                if !told {
                    warn!(%error, "waiting for Kafka to have the topic");
                    told = true;
                }
                sleep(backoff.next_delay()).await;
            }
            Err(error) => return Err(error),
        }
    }
}

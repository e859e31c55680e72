//! `producer tweets`: the HTTP API that takes tweets, and shows feeds.
//!
//! ```text
//! POST tweets ─> limits ─> admission ─> number (PostgreSQL) ─> publish (Kafka, acks=all) ─> 202
//! the rest ────> limits ─> PostgreSQL
//! ```
//!
//! The feeds are the workers' (`consumer feed`), by way of the topic: an API process holds nothing that is lost with it.

pub mod admission;
pub mod api;
pub mod asked;
pub mod content;
pub mod limits;
pub mod posting;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use configuration::Effective;
use kafka::Inspector;
use lifecycle::{Readiness, Shutdown, Tasks};
use store::{Store, schema_version};
use tokio::sync::Semaphore;
use tracing::info;
use warp::Filter as _;

use self::admission::Admission;
use self::api::{Api, Counts};
use self::asked::MOST_BODY_BYTES;
use self::limits::{Limits, Rate};
use crate::app;
use crate::connection::LastSeen;
use crate::health::Health;
use crate::heartbeat::{Heartbeat, Identity};
use crate::options::Tweets;
use crate::publisher::client::Context;
use crate::tally::Tally;

/// What its heartbeat says that it produces.
const PRODUCES: &str = "tweets";
/// The whole stop: answers under way have their deadline, and the last heartbeat.
const STOP_DEADLINE: Duration = Duration::from_secs(12);
/// From a request's head to its answer: the deadline of a post, and a wait for the database.
const REQUEST: Duration = Duration::from_secs(10);

/// Serves until the stop is requested.
///
/// # Errors
/// When the address is taken, an option is refused, or a task fails.
#[tokio::main]
pub async fn run(options: Tweets, settings: &Effective) -> anyhow::Result<()> {
    let metrics = telemetry::init("producer", &options.telemetry)?;
    info!(%settings, "starting");
    let identity = Identity::new(options.id.clone(), PRODUCES);
    let store = Store::new(&options.store, &options.id)?;
    let inspector = Inspector::new(&options.kafka, &options.id).map_err(anyhow::Error::msg)?;
    let shutdown = Shutdown::on_signals().context("listening for signals")?;
    let listener = http::bind(options.http_addr).await?;
    let readiness = Readiness::new();
    let meter = opentelemetry::global::meter("producer");
    let (tally, seen) = (Arc::new(Tally::default()), Arc::new(LastSeen::default()));
    tally.observe(&meter);
    let health = Health::new(Arc::clone(&tally), Arc::clone(&seen), &readiness);
    let admission = Arc::new(Admission::new(options.backlog_refuse, options.backlog_take.min(options.backlog_refuse)));
    admission.observe(&meter);
    let limits = Arc::new(Limits::new(
        Rate { per_second: options.user_rate, burst: options.user_burst },
        Rate { per_second: options.rate, burst: options.burst },
    ));
    let context = Context::new(Arc::clone(&tally), Arc::clone(&seen));
    let parts = (store.clone(), options.topic.clone(), Arc::clone(&tally));
    let (posting, poster) = posting::start(&options.kafka, &options.id, context, parts).context("the Kafka client")?;

    let mut tasks = Tasks::new(shutdown.clone());
    let status = health.status();
    tasks.spawn("health", |stop| health.watch(shutdown.clone(), stop));
    let heartbeat = Heartbeat { store: store.clone(), identity, tally, seen, status };
    tasks.spawn("heartbeat", |stop| heartbeat.run(stop));
    tasks.spawn("poster", |stop| poster.run(stop));
    let (watched, backlog, topic) = (Arc::clone(&admission), store.clone(), options.topic.clone());
    tasks.spawn("admission", |stop| async move { watched.watch(backlog, inspector, topic, stop).await });
    let tidied = Arc::clone(&limits);
    tasks.spawn("limits", |stop| async move { tidied.tidy(stop).await });
    let latch = readiness.latch("topic and schema");
    let (kafka, id, database) = (options.kafka.clone(), options.id.clone(), store.clone());
    tasks.spawn("topic and schema", |stop| async move {
        let both = async {
            app::ensure_topic(&kafka, &id, schema::topics::TWEETS).await?;
            schema_version::await_compatible(&database).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        };
        tokio::select! {
            () = stop.requested() => Ok(()),
            there = both => there.map(|()| drop(latch)),
        }
    });
    let waiting = Semaphore::new((usize::from(options.store.database_pool_size) / 2).max(1));
    let api = Api { store, waiting, posting, admission, limits, counts: Counts::new(&meter) };
    let routes = http::ops(readiness, telemetry::CONTENT_TYPE, move || metrics.render()).or(api::routes(api));
    let bounds = http::Limits { body_bytes: MOST_BODY_BYTES, request: REQUEST, ..http::Limits::default() };
    // Last, so that it ends first: what it has accepted is published by what ends behind it.
    tasks.spawn("http", |stop| http::serve(listener, routes, bounds, stop));
    Ok(tasks.run(STOP_DEADLINE).await?)
}

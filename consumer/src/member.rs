//! A member: one process of a group, which stores what it reads as its [`Workload`] says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use configuration::Effective;
use kafka::Inspector;
use lifecycle::{Readiness, Shutdown, Tasks, exit};
use opentelemetry::metrics::Meter;
use store::batch::{Author, Target};
use store::consumer_health::Terms;
use store::{Store, schema_version};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::alarming::Limiter;
use crate::buffer::{Buffer, Limits};
use crate::claims::{Claims, Start};
use crate::heartbeat::{Beats, watch_log_ends};
use crate::journal::{Identity, Journal, ship};
use crate::metrics::Metrics;
use crate::reader::{Encode, End, Parts, Reader};
use crate::status::Status;
use crate::upkeep;
use crate::writer::{Condition, Watch, Writer};
use crate::{gauges, group};

/// The whole stop: drain, commit, leave, close.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// Between two tries of a static id whose old session has not run out.
const UNRELEASED_WAIT: Duration = Duration::from_secs(1);

/// What a group stores, and as what.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// From a record to its row.
    pub encode: Encode,
    /// Where rows go.
    pub target: Target,
    /// What its processes do besides.
    pub beside: Option<Beside>,
}

/// Starts what a process of the workload does besides storing batches, and gives what watches them. `id` is the process's
/// name.
pub type Beside = fn(id: &str, store: &Store, meter: &Meter, tasks: &mut Tasks) -> Box<dyn Watch>;

/// Options of a member. Names are of the workload of sensors; that of tweets has its own.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Name of this consumer, unique in its group, such as `sensor-consumer-1`.
    #[arg(long, env = "CONSUMER_ID")]
    pub id: String,
    /// Directory of the journal's spool.
    #[arg(long, env = "DATA_DIR", default_value = ".millrace/consumer")]
    pub data_dir: PathBuf,
    /// Address of /livez, /readyz and /metrics; port 0 takes a free one.
    #[arg(long, env = "HTTP_ADDR", default_value = "127.0.0.1:9111")]
    pub http_addr: SocketAddr,
    /// Topic to read.
    #[arg(long, env = "SENSOR_TOPIC", default_value = schema::topics::SENSOR_READINGS.name)]
    pub topic: String,
    /// Where a partition begins that was never stored: earliest, latest or an RFC 3339 time.
    #[arg(long, env = "START_AT", default_value = "earliest")]
    pub start: Start,
    /// Most records in one transaction.
    #[arg(long, env = "BATCH_MAX_RECORDS", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub batch_max_records: u32,
    /// Most bytes of rows and dead letters in one transaction.
    #[arg(long, env = "BATCH_MAX_BYTES", default_value_t = 16 * 1024 * 1024, value_parser = clap::value_parser!(u32).range(1_048_576..=268_435_456))]
    pub batch_max_bytes: u32,
    /// Group membership.
    #[command(flatten)]
    pub group: group::Options,
    /// Brokers.
    #[command(flatten)]
    pub kafka: kafka::Options,
    /// Database.
    #[command(flatten)]
    pub store: store::Options,
    /// Logs.
    #[command(flatten)]
    pub logs: telemetry::Options,
}

/// Runs the member until it is told to stop. Returns the process's exit code (`lifecycle::exit`).
/// Says first what it runs with, where `settings` tells.
pub async fn run(workload: Workload, options: Options, settings: Option<&Effective>) -> u8 {
    match start(workload, options, settings).await {
        Ok(End::Left) => exit::OK,
        Ok(End::Fenced) => {
            tracing::error!("fenced: another process uses the same static id; not to be restarted");
            exit::FENCED
        }
        Ok(End::ForeignGroup(group)) => {
            tracing::error!(
                "{} is stored by group {group}, not by ours. If ours is to go on from its offsets: \
                 `consumer offsets adopt --group <ours> --reason <why>`",
                workload.target.name
            );
            exit::USAGE
        }
        Ok(End::Unreleased | End::Fatal(_)) => exit::SOFTWARE,
        Err((code, message)) => {
            tracing::error!("{message}");
            code
        }
    }
}

type Failure = (u8, String);

async fn start(workload: Workload, options: Options, settings: Option<&Effective>) -> Result<End, Failure> {
    let Workload { encode, target, beside } = workload;
    let usage = |message: String| (exit::USAGE, message);
    let unavailable = |message: String| (exit::UNAVAILABLE, message);
    let metrics_of_process = telemetry::init("consumer", &options.logs).map_err(|e| usage(e.to_string()))?;
    let inspector = Arc::new(Inspector::new(&options.kafka, &options.id).map_err(usage)?);
    let store = Store::new(&options.store, &options.id).map_err(|e| usage(e.chain()))?;
    tracing::info!(settings = settings.map(tracing::field::display), "starting {}", options.group);

    let shutdown = Shutdown::on_signals().map_err(|e| unavailable(format!("signal handlers: {e}")))?;
    let listener = http::bind(options.http_addr).await.map_err(|e| usage(e.to_string()))?;
    // Brokers that are away are waited for; a certificate or a login that is refused is told, and told at once.
    if let Err(error @ kafka::inspector::Error::Refused { .. }) = inspector.topic(&options.topic).await {
        return Err(unavailable(error.to_string()));
    }
    let boot_id = Uuid::now_v7();
    let identity = Identity {
        consumer_id: options.id.clone(),
        group_id: options.group.group.clone(),
        topic: options.topic.clone(),
        protocol: options.group.name(),
        boot_id,
    };
    let spool_dir = options.data_dir.join("journal");
    let (journal, spool) = Journal::open(&spool_dir, identity)
        .map_err(|e| usage(format!("DATA_DIR {}: {e}", options.data_dir.display())))?;

    let meter = opentelemetry::global::meter("consumer");
    let metrics = Metrics::new(&meter);
    let status = Arc::new(Status::default());
    let limits = Limits { records: options.batch_max_records as usize, bytes: options.batch_max_bytes as usize };
    let buffer = Arc::new(Buffer::new(limits));
    let current = Arc::new(Mutex::new(BTreeMap::new()));
    let topic_ids = Arc::new(Mutex::new(BTreeMap::new()));
    let (replies, mut inbox) = mpsc::channel(4_096);
    let (requests, wishes) = mpsc::channel(1_024);
    let (condition, watched) = watch::channel(Condition::Waiting("connecting to the database".into()));
    gauges::observe(&meter, &status, &journal);

    let readiness = Readiness::new();
    let mut tasks = Tasks::new(shutdown.clone());
    // Spawned first, stopped last: what is there while everything else ends.
    let render = metrics_of_process.clone();
    let routes = http::ops(readiness.clone(), telemetry::CONTENT_TYPE, move || render.render());
    tasks.spawn("http", |stop| http::serve(listener, routes, http::Limits::default(), stop));
    tasks.spawn("journal", |stop| ship(store.clone(), spool, stop));
    let beats = Beats {
        store: store.clone(),
        consumer_id: options.id.clone(),
        group_id: options.group.group.clone(),
        boot_id,
        status: Arc::clone(&status),
        condition: watched.clone(),
        journal: journal.clone(),
        terms: Terms {
            topic: options.topic.clone(),
            static_id: options.group.static_id(&options.id),
            protocol: options.group.name(),
            session_timeout: options.group.session_timeout(),
            poll_interval: options.group.poll_interval(),
        },
    };
    tasks.spawn("heartbeat", |stop| beats.run(stop));
    let days = store.clone();
    tasks.spawn("upkeep", |stop| upkeep::run(days, stop));
    let limiter = Arc::new(Limiter::new(store.clone(), Arc::clone(&buffer)));
    let limits = Arc::clone(&limiter);
    tasks.spawn("limits", |stop| limits.run(stop));
    let (log_ends, ends_status) = (Arc::clone(&inspector), Arc::clone(&status));
    let ends_topic = options.topic.clone();
    tasks.spawn("log-ends", |stop| watch_log_ends(log_ends, ends_topic, ends_status, stop));
    let watch = beside.map(|beside| beside(&options.id, &store, &meter, &mut tasks));
    let writer = Writer {
        store: store.clone(),
        target,
        author: Author { consumer_id: options.id.clone(), boot_id },
        topic: options.topic.clone(),
        inspector: Arc::clone(&inspector),
        buffer: Arc::clone(&buffer),
        replies: replies.clone(),
        condition,
        topic_ids: Arc::clone(&topic_ids),
        metrics: metrics.clone(),
        watch,
    };
    tasks.spawn("writer", |stop| writer.run(stop));
    let claims = Claims {
        store: store.clone(),
        target: target.name,
        topic: options.topic.clone(),
        group_id: options.group.group.clone(),
        consumer_id: options.id.clone(),
        boot_id,
        start: options.start,
        limiter,
        inspector,
        replies,
        condition: watched.clone(),
        topic_ids,
        current: Arc::clone(&current),
        metrics: metrics.clone(),
    };
    tasks.spawn("claims", |stop| claims.run(wishes, stop));

    let mut config = options.kafka.client(&options.id);
    options.group.apply_to(&mut config, &options.id);
    let parts = Parts {
        consumer_id: options.id.clone(),
        topic: options.topic.clone(),
        config,
        is_static: options.group.static_membership,
        encode,
        buffer,
        requests,
        current,
        condition: watched,
        journal,
        status,
        metrics,
    };
    let schema_latch = readiness.latch("a schema that this build can work with");
    let joined_latch = readiness.latch("the consumer group");
    let readiness_status = Arc::clone(&parts.status);
    tasks.spawn("readiness", |stop| async move {
        while !readiness_status.snapshot().joined {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                () = stop.requested() => break,
            }
        }
        drop(joined_latch);
        Ok::<_, store::Error>(())
    });
    let end: Arc<Mutex<Option<Result<End, Failure>>>> = Arc::default();
    let (noted, group) = (Arc::clone(&end), options.group.clone());
    let session = options.group.session_timeout();
    let (runtime, whole) = (tokio::runtime::Handle::current(), shutdown.clone());
    tasks
        .spawn_thread("poll", move |stop| {
            let ended = runtime.block_on(await_schema(&store, &stop)).and_then(|()| {
                drop(schema_latch);
                if stop.is_requested() {
                    return Ok(End::Left);
                }
                poll(&parts, &mut inbox, session, &stop).map_err(|e| usage(format!("{group}: {e}")))
            });
            *noted.lock().expect("nothing panics while it holds this lock") = Some(ended);
            whole.request("the poll thread has ended");
            Ok::<_, std::io::Error>(())
        })
        .map_err(|e| unavailable(format!("the poll thread: {e}")))?;

    let stopped = tasks.run(STOP_DEADLINE).await;
    let ended = end.lock().expect("nothing panics while it holds this lock").take();
    match (stopped, ended) {
        (_, Some(Ok(fatal @ (End::Fenced | End::ForeignGroup(_))))) => Ok(fatal),
        (_, Some(Err(failure))) => Err(failure),
        (Err(error), _) => Err((exit::SOFTWARE, error.to_string())),
        (Ok(()), Some(Ok(end))) => Ok(end),
        (Ok(()), None) => Err((exit::SOFTWARE, "the poll thread left no word".into())),
    }
}

/// Waits for a database whose schema this build can work with; refuses one that it can't.
async fn await_schema(store: &Store, stop: &Shutdown) -> Result<(), Failure> {
    tokio::select! {
        compatible = schema_version::await_compatible(store) => compatible.map_err(|e| (exit::USAGE, e.chain())),
        () = stop.requested() => Ok(()),
    }
}

/// Polls until the stop or a fatal end. A static id that an old session still holds (KIP-848,
/// after a kill) is tried again until that session must have run out; then it is another process.
fn poll(
    parts: &Parts,
    inbox: &mut mpsc::Receiver<crate::writer::Reply>,
    session: Duration,
    stop: &Shutdown,
) -> Result<End, rdkafka::error::KafkaError> {
    let mut incarnations = 0;
    let mut unreleased_since = None;
    let first = kafka::evidence::Member { generation: -1, id: String::new() };
    parts.journal.record("started", &first, crate::journal::Fact::default());
    loop {
        let began = Instant::now();
        let end = Reader::subscribe(parts, inbox, &mut incarnations)?.run(stop);
        match end {
            End::Unreleased if !stop.is_requested() => {
                // A client that worked for long in between starts the count anew.
                let since = match unreleased_since {
                    Some(since) if began.elapsed() < session => since,
                    _ => began,
                };
                unreleased_since = Some(since);
                // The group's session may be longer than ours: the broker's default is 45 s.
                if since.elapsed() > (session * 2).max(Duration::from_secs(60)) {
                    return Ok(End::Fenced);
                }
                tracing::warn!("the static id is still held by an earlier session; trying again");
                std::thread::sleep(UNRELEASED_WAIT);
            }
            End::Fatal(reason) => {
                tracing::error!(reason, "fatal error of the Kafka client");
                return Ok(End::Fatal(reason));
            }
            end => return Ok(end),
        }
    }
}

//! `consumer migrate`: database schema, topics and group settings.
//!
//! It needs the role that owns the tables, and is the only command that changes the schema. Safe to
//! run again and to run twice at once.

use std::time::{Duration, Instant};

use clap::Args;
use kafka::admin;
use lifecycle::exit;
use resilience::Backoff;
use schema::topics::CATALOGUE;
use store::grants::{self, Roles};
use store::{Store, migrate, retention};

use super::{CLIENT_ID, FEED_GROUP, Failure, GROUP};

/// The command line of `consumer migrate`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Options {
    /// Seconds to go on trying while Kafka or PostgreSQL is not ready yet
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// The sensors' consumer group, whose time-outs are set on the brokers like those of `feed-workers`
    #[arg(long, default_value = GROUP)]
    group: String,
    /// Session time-out of the group's members, in milliseconds: a dead one is noticed after this
    #[arg(long, default_value_t = 6_000)]
    session_timeout_ms: u32,
    /// Heartbeat interval of the group's members, in milliseconds: how fast a rebalance spreads
    #[arg(long, default_value_t = 1_000)]
    heartbeat_interval_ms: u32,
    /// Role that the monitor reads with: is given what that takes
    #[arg(long, env = "DATABASE_READER_ROLE", value_name = "ROLE")]
    reader_role: Option<String>,
    /// Role that numbers events for the live stream: is given what that takes
    #[arg(long, env = "DATABASE_RECORDER_ROLE", value_name = "ROLE")]
    recorder_role: Option<String>,
    #[command(flatten)]
    kafka: kafka::Options,
    #[command(flatten)]
    store: store::Options,
}

/// Does the steps in order, each with a line that says so.
pub async fn run(options: Options) -> Result<u8, Failure> {
    options.kafka.validate().map_err(Failure::Usage)?;
    if options.heartbeat_interval_ms >= options.session_timeout_ms {
        return Err(Failure::Usage("the heartbeat interval must be shorter than the session time-out".into()));
    }
    let store = Store::new(&options.store, CLIENT_ID)?;
    let mut patience = Patience::new(options.wait);

    let applied = patience.retry(async || migrate::run(&store).await, store::Error::is_transient).await?;
    println!("schema: {}", schema_line(&applied));

    let roles = Roles { reader: options.reader_role.clone(), recorder: options.recorder_role.clone() };
    patience.retry(async || grants::give(&store, &roles).await, store::Error::is_transient).await?;
    for role in [&roles.reader, &roles.recorder].into_iter().flatten() {
        println!("role {role}: may do what it is for");
    }

    let days = patience.retry(async || retention::ensure_days(&store).await, store::Error::is_transient).await?;
    println!("day partitions: {} made, there are {} from today on", days.made, retention::DAYS);

    let create = async || admin::ensure_topics(&options.kafka, CLIENT_ID, &CATALOGUE).await;
    let made = patience.retry(create, admin::Error::is_transient).await?;
    for topic in &CATALOGUE {
        let verb = if made.iter().any(|name| name == topic.name) { "created" } else { "exists" };
        println!("topic {}: {verb}, {} partitions", topic.name, topic.partitions);
    }

    let (session, heartbeat) = (options.session_timeout_ms, options.heartbeat_interval_ms);
    for group in [options.group.as_str(), FEED_GROUP] {
        let set = async || admin::set_group_timeouts(&options.kafka, CLIENT_ID, group, session, heartbeat).await;
        patience.retry(set, admin::Error::is_transient).await?;
        println!("group {group}: session time-out {session} ms, heartbeat interval {heartbeat} ms");
    }
    Ok(exit::OK)
}

fn schema_line(applied: &[i32]) -> String {
    let now = schema::migrations::VERSION;
    match applied {
        [] => format!("version {now} or newer, nothing to do"),
        applied => {
            let applied: Vec<String> = applied.iter().map(ToString::to_string).collect();
            format!("version {now}, applied {}", applied.join(", "))
        }
    }
}

/// Retries what waiting may cure, until the time is used up; the time is for all steps together.
struct Patience {
    until: Instant,
    backoff: Backoff,
}

impl Patience {
    fn new(seconds: u64) -> Self {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        Self {
            until: Instant::now() + Duration::from_secs(seconds),
            backoff: backoff.expect("the bounds are constants in order"),
        }
    }

    async fn retry<T, E: std::error::Error>(
        &mut self,
        mut step: impl AsyncFnMut() -> Result<T, E>,
        is_transient: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        self.backoff.reset();
        loop {
            match step().await {
                Err(error) if is_transient(&error) && Instant::now() < self.until => {
                    tokio::time::sleep(self.backoff.next_delay()).await;
                }
                answer => return answer,
            }
        }
    }
}

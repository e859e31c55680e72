//! `consumer check`: what a consumer needs, asked of brokers and database, a line each.
//!
//! A warning is something that works now and will hurt later; `FAILED` says what to do.

use clap::Args;
use lifecycle::Checklist;
use store::{Store, retention, schema_version, server};

use super::failure::chain;
use super::{CLIENT_ID, Failure, GROUP};

mod brokers;

/// The command line of `consumer check`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Options {
    /// The topic that is read
    #[arg(long, default_value = schema::topics::SENSOR_READINGS.name)]
    topic: String,
    /// The consumer group
    #[arg(long, env = "CONSUMER_GROUP", default_value = GROUP)]
    group: String,
    #[command(flatten)]
    kafka: kafka::Options,
    #[command(flatten)]
    store: store::Options,
}

/// Asks everything, whatever fails on the way.
pub async fn run(options: Options) -> Result<u8, Failure> {
    options.kafka.validate().map_err(Failure::Usage)?;
    let store = Store::new(&options.store, CLIENT_ID)?;
    let mut lines = Checklist::default();
    brokers::check(&options, &mut lines).await;
    database(&store, &mut lines).await;
    Ok(lines.conclude("a consumer"))
}

async fn database(store: &Store, lines: &mut Checklist) {
    let server = match server::describe(store).await {
        Ok(server) => server,
        Err(error) => {
            lines.failed("database", format!("{}; is it running, and does DATABASE_URL name it?", chain(&error)));
            return;
        }
    };
    let name = format!("PostgreSQL {}, {} as {}", server.version, server.database, server.role);
    if server.version_num < server::OLDEST_VERSION {
        lines.misconfigured("database", format!("{name}: PostgreSQL 14 or newer is needed"));
    } else if server.read_only {
        lines.failed("database", format!("{name}: takes no writes; name the primary in DATABASE_URL"));
    } else {
        lines.ok("database", name);
    }
    durability(&server, lines);
    match schema_version::check(store).await {
        Ok(version) => lines.ok("schema", format!("version {version}")),
        Err(error @ store::Error::Schema(_)) => {
            lines.misconfigured("schema", chain(&error));
            return;
        }
        Err(error) => {
            lines.failed("schema", chain(&error));
            return;
        }
    }
    match server::missing_privileges(store).await {
        Ok(missing) if missing.is_empty() => lines.ok("privileges", "the role may do what a consumer does"),
        Ok(missing) => {
            let text = format!("grant {} to {}", missing.join(", "), server.role);
            lines.misconfigured("privileges", text);
        }
        Err(error) => lines.failed("privileges", chain(&error)),
    }
    match server::days_ahead(store).await {
        Ok(tables) => tables.iter().for_each(|(table, days)| day_partitions(table, *days, lines)),
        Err(error) => lines.failed("day partitions", chain(&error)),
    }
}

fn durability(server: &server::Server, lines: &mut Checklist) {
    match server.synchronous_commit.as_str() {
        "off" => lines.warning(
            "synchronous_commit",
            "off: after a crash of the server the last rows are read again from Kafka, and what was seen may be gone",
        ),
        mode => lines.ok("synchronous_commit", mode),
    }
    if !server.durable {
        lines.warning("fsync", "fsync or full_page_writes is off: a crash of the machine can ruin the database");
    }
    if server.track_commit_timestamp {
        lines.ok("track_commit_timestamp", "on");
    } else {
        lines
            .warning("track_commit_timestamp", "off: the ledger has no commit times; set it on and restart the server");
    }
}

fn day_partitions(table: &str, days: i64, lines: &mut Checklist) {
    let wanted = i64::from(retention::DAYS);
    let text = format!("{table} has {days} of {wanted} from today on");
    if days == wanted {
        lines.ok("day partitions", text);
    } else {
        lines.warning("day partitions", format!("{text}; running consumers make them, or `consumer migrate`"));
    }
}

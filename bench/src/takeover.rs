//! Takeover: one of three consumers is killed, or stopped, under light load, until its partitions are stored again; and
//! how long a record of the others' partitions waited meanwhile.
//!
//! ```text
//! kill ── session runs out ── assigned ── claim ── first batch committed
//!  t0                          journal              ledger
//! ```
//!
//! The clock of the kill and Postgres's are the same machine's.

mod group;
mod table;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::load::{Load, Recipe};
use e2e::plant::Site;
use jiff::Timestamp;
use schema::topics::Topic;
use tokio_postgres::Client;

use group::{Duties, Group};

/// Members of the group.
const CONSUMERS: [&str; 3] = ["sensor-consumer-1", "sensor-consumer-2", "sensor-consumer-3"];
/// Partitions of the topic, two for each.
const PARTITIONS: i32 = 6;
/// A kill that nobody takes over by then is a failure.
const DEADLINE: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Kills, or stops, per case
    #[arg(long, default_value_t = Self::default().runs, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Readings a second
    #[arg(long, default_value_t = Self::default().rate)]
    pub rate: u64,
    /// Session time-out, ms
    #[arg(long, default_value_t = Self::default().session_ms)]
    pub session_ms: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { runs: 5, rate: 1_000, session_ms: 6_000 }
    }
}

/// A way to be a group, and what is done to a member.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    name: &'static str,
    protocol: &'static str,
    assignor: &'static str,
    end: End,
    goal: Goal,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// SIGKILL of a dynamic member, which stays dead.
    Killed,
    /// SIGKILL of a static member, which is started again at once.
    Restarted,
    /// SIGTERM of a dynamic member, which stays away.
    Stopped,
}

#[derive(Clone, Copy, Debug)]
enum Goal {
    /// The session time-out and half a second.
    Session,
    /// A second.
    Second,
    /// The broker keeps a killed KIP-848 member's place until its session has run out.
    None,
}

const CASES: [Case; 9] = [
    Case {
        name: "KIP-848, stays dead",
        protocol: "consumer",
        assignor: "cooperative-sticky",
        end: End::Killed,
        goal: Goal::Session,
    },
    Case {
        name: "classic cooperative-sticky, stays dead",
        protocol: "classic",
        assignor: "cooperative-sticky",
        end: End::Killed,
        goal: Goal::Session,
    },
    Case {
        name: "classic range, stays dead",
        protocol: "classic",
        assignor: "range",
        end: End::Killed,
        goal: Goal::Session,
    },
    Case {
        name: "classic cooperative-sticky, static, restarted at once",
        protocol: "classic",
        assignor: "cooperative-sticky",
        end: End::Restarted,
        goal: Goal::Second,
    },
    Case {
        name: "classic range, static, restarted at once",
        protocol: "classic",
        assignor: "range",
        end: End::Restarted,
        goal: Goal::Second,
    },
    Case {
        name: "KIP-848, static, restarted at once",
        protocol: "consumer",
        assignor: "cooperative-sticky",
        end: End::Restarted,
        goal: Goal::None,
    },
    Case {
        name: "KIP-848, stopped",
        protocol: "consumer",
        assignor: "cooperative-sticky",
        end: End::Stopped,
        goal: Goal::Second,
    },
    Case {
        name: "classic cooperative-sticky, stopped",
        protocol: "classic",
        assignor: "cooperative-sticky",
        end: End::Stopped,
        goal: Goal::Second,
    },
    Case {
        name: "classic range, stopped",
        protocol: "classic",
        assignor: "range",
        end: End::Stopped,
        goal: Goal::Second,
    },
];

/// Seconds from the signal.
#[derive(Clone, Copy, Debug)]
pub struct Takeover {
    /// The last of the partitions was assigned, by its new owner's journal.
    pub assigned: f64,
    /// The first row of the first partition was committed.
    pub first: f64,
    /// The first row of the last partition was committed.
    pub last: f64,
    /// The longest that a record of the other members' partitions waited, from its append to its commit, until the group
    /// had settled with the victim back in it.
    pub others: f64,
}

/// Runs every case; answers with the section of the page.
///
/// # Errors
/// When a group does not settle, or nobody takes over within two minutes.
pub async fn run(options: &Options) -> Result<String> {
    let site = Site::start().await?;
    let mut measured = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        let topic = format!("takeover-{number}");
        // The catalogue's entries are constants; this one lives as long as the run.
        let name: &'static str = Box::leak(topic.clone().into_boxed_str());
        let retention = Duration::from_secs(24 * 60 * 60);
        let kafka = kafka::Options::plaintext(site.kafka.bootstrap());
        let entry = Topic { name, partitions: PARTITIONS, key: "sensor_id", retention };
        kafka::admin::ensure_topics(&kafka, "bench", &[entry]).await?;
        let load = Load::start(Recipe {
            brokers: site.kafka.bootstrap(),
            topic: topic.clone(),
            rate: options.rate,
            limit: u64::MAX,
            sensors: 600,
            poison_every: 0,
        })?;
        let group = Group::start(&site, &topic, case, options).await?;
        measured.push((case, kills(group, case, options).await.with_context(|| case.name)?));
        load.finish(0).await?;
    }
    Ok(table::render(options, &measured))
}

async fn kills(mut group: Group, case: &Case, options: &Options) -> Result<Vec<Takeover>> {
    let client = group.pipeline.connect().await?;
    let mut takeovers = Vec::new();
    for run in 0..options.runs {
        let duties = group.settled(&client).await?;
        // Kills spread over the heartbeat interval of a second instead of following its beat.
        tokio::time::sleep(Duration::from_secs(1) * run / options.runs).await;
        let victim = CONSUMERS[run as usize % CONSUMERS.len()];
        let ended_at = Timestamp::now();
        match case.end {
            End::Killed => group.kill(victim),
            End::Stopped => group.term(victim)?,
            End::Restarted => {
                group.kill(victim);
                group.start_again(victim)?;
            }
        }
        let mut takeover = taken_over(&client, &duties, victim, ended_at).await?;
        if case.end != End::Restarted {
            group.start_again(victim)?;
        }
        group.settled(&client).await?;
        takeover.others = others_waited(&client, &duties, victim, ended_at).await?;
        eprintln!("takeover: {}: {takeover:.3?}", case.name);
        takeovers.push(takeover);
    }
    Ok(takeovers)
}

/// Of the partitions that stayed where they were all the time: after a move, its backlog waits as long as it was dark.
async fn others_waited(client: &Client, duties: &Duties, victim: &str, since: Timestamp) -> Result<f64> {
    let others: Vec<i32> =
        duties.iter().filter(|(id, _)| *id != victim).flat_map(|(_, (_, partitions))| partitions).copied().collect();
    let row = client
        .query_one(
            "SELECT coalesce(max(worst), 0) FROM ( \
                 SELECT max(extract(epoch FROM committed_at - first_append_at))::float8 AS worst FROM batch_ledger_commits \
                  WHERE kind = 'batch' AND partition_number = ANY($1) AND committed_at > $2 \
                  GROUP BY partition_number HAVING count(DISTINCT boot_id) = 1) kept",
            &[&others, &since],
        )
        .await?;
    Ok(row.get(0))
}

/// Waits until every partition of the victim has a row of another process.
async fn taken_over(client: &Client, duties: &Duties, victim: &str, killed_at: Timestamp) -> Result<Takeover> {
    let (boot_id, partitions) = duties.get(victim).with_context(|| format!("{victim} owned nothing"))?;
    let stored = "SELECT extract(epoch FROM min(committed_at) - $3)::float8 FROM batch_ledger_commits \
                   WHERE kind = 'batch' AND partition_number = ANY($1) AND boot_id <> $2 AND committed_at > $3 \
                   GROUP BY partition_number";
    let assigned = "SELECT extract(epoch FROM min(timestamp) - $3)::float8 FROM rebalancing_events \
                     WHERE event_type = 'assigned' AND partition_number = ANY($1) AND boot_id <> $2 \
                       AND timestamp > $3 GROUP BY partition_number";
    let began = Instant::now();
    loop {
        let seconds = async |query| -> Result<Vec<f64>> {
            let rows = client.query(query, &[partitions, boot_id, &killed_at]).await?;
            Ok(rows.iter().map(|row| row.get(0)).collect())
        };
        let (stored, assigned) = (seconds(stored).await?, seconds(assigned).await?);
        if stored.len() == partitions.len() && assigned.len() == partitions.len() {
            let most = |seconds: &[f64]| seconds.iter().copied().fold(f64::MIN, f64::max);
            let first = stored.iter().copied().fold(f64::MAX, f64::min);
            return Ok(Takeover { assigned: most(&assigned), first, last: most(&stored), others: 0.0 });
        }
        ensure!(began.elapsed() < DEADLINE, "{victim}'s partitions {partitions:?}: {stored:?} after {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

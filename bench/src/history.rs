//! A month of history, generated: what looking back costs.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use e2e::plant::{Plant, Settings, Site};
use testkit::free_port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::machine::load_average;
use crate::spread::{Spread, percentiles};

/// What to generate and how often to ask.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Days of history
    #[arg(long, default_value_t = Self::default().days)]
    pub days: u32,
    /// Rebalances a day
    #[arg(long, default_value_t = Self::default().per_day)]
    pub per_day: u32,
    /// Partitions, of 16 consumers
    #[arg(long, default_value_t = Self::default().partitions)]
    pub partitions: u32,
    /// Times that each question is asked
    #[arg(long, default_value_t = Self::default().times)]
    pub times: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { days: 30, per_day: 100, partitions: 64, times: 20 }
    }
}

/// Rebalances evenly over the days; each moves a sixteenth of the partitions from one consumer to the next, which were
/// dark for a second to nine.
const GENERATE: &str = "
    CREATE TEMP TABLE r AS
    SELECT n, now() - $1 * interval '1 day' + n * ($1 * interval '1 day' / ($1 * $2)) AS at, n % 16 AS victim
      FROM generate_series(0, $1 * $2 - 1) n";
const OWNERSHIP: &str = "
    INSERT INTO ownership (fact, group_id, topic, partition_number, consumer_id, boot_id, member_id, generation, claim, claimed_at,
           from_at, until_at, ended)
    SELECT n * 1000 + p, 'history', 'readings', p, 'consumer-' || (p + n) % 16, gen_random_uuid(), 'm', n::int, gen_random_uuid(),
           at, at, lead(at) OVER (PARTITION BY p ORDER BY n), 'revoked'
      FROM r, generate_series(0, $1 - 1) p WHERE p % 16 = victim OR n = 0";
const REBALANCES: &str = "
    INSERT INTO rebalances (id, group_id, topic, cause, protocol, began_at, noticed_at, ended_at, open, subjects, dark_max_ms, dark_sum_ms,
           moved, fewest, revision, confidence, two_owners_ms, refusals, orphaned, verdict)
    SELECT 'history@' || n, 'history', 'readings', (ARRAY['crash', 'join', 'clean_leave', 'session_timed_out'])[1 + n % 4], 'consumer',
           at - interval '6 s', at, at + interval '1 s', false, ARRAY['consumer-' || victim], 1000 + n % 8000, 4000, $1 / 16, $1 / 16, 1, 'certain', 0, 0, false,
           jsonb_build_object('id', 'history@' || n, 'noticed_at', at, 'confidence', 'certain', 'two_owners_ms', 0, 'refusals', 0,
               'evidence', (SELECT jsonb_agg(jsonb_build_object('what', repeat('evidence ', 8), 'source', 'journal', 'fact', f)) FROM generate_series(1, 20) f),
               'handovers', (SELECT jsonb_agg(jsonb_build_object('partition', h, 'move', 'moved', 'dark_ms', 1000, 'from', 'consumer-1', 'to', 'consumer-2')) FROM generate_series(1, $1 / 16) h))
      FROM r";
const HANDOVERS: &str = "
    INSERT INTO handovers (rebalance_id, place, group_id, topic, partition_number, dark_from, noticed_at, claimed_at, dark_until, dark_ms)
    SELECT 'history@' || n, p / 16, 'history', 'readings', p, at - (1 + n % 8) * interval '1 s', at, at + interval '50 ms',
           at + interval '90 ms', (1 + n % 8) * 1000 + 90
      FROM r, generate_series(0, $1 - 1) p WHERE p % 16 = victim";
const REST: &str = "
    INSERT INTO consumer_slots (slot, group_id, consumer_id) SELECT s, 'history', 'consumer-' || s FROM generate_series(0, 15) s;
    INSERT INTO recorder_spans (recorder, from_at, until_at)
    SELECT 'monitor', at, at + interval '4 hours' FROM r WHERE n % 25 = 0;
    INSERT INTO throughput (resolution_s, bucket, target, log_id, partition_number, consumer_id, batches, stored_rows, dead_letters,
           timed_records, latency_sum_s)
    SELECT 60, date_trunc('minute', now()) - m * interval '1 minute', 'sensor_readings', 1, 0, 'consumer-0', 1, 100, 0, 100, 1
      FROM generate_series(0, 43200) m;
    INSERT INTO lag_samples (resolution_s, group_id, at, records)
    SELECT 5, 'history', date_trunc('second', now()) - s * interval '5 s', s % 1000 FROM generate_series(0, 518400) s
    UNION ALL SELECT 60, 'history', date_trunc('minute', now()) - m * interval '1 minute', m % 1000 FROM generate_series(0, 43200) m;
    ANALYZE";

/// Answers with the section of the page.
///
/// # Errors
/// When a process does not do its part, or a question has no answer.
pub async fn run(options: &Options) -> Result<String> {
    let site = Site::start().await?;
    let plant = Plant::new(&site, Settings::default()).await?;
    let client = plant.connect().await?;
    let (days, per_day, partitions) =
        (i32::try_from(options.days)?, i32::try_from(options.per_day)?, i32::try_from(options.partitions)?);
    let generate = GENERATE.replace("$1", &days.to_string()).replace("$2", &per_day.to_string());
    client.batch_execute(&generate).await?;
    for statement in [OWNERSHIP, REBALANCES, HANDOVERS] {
        client.batch_execute(&statement.replace("$1", &partitions.to_string())).await?;
    }
    client.batch_execute(REST).await?;
    let rows: i64 = client.query_one("SELECT count(*) FROM ownership", &[]).await?.get(0);
    let port = free_port();
    let monitor = plant.monitor(port)?;
    let mut table = String::new();
    let ago = |hours: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string();
    let now = jiff::Timestamp::now().to_string();
    let owned = |hours: i64| format!("/api/ownership?from={}&to={now}&buckets=1000", ago(hours));
    let questions = [
        ("who had what at one instant, two weeks ago".to_owned(), format!("/api/assignments?at={}", ago(14 * 24))),
        (
            "the timeline of an hour, two weeks ago".to_owned(),
            format!("/api/ownership?from={}&to={}&buckets=1000", ago(14 * 24), ago(14 * 24 - 1)),
        ),
        ("of the last hour".to_owned(), owned(1)),
        ("of a day".to_owned(), owned(24)),
        ("of a week".to_owned(), owned(7 * 24)),
        ("of a month".to_owned(), owned(30 * 24)),
        ("the 50 latest rebalances".to_owned(), "/api/rebalances?limit=50".to_owned()),
        ("50 crashes of two weeks ago".to_owned(), format!("/api/rebalances?cause=crash&to={}&limit=50", ago(14 * 24))),
        ("one rebalance".to_owned(), "/api/rebalances/history@1500".to_owned()),
        ("findings of a day".to_owned(), "/api/findings?hours=24".to_owned()),
    ];
    testkit::wait_until(std::time::Duration::from_secs(30), "the monitor is ready", async || {
        ask(port, "/readyz").await.is_ok_and(|(status, _)| status == 200)
    })
    .await;
    for (what, path) in &questions {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for n in 0..=options.times {
            let began = Instant::now();
            let (status, length) = ask(port, path).await?;
            ensure!(status == 200, "{path}: {status}");
            // The first one prepares its statements.
            if n > 0 {
                times.push(began.elapsed().as_secs_f64() * 1_000.0);
            }
            bytes = length;
        }
        let [p95] = percentiles(times.iter().copied(), [95]);
        table.push_str(&format!("| {what} | {:.1} | {p95:.1} | {:.0} |\n", Spread::of(times), bytes as f64 / 1_024.0));
    }
    ensure!(monitor.exited().is_none(), "the monitor ended:\n{}", monitor.last_output());
    Ok(format!(
        "{} days with {} rebalances a day, {} partitions of 16 consumers: {rows} ownerships. Over HTTP, a connection each, \
         {} times; load average at the end {}. Goal: every query < 50 ms.\n\n\
         | question | ms, median (smallest-largest) | p95, ms | answer, KiB |\n|---|---|---|---|\n{table}",
        options.days,
        options.per_day,
        options.partitions,
        options.times,
        load_average(),
    ))
}

/// Status and length of an answer.
async fn ask(port: u16, path: &str) -> Result<(u16, usize)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status")?;
    Ok((status, answer.len()))
}

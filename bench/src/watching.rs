//! What watching costs, and how soon it shows: the monitor at rest, from a fact in Postgres to a pixel, and from the group's
//! first act in a rebalance to its row on the page.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::browser::{Browser, Screen};
use e2e::plant::{Plant, Settings, Site};
use jiff::Timestamp;
use testkit::free_port;
use uuid::Uuid;

use crate::cost::{cpu_seconds, peak_mib};
use crate::machine::load_average;
use crate::spread::{Spread, percentiles};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Seconds that the monitor is watched at rest
    #[arg(long, default_value_t = Self::default().rest_s)]
    pub rest_s: u32,
    /// Facts whose way to the page is timed
    #[arg(long, default_value_t = Self::default().facts)]
    pub facts: u32,
    /// Rebalances whose way to the page is timed: a consumer leaves, and comes back
    #[arg(long, default_value_t = Self::default().rebalances)]
    pub rebalances: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { rest_s: 60, facts: 40, rebalances: 20 }
    }
}

/// Notes when a fact's mark, and a rebalance's row, are painted: after the frame that follows what they are.
const WATCH: &str = "window.painted = {}; const note = (key) => { \
       if (window.painted[key] === undefined) { window.painted[key] = 0; \
         requestAnimationFrame(() => { const channel = new MessageChannel(); \
           channel.port1.onmessage = () => { window.painted[key] = performance.timeOrigin + performance.now(); }; \
           channel.port2.postMessage(0); }); } }; \
     const events = document.querySelector('#events'); \
     new MutationObserver(() => { for (const [mark] of events.textContent.matchAll(/mark-[0-9]+-/g)) note(mark); }) \
       .observe(events, { childList: true, characterData: true, subtree: true }); \
     new MutationObserver((changes) => { \
       for (const row of changes.flatMap((change) => [...change.addedNodes])) if (row.dataset?.id !== undefined) note(row.dataset.id); \
     }).observe(document.querySelector('#happened'), { childList: true, subtree: true }); return null";

/// Answers with the section of the page.
///
/// # Errors
/// When a process or the browser does not do its part.
pub async fn run(options: &Options) -> Result<String> {
    let site = Site::start().await?;
    let plant = Plant::new(&site, Settings::default()).await?;
    let (stays, mut leaves) = (plant.consumer("sensor-consumer-1")?, plant.consumer("sensor-consumer-2")?);
    let load = plant.load(150, u64::MAX, 0)?;
    let port = free_port();
    let monitor = plant.monitor(port)?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = cpu_seconds(monitor.id());
    tokio::time::sleep(Duration::from_secs(options.rest_s.into())).await;
    let core = (cpu_seconds(monitor.id()) - before) / f64::from(options.rest_s) * 100.0;
    let rest_mib = peak_mib(monitor.id());

    let page = Browser::open(port, Screen::Wide).await;
    page.verdict(&["Healthy"]).await;
    page.run(WATCH).await;
    let client = plant.connect().await?;
    let mut waits = Vec::new();
    for n in 0..options.facts {
        // Not in step with anything that happens once a second.
        tokio::time::sleep(Duration::from_millis(u64::from(430 + n * 37 % 300))).await;
        waits.push(fact_to_pixel(&client, &page, n).await?);
    }
    let mut notices = Vec::new();
    for n in 0..options.rebalances {
        let acted = Timestamp::now();
        if n % 2 == 0 {
            leaves.term()?;
        } else {
            leaves = plant.consumer("sensor-consumer-2")?;
        }
        notices.push(notice_to_pixel(&client, &page, acted).await?);
        // Longer than what makes one rebalance of two.
        tokio::time::sleep(Duration::from_millis(u64::from(7_000 + n * 137 % 1_000))).await;
    }
    for process in [&stays, &monitor] {
        ensure!(process.exited().is_none(), "a process ended:\n{}", process.last_output());
    }
    load.finish(0).await?;
    let ([facts_p95], [notices_p95]) = (percentiles(waits.clone(), [95]), percentiles(notices.clone(), [95]));
    Ok(format!(
        "Two consumers, 150 readings/s, one monitor that also numbers events; load average at the end {}.\n\n\
         | | measured | goal |\n|---|---|---|\n\
         | monitor at rest, {} s: of one core | {core:.2} % | 1 % |\n\
         | its peak memory by then | {rest_mib:.0} MiB | 32 MiB |\n\
         | with one viewer, at the end | {:.0} MiB | |\n\
         | fact committed -> painted, {} facts, ms, median (smallest-largest) | {:.0} | |\n\
         | the same, p95 | {facts_p95:.0} ms | 500 ms |\n\
         | the group's first act -> its rebalance painted, {} leaves and joins, ms, median (smallest-largest) | {:.0} | |\n\
         | the same, p95 | {notices_p95:.0} ms | 1,000 ms |\n",
        load_average(),
        options.rest_s,
        peak_mib(monitor.id()),
        options.facts,
        Spread::of(waits),
        options.rebalances,
        Spread::of(notices),
    ))
}

/// Milliseconds from when the first rebalance after `acted` was noticed, by its own words, to the frame that shows it.
async fn notice_to_pixel(client: &tokio_postgres::Client, page: &Browser, acted: Timestamp) -> Result<f64> {
    const FIRST: &str =
        "SELECT id, noticed_at FROM rebalances WHERE noticed_at > $1 AND part_of IS NULL ORDER BY noticed_at LIMIT 1";
    let began = Instant::now();
    let id: String = loop {
        if let Some(row) = client.query_opt(FIRST, &[&acted]).await? {
            break row.get(0);
        }
        ensure!(began.elapsed() < Duration::from_secs(30), "no rebalance was recorded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let painted = painted(page, &id).await?;
    // What comes late may have moved it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let noticed: Timestamp = client.query_one("SELECT noticed_at FROM rebalances WHERE id = $1", &[&id]).await?.get(0);
    Ok(painted - noticed.as_microsecond() as f64 / 1e3)
}

/// Milliseconds from the commit of a fact to the frame that shows it.
async fn fact_to_pixel(client: &tokio_postgres::Client, page: &Browser, n: u32) -> Result<f64> {
    let mark = format!("mark-{n}-");
    client
        .execute(
            "INSERT INTO rebalancing_events (consumer_id, event_type, timestamp, group_id, topic, protocol, generation, \
                    member_id, boot_id, boot_sequence, monotonic_us, detail) \
             VALUES ($1, 'claimed', now(), 'g', 't', 'consumer', 0, '', $2, 0, 0, $1)",
            &[&mark, &Uuid::new_v4()],
        )
        .await?;
    let committed = Timestamp::now().as_microsecond() as f64 / 1e3;
    Ok(painted(page, &mark).await? - committed)
}

/// When it was painted, in milliseconds since the epoch.
async fn painted(page: &Browser, key: &str) -> Result<f64> {
    page.until("it is painted", &format!("return (window.painted['{key}'] ?? 0) > 0")).await;
    page.run(&format!("return window.painted['{key}']")).await.as_f64().context("a time")
}

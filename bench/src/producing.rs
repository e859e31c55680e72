//! The producer against a bare loop around the same client, and how long a dead broker holds acknowledgements up.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::load::{Load, Recipe};
use e2e::plant::Site;
use jiff::{SignedDuration, Timestamp};
use schema::topics::SENSOR_READINGS;
use testkit::{Program, Scratch};

use crate::machine::load_average;
use crate::pipeline::Pipeline;
use crate::spread::Spread;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Readings of one run
    #[arg(long, default_value_t = Self::default().readings)]
    pub readings: u64,
    /// Pairs of a bare loop and a replay
    #[arg(long = "producer-pairs", default_value_t = Self::default().pairs)]
    pub pairs: u32,
    /// Brokers that are killed, one after the other
    #[arg(long, default_value_t = Self::default().kills)]
    pub kills: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { readings: 1_000_000, pairs: 5, kills: 6 }
    }
}

/// Answers with the section of the page.
///
/// # Errors
/// When something is not acknowledged.
pub async fn run(options: &Options) -> Result<String> {
    let site = Site::start().await?;
    Pipeline::new(&site, SENSOR_READINGS.name, 6_000).await?.remove().await?;
    let mut text = rates(&site, options).await?;
    text.push_str(&stalls(&site, options).await?);
    Ok(text)
}

async fn rates(site: &Site, options: &Options) -> Result<String> {
    let scratch = Scratch::new("bench")?;
    let file = scratch.path().join("series.csv");
    let mut csv = std::io::BufWriter::new(std::fs::File::create(&file)?);
    writeln!(csv, "timestamp,value")?;
    let start: Timestamp = "2026-01-01T00:00:00Z".parse()?;
    for n in 0..options.readings {
        let at = start + SignedDuration::from_millis(i64::try_from(n)?);
        writeln!(csv, "{},{}", at.strftime("%Y-%m-%d %H:%M:%S%.3f"), n as f64 / 10.0)?;
    }
    csv.flush()?;
    drop(csv);
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for number in 1..=options.pairs {
        let (began, limit) = (Instant::now(), options.readings);
        let recipe = Recipe {
            brokers: site.kafka.bootstrap(),
            topic: SENSOR_READINGS.name.to_owned(),
            rate: 0,
            limit,
            // One key, as a replay has one sensor: one partition.
            sensors: 1,
            poison_every: 0,
        };
        let load = Load::start(recipe)?;
        while load.acknowledged() < limit {
            ensure!(began.elapsed() < Duration::from_secs(300), "not acknowledged in five minutes");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bare.push(limit as f64 / began.elapsed().as_secs_f64());
        load.finish(0).await?;

        let began = Instant::now();
        let replay = Program::named("producer")?
            .arg("replay")
            .arg(&file)
            .args(["--sensor", "machine-1", "--speed", "max"])
            .env("KAFKA_BROKERS", site.kafka.bootstrap())
            .spawn(&scratch.path().join(format!("replay-{number}")))?;
        let status = replay.wait(Duration::from_secs(300)).await?;
        ensure!(status.success(), "producer replay: {status}\n{}", replay.last_output());
        ours.push(limit as f64 / began.elapsed().as_secs_f64());
        eprintln!("producing: pair {number}: bare {:.0}/s, replay {:.0}/s", bare[bare.len() - 1], ours[ours.len() - 1]);
    }
    let ratio = Spread::of(bare.iter().zip(&ours).map(|(bare, ours)| ours / bare));
    Ok(format!(
        "{} readings a run, {} pairs, acks=all; readings acknowledged a second, median (smallest-largest); the replay's \
         time includes its start, reading the file and its last acknowledgement; load average at the end {}.\n\n\
         | bare rdkafka loop | `producer replay --speed max` | ratio | goal |\n|---|---|---|---|\n\
         | {:.0} | {:.0} | {ratio:.2} | 0.9 |\n\n",
        options.readings,
        options.pairs,
        load_average(),
        Spread::of(bare),
        Spread::of(ours),
    ))
}

/// The longest time without an acknowledgement of any partition's records, per kill.
async fn stalls(site: &Site, options: &Options) -> Result<String> {
    let recipe = Recipe {
        brokers: site.kafka.bootstrap(),
        topic: SENSOR_READINGS.name.to_owned(),
        rate: 1_000,
        limit: u64::MAX,
        sensors: 60,
        poison_every: 0,
    };
    let load = Load::start(recipe)?;
    let mut stalls = Vec::new();
    for kill in 0..options.kills {
        site.kafka.wait_until_healthy(Duration::from_secs(60)).await;
        settle(&load).await?;
        let broker = site.kafka.broker(1 + i32::try_from(kill % 3)?);
        broker.kill();
        // The oldest reading that waits: how long ago as many were sent as are acknowledged now.
        stalls.push(oldest_wait(&load).await?);
        eprintln!("producing: broker {} killed, stalled for {:.2} s", broker.id(), stalls[stalls.len() - 1]);
        broker.start()?;
    }
    site.kafka.wait_until_healthy(Duration::from_secs(60)).await;
    load.finish(0).await?;
    let spread = Spread::of(stalls);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "One broker of three killed under 1,000 readings/s, {} times: the longest that readings waited for their \
         acknowledgement, seconds: {spread:.2}; goal 3.5.",
        options.kills
    );
    Ok(text)
}

/// Waits until acknowledgements follow at once.
async fn settle(load: &Load) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut calm = 0;
    while calm < 20 {
        ensure!(Instant::now() < deadline, "acknowledgements do not follow");
        calm = if load.sent().saturating_sub(load.acknowledged()) < 300 { calm + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Watches for twelve seconds how far acknowledgements are behind what was sent, in seconds.
async fn oldest_wait(load: &Load) -> Result<f64> {
    let began = Instant::now();
    let mut sent: std::collections::VecDeque<(Instant, u64)> = std::collections::VecDeque::new();
    let mut longest = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(12) {
        let now = Instant::now();
        sent.push_back((now, load.sent()));
        let acknowledged = load.acknowledged();
        while sent.front().is_some_and(|(_, sent)| *sent <= acknowledged) {
            sent.pop_front();
        }
        if let Some((since, _)) = sent.front() {
            longest = longest.max(now.duration_since(*since));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(longest.as_secs_f64())
}

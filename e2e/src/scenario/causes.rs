//! The labelled suite: every cause is made on purpose, and the flight recorder has to name it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::Value;
use testkit::{Process, wait_until};

use super::kafka::topic::recreate;
use super::process::{any_protocol, id, owned_by};
use super::trial::Trial;
use super::{HEAL, Hits, Scenario};
use crate::plant::{Settings, Site};

/// Events per second: a batch comes often enough to see where a partition went dark.
const RATE: u64 = 2_000;
/// Time that a verdict may take to be the last word.
const VERDICT: Duration = Duration::from_secs(40);
/// Instants of the test and of the recorder may differ by this.
const CLOCKS: jiff::SignedDuration = jiff::SignedDuration::from_millis(300);

/// One line each.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "cause: crash", run: |site, rng| Box::pin(crash(site, rng)) },
    Scenario { name: "cause: clean leave and join", run: |site, rng| Box::pin(leave_and_join(site, rng)) },
    Scenario { name: "cause: paused process", run: |site, rng| Box::pin(paused(site, rng)) },
    Scenario { name: "cause: poll interval exceeded", run: |site, rng| Box::pin(poll_interval(site, rng)) },
    Scenario { name: "cause: rolling restart", run: |site, rng| Box::pin(rolling_restart(site, rng)) },
    Scenario { name: "cause: static member away and back", run: |site, rng| Box::pin(static_return(site, rng)) },
    Scenario { name: "cause: partitions added", run: |site, rng| Box::pin(partitions_added(site, rng)) },
    Scenario { name: "cause: topic re-created", run: |site, rng| Box::pin(topic_recreated(site, rng)) },
    Scenario { name: "cause: broker lost", run: |site, rng| Box::pin(broker_lost(site, rng)) },
    Scenario { name: "cause: fenced", run: |site, rng| Box::pin(fenced(site, rng)) },
];

/// What takes too long for each `make test`.
pub const LONG: &[Scenario] = &[Scenario {
    name: "every epoch of 50 kills is there or named as unseen",
    run: |site, rng| Box::pin(epochs_of_kills(site, rng, 50)),
}];

/// A trial with a recorder.
struct Watched {
    trial: Trial,
    _monitor: Process,
}

impl Watched {
    async fn begin(site: &Arc<Site>, settings: Settings, consumers: usize) -> Result<Self> {
        let mut trial = Trial::idle(site, settings, 0).await?;
        let monitor = trial.plant.monitor(0)?;
        for number in 1..=consumers {
            trial.start_consumer(number)?;
        }
        owned_by(&trial.plant, consumers).await;
        trial.load_at(RATE)?;
        let watched = Self { trial, _monitor: monitor };
        watched.settled().await?;
        // Some batches before anything happens to them.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(watched)
    }

    /// Waits until no rebalance is open, and the last one is some seconds old.
    async fn settled(&self) -> Result<()> {
        wait_until(Duration::from_secs(60), "no rebalance goes on", async || {
            let Ok(client) = self.trial.plant.connect().await else { return false };
            client
                .query_one(
                    "SELECT count(*) > 0 AND bool_and(NOT open AND coalesce(ended_at, noticed_at) < now() - interval '4 s') FROM rebalances",
                    &[],
                )
                .await
                .is_ok_and(|row| row.get::<_, Option<bool>>(0) == Some(true))
        })
        .await;
        Ok(())
    }

    /// The verdicts since an instant, oldest first, parts left out.
    async fn verdicts(&self, since: Timestamp) -> Result<Vec<Value>> {
        let rows = self
            .trial
            .plant
            .connect()
            .await?
            .query(
                "SELECT verdict FROM rebalances WHERE part_of IS NULL AND noticed_at >= $1 ORDER BY noticed_at",
                &[&(since - CLOCKS)],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Waits until the verdicts since an instant are exactly these causes of these subjects, and certain.
    async fn named(&self, since: Timestamp, wanted: &[(&str, Vec<String>)]) -> Result<Vec<Value>> {
        self.told(since, &format!("{wanted:?}"), |verdicts| {
            let told: Vec<(String, Vec<String>)> = verdicts.iter().map(cause_of).collect();
            verdicts.iter().all(|v| v["open"] == false && v["confidence"] == "certain")
                && told.len() == wanted.len()
                && told.iter().zip(wanted).all(|(told, wanted)| told.0 == wanted.0 && told.1 == wanted.1)
        })
        .await
    }

    /// Waits until the verdicts since an instant are as they should be.
    async fn told(&self, since: Timestamp, wanted: &str, is_it: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        let deadline = std::time::Instant::now() + VERDICT;
        loop {
            let verdicts = self.verdicts(since).await?;
            if is_it(&verdicts) {
                return Ok(verdicts);
            }
            if std::time::Instant::now() > deadline {
                let told: Vec<_> = verdicts.iter().map(cause_of).collect();
                let stories: Vec<String> = verdicts.iter().map(summary).collect();
                bail!("wanted {wanted}; the verdicts are {told:?}:\n{}", stories.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The dark time of each partition that moved, against what the ledger and the log say by themselves.
    async fn dark_times_hold(&mut self, verdicts: &[Value]) -> Result<()> {
        let client = self.trial.plant.connect().await?;
        for verdict in verdicts {
            for handover in verdict["handovers"].as_array().into_iter().flatten().filter(|h| h["stored_at"].is_string())
            {
                let partition = i32::try_from(handover["partition"].as_i64().context("a partition")?)?;
                let stored: Timestamp = handover["stored_at"].as_str().context("a time")?.parse()?;
                let row = client
                    .query_one(
                        "SELECT committed_at, greatest(first_append_at, (SELECT max(b.committed_at) FROM batch_ledger_commits b \
                                WHERE b.partition_number = l.partition_number AND b.next_offset = l.first_offset)) \
                           FROM batch_ledger_commits l WHERE partition_number = $1 \
                          ORDER BY abs(extract(epoch FROM committed_at - $2)) LIMIT 1",
                        &[&partition, &stored],
                    )
                    .await?;
                let (committed, appended): (Timestamp, Timestamp) = (row.get(0), row.get(1));
                let truth = committed.duration_since(appended).as_secs_f64() * 1_000.0;
                let told = handover["dark_ms"].as_f64().context("a dark time")?;
                ensure!(
                    (truth - told).abs() < 100.0,
                    "partition {partition}: dark for {truth} ms, told {told} ms: {handover}"
                );
            }
        }
        Ok(())
    }

    /// Holds the poll thread of a consumer until its group has removed it, and lets it go. Met inside the client, the
    /// thread counts as polling: then it is let go and met again.
    async fn hold_poll_thread(&self, victim: usize) -> Result<()> {
        let interval = Duration::from_secs(12);
        for _ in 0..6 {
            let (since, held) = (Timestamp::now(), self.trial.consumers[victim - 1].hold_thread("poll")?);
            tokio::time::sleep(interval).await;
            let taken = !self.verdicts(since).await?.is_empty();
            if taken {
                // Long enough for its return to be a rebalance of its own.
                tokio::time::sleep(Duration::from_secs(6)).await;
            }
            drop(held);
            if taken {
                return Ok(());
            }
        }
        bail!("the poll thread was never met outside the client")
    }

    /// The whole journal, judged at once, gives what was kept one step after the other. The recorder may still be at it.
    async fn judged_again(&self) -> Result<()> {
        let deadline = std::time::Instant::now() + VERDICT;
        loop {
            let (code, said) =
                self.trial.plant.command_of("monitor", &["rejudge", "--from", "2000-01-01T00:00:00Z"]).await?;
            if code == 0 {
                return Ok(());
            }
            ensure!(std::time::Instant::now() < deadline, "judged once more, {code}:\n{said}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn judged(mut self, verdicts: &[Value]) -> Result<Hits> {
        self.dark_times_hold(verdicts).await?;
        self.judged_again().await?;
        for (cause, _) in verdicts.iter().map(cause_of) {
            self.trial.hit_with_protocol(&cause);
        }
        self.trial.judged().await
    }
}

fn cause_of(verdict: &Value) -> (String, Vec<String>) {
    let subjects = verdict["subjects"].as_array().into_iter().flatten();
    let subjects = subjects.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    (verdict["cause"].as_str().unwrap_or_default().to_owned(), subjects)
}

fn summary(verdict: &Value) -> String {
    let evidence = verdict["evidence"].as_array().into_iter().flatten();
    let lines: Vec<String> = evidence.map(|e| format!("    {} {} {}", e["at"], e["source"], e["what"])).collect();
    format!(
        "{} {} {} open={} noticed={} ended={} generations={}\n  {}\n{}",
        verdict["id"],
        verdict["cause"],
        verdict["confidence"],
        verdict["open"],
        verdict["noticed_at"],
        verdict["ended_at"],
        verdict["generations"],
        verdict["story"],
        lines.join("\n")
    )
}

/// The three ways to be a group, by the seed.
fn protocol(rng: &mut StdRng) -> Settings {
    Settings { session_ms: 6_000, ..any_protocol(rng) }
}

fn one(cause: &'static str, number: usize) -> (&'static str, Vec<String>) {
    (cause, vec![id(number)])
}

async fn crash(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let watched = Watched::begin(&site, protocol(&mut rng), 3).await?;
    let (since, victim) = (Timestamp::now(), rng.random_range(1..=3));
    watched.trial.consumers[victim - 1].kill();
    let verdicts = watched.named(since, &[one("crash", victim)]).await?;
    let handovers = verdicts[0]["handovers"].as_array().context("hand-overs")?;
    // With range, others are dealt anew, too.
    let left = handovers.iter().filter(|h| h["from"] == id(victim) && h["dark_ms"].as_f64() > Some(1_000.0)).count();
    ensure!(left == 2, "{left} partitions of the victim were dark: {}", summary(&verdicts[0]));
    watched.judged(&verdicts).await
}

async fn leave_and_join(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut watched = Watched::begin(&site, protocol(&mut rng), 3).await?;
    let (since, leaver) = (Timestamp::now(), rng.random_range(1..=3));
    watched.trial.consumers[leaver - 1].term()?;
    watched.trial.consumers[leaver - 1].wait(Duration::from_secs(6)).await?;
    watched.named(since, &[one("clean_leave", leaver)]).await?;
    watched.settled().await?;
    watched.trial.start_consumer(leaver)?;
    let verdicts = watched.named(since, &[one("clean_leave", leaver), one("join", leaver)]).await?;
    watched.judged(&verdicts).await
}

async fn paused(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let watched = Watched::begin(&site, protocol(&mut rng), 3).await?;
    let (since, victim) = (Timestamp::now(), rng.random_range(1..=3));
    watched.trial.consumers[victim - 1].stop()?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    watched.trial.consumers[victim - 1].cont()?;
    let verdicts = watched.named(since, &[one("session_timed_out", victim), one("join", victim)]).await?;
    watched.judged(&verdicts).await
}

/// The poll thread alone is held, as a handler that takes too long would hold it: the client's own threads beat on.
async fn poll_interval(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let watched = Watched::begin(&site, protocol(&mut rng), 3).await?;
    let (since, victim) = (Timestamp::now(), rng.random_range(1..=3));
    watched.hold_poll_thread(victim).await?;
    let verdicts = watched.named(since, &[one("poll_interval_exceeded", victim), one("join", victim)]).await?;
    watched.judged(&verdicts).await
}

async fn rolling_restart(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut watched = Watched::begin(&site, protocol(&mut rng), 3).await?;
    let since = Timestamp::now();
    for number in 1..=3 {
        watched.trial.consumers[number - 1].term()?;
        watched.trial.consumers[number - 1].wait(Duration::from_secs(6)).await?;
        watched.trial.start_consumer(number)?;
        watched.trial.owned().await;
    }
    let verdicts = watched.named(since, &[("rolling_restart", vec![id(1), id(2), id(3)])]).await?;
    watched.judged(&verdicts).await
}

async fn static_return(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let settings = Settings { static_membership: true, session_ms: 15_000, ..protocol(&mut rng) };
    let mut watched = Watched::begin(&site, settings, 3).await?;
    let (since, victim) = (Timestamp::now(), rng.random_range(1..=3));
    watched.trial.consumers[victim - 1].term()?;
    watched.trial.consumers[victim - 1].wait(Duration::from_secs(6)).await?;
    watched.trial.start_consumer(victim)?;
    let verdicts = watched.named(since, &[one("static_member_returned", victim)]).await?;
    watched.judged(&verdicts).await
}

async fn partitions_added(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let watched = Watched::begin(&site, protocol(&mut rng), 2).await?;
    let since = Timestamp::now();
    watched.trial.plant.add_partitions(2).await?;
    let verdicts = watched.named(since, &[("metadata_changed", Vec::new())]).await?;
    watched.judged(&verdicts).await
}

/// Nobody has adopted the new log: its partitions are quarantined, and the rebalance is not over by itself.
async fn topic_recreated(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let settings = Settings { protocol: "consumer", ..protocol(&mut rng) };
    let mut watched = Watched::begin(&site, settings, 2).await?;
    watched.trial.load_finished().await?;
    watched.trial.plant.drained(HEAL).await?;
    let since = Timestamp::now();
    recreate(&watched.trial.plant).await?;
    let is_it = |verdict: &Value| verdict["cause"] == "topic_recreated" && verdict["confidence"] == "certain";
    watched.told(since, "topic_recreated", |verdicts| !verdicts.is_empty() && verdicts.iter().all(is_it)).await?;
    watched.trial.hit_with_protocol("topic_recreated");
    Ok(watched.trial.passed())
}

/// Of a KIP-848 group no member is lost and none is told anything; a classic one may be rebalanced, and is no crash.
async fn broker_lost(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let settings = Settings { protocol: "consumer", ..protocol(&mut rng) };
    let watched = Watched::begin(&site, settings, 3).await?;
    let (since, victim) = (Timestamp::now(), rng.random_range(1..=3));
    site.kafka.broker(victim).kill();
    let named = watched.named(since, &[("broker_lost", vec![format!("kafka{victim}")])]).await;
    site.kafka.broker(victim).start()?;
    site.kafka.wait_until_healthy(Duration::from_secs(90)).await;
    let verdicts = named?;
    watched.judged(&verdicts).await
}

/// A second process with the same static id: classic groups tell the first one, which ends.
async fn fenced(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let assignor = if rng.random_bool(0.5) { "range" } else { "cooperative-sticky" };
    let settings =
        Settings { protocol: "classic", assignor, static_membership: true, session_ms: 6_000, ..Settings::default() };
    let mut watched = Watched::begin(&site, settings, 2).await?;
    let since = Timestamp::now();
    let second = watched.trial.plant.consumer(&id(1))?;
    watched.trial.consumers[0].wait(Duration::from_secs(30)).await.context("the first process was to be fenced")?;
    watched.trial.consumers[0] = second;
    let verdicts = watched.named(since, &[one("fenced", 1)]).await?;
    watched.judged(&verdicts).await
}

/// Kills one after the other. Each epoch up to the coordinator's own is in some verdict, or named as one that nobody saw.
async fn epochs_of_kills(site: Arc<Site>, mut rng: StdRng, kills: usize) -> Result<Hits> {
    let settings = Settings { protocol: "consumer", session_ms: 3_000, ..Settings::default() };
    let mut watched = Watched::begin(&site, settings, 3).await?;
    for _ in 0..kills {
        let victim = rng.random_range(1..=3);
        watched.trial.consumers[victim - 1].kill();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..4_500))).await;
        watched.trial.start_consumer(victim)?;
        watched.trial.owned().await;
    }
    watched.settled().await?;
    let plant = &watched.trial.plant;
    let group = plant.inspector().group(&plant.group, &plant.topic).await?.context("the group")?;
    let last = group.epoch.context("a KIP-848 group has an epoch")?;
    let rows = plant.connect().await?.query("SELECT verdict FROM rebalances", &[]).await?;
    let of = |verdict: &Value, list: &str| -> BTreeSet<i64> {
        verdict[list].as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
    };
    let (mut seen, mut unseen, mut crashes) = (BTreeSet::new(), BTreeSet::new(), 0);
    for verdict in rows.iter().map(|row| row.get::<_, Value>(0)) {
        seen.extend(of(&verdict, "generations"));
        unseen.extend(of(&verdict, "generations_unseen"));
        crashes += usize::from(verdict["cause"] == "crash");
    }
    let first = seen.first().copied().context("epochs")?;
    let lacking: Vec<i64> =
        (first..=i64::from(last)).filter(|epoch| !seen.contains(epoch) && !unseen.contains(epoch)).collect();
    ensure!(lacking.is_empty(), "epochs {lacking:?} of {first} to {last} are in no verdict");
    println!(
        "{kills} kills: epochs {first} to {last}, {} of them unseen and named so; {crashes} verdicts of a crash",
        unseen.difference(&seen).count()
    );
    watched.trial.hit("epochs");
    watched.trial.judged().await
}

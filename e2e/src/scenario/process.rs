//! Faults of the consumer processes: killed, stopped, restarted, scaled.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use testkit::{Process, wait_until};

use super::barrier::{BATCH_PHASES, Barrier, Phase};
use super::trial::Trial;
use super::{Hits, Scenario};
use crate::plant::{Plant, SESSION_MS, Settings, Site};

/// The process lines of the matrix.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "consumer kill -9, random phases", run: |site, rng| Box::pin(kills(site, rng)) },
    Scenario { name: "consumer kill -9, named phases", run: |site, rng| Box::pin(kills_in_phase(site, rng)) },
    Scenario { name: "consumer SIGSTOP past the session, then SIGCONT", run: |site, rng| Box::pin(zombies(site, rng)) },
    Scenario { name: "stopped between ASSIGN and claim", run: |site, rng| Box::pin(stopped_unclaimed(site, rng)) },
    Scenario { name: "stopped between claim and first fetch", run: |site, rng| Box::pin(stopped_unfetched(site, rng)) },
    Scenario { name: "SIGTERM: drained, seen as a leave", run: |site, rng| Box::pin(leaves(site, rng)) },
    Scenario { name: "rolling restart, static members", run: |site, rng| Box::pin(rolling_restart(site, rng)) },
    Scenario { name: "storm of joins and leaves", run: |site, rng| Box::pin(storm(site, rng)) },
];

/// Every combination of protocol and assignor, picked by the seed.
pub fn any_protocol(rng: &mut StdRng) -> Settings {
    let (protocol, assignor) =
        [("consumer", "cooperative-sticky"), ("classic", "cooperative-sticky"), ("classic", "range")]
            [rng.random_range(0..3)];
    Settings { protocol, assignor, ..Settings::default() }
}

/// Consumers by number, `sensor-consumer-1` and up.
pub fn id(number: usize) -> String {
    format!("sensor-consumer-{number}")
}

/// Starts consumers 1 to `count` and waits until they own all partitions between them.
///
/// # Errors
/// When one does not start.
pub async fn start(plant: &Plant, count: usize) -> Result<Vec<Process>> {
    let consumers = (1..=count).map(|number| plant.consumer(&id(number))).collect::<Result<Vec<_>>>()?;
    if count > 0 {
        owned_by(plant, count).await;
    }
    Ok(consumers)
}

/// Waits until all partitions are read and their owners are `count` different consumers that live
/// now: only heartbeats from after the call count, so that a killed one's last is none, and only
/// partitions whose claim is the beating process's own.
pub async fn owned_by(plant: &Plant, count: usize) {
    let wanted = (i64::from(plant.settings.partitions), i64::try_from(count).expect("few"));
    // The server's clock is the machine's.
    let since = SystemTime::now();
    wait_until(Duration::from_secs(60), "the consumers own all partitions", async || {
        let Ok(client) = plant.connect().await else { return false };
        client
            .query_one(
                "SELECT count(*), count(DISTINCT h.consumer_id) FROM consumer_health h, \
                        jsonb_to_recordset(h.partition_states) AS p(partition integer, state text) \
                  WHERE h.status = 'running' AND h.last_heartbeat > $1 AND p.state = 'reading' \
                    AND EXISTS (SELECT 1 FROM stored_offsets o \
                                 WHERE o.partition_number = p.partition AND o.boot_id = h.boot_id)",
                &[&since],
            )
            .await
            .is_ok_and(|row| (row.get::<_, i64>(0), row.get::<_, i64>(1)) == wanted)
    })
    .await;
}

async fn kills(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for _ in 0..4 {
        trial.progress(&mut rng).await?;
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..200_000))).await;
        let victim = rng.random_range(1..=3);
        trial.consumers[victim - 1].kill();
        trial.start_consumer(victim)?;
        trial.hit_with_protocol("kill -9");
    }
    trial.judged().await
}

async fn kills_in_phase(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for phase in BATCH_PHASES.into_iter().cycle().take(6) {
        trial.progress(&mut rng).await?;
        let victim = rng.random_range(1..=3);
        let barrier = Barrier::up(&trial.plant, phase).await?;
        barrier.reached(&id(victim)).await;
        trial.consumers[victim - 1].kill();
        barrier.down().await?;
        trial.start_consumer(victim)?;
        trial.owned().await;
        trial.hit(format!("kill -9, {}", phase.name()));
    }
    trial.judged().await
}

/// Stopped in each phase until others own its partitions, then woken: its claim is refused, in the
/// server, and the refusal is seen from the database's side.
async fn zombies(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for phase in BATCH_PHASES.into_iter().cycle().take(6) {
        trial.progress(&mut rng).await?;
        let victim = rng.random_range(1..=3);
        let barrier = Barrier::up(&trial.plant, phase).await?;
        barrier.reached(&id(victim)).await;
        trial.consumers[victim - 1].stop()?;
        barrier.down().await?;
        taken_over(&trial.plant, &id(victim)).await;
        trial.consumers[victim - 1].cont()?;
        trial.owned().await;
        trial.hit(format!("SIGSTOP, {}", phase.name()));
    }
    trial.judged().await
}

/// Waits until nothing is claimed by `victim` any more.
async fn taken_over(plant: &Plant, victim: &str) {
    wait_until(Duration::from_secs(60), "the others took its partitions over", async || {
        let Ok(client) = plant.connect().await else { return false };
        client
            .query_one("SELECT count(*) FROM stored_offsets WHERE owner = $1", &[&victim])
            .await
            .is_ok_and(|row| row.get::<_, i64>(0) == 0)
    })
    .await;
}

/// The second member joins, is stopped before it can claim, loses its session, and wakes: it may
/// claim over the new owner, who is refused, asks why, and claims again.
async fn stopped_unclaimed(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 1).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        let joined = events(&trial.plant, "assigned", &id(2)).await?;
        let barrier = Barrier::up(&trial.plant, Phase::RowsBuffered).await?;
        trial.start_consumer(2)?;
        wait_until(Duration::from_secs(30), "it is assigned and not claimed", async || {
            events(&trial.plant, "assigned", &id(2)).await.is_ok_and(|now| now > joined)
        })
        .await;
        trial.consumers[1].stop()?;
        barrier.down().await?;
        // Past the session: the first member owns everything again.
        tokio::time::sleep(Duration::from_millis(u64::from(SESSION_MS) + 2_500)).await;
        trial.consumers[1].cont()?;
        trial.owned().await;
        trial.consumers.truncate(1);
        trial.owned().await;
        trial.hit("SIGSTOP between ASSIGN and claim");
    }
    trial.judged().await
}

/// Claimed, with an empty log, so that nothing can have been fetched; stopped; then the load begins.
async fn stopped_unfetched(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut hits = Hits::new();
    for _ in 0..2 {
        let mut trial = Trial::idle(&site, any_protocol(&mut rng), 2).await?;
        wait_until(Duration::from_secs(30), "every partition is claimed", async || {
            trial.plant.stored().await.is_ok_and(|stored| stored.len() == 6)
        })
        .await;
        trial.consumers[0].stop()?;
        trial.load(100_000, 0)?;
        taken_over(&trial.plant, &id(1)).await;
        trial.consumers[0].cont()?;
        trial.owned().await;
        trial.hit("SIGSTOP between claim and first fetch");
        for (phase, count) in trial.judged().await? {
            *hits.entry(phase).or_default() += count;
        }
    }
    Ok(hits)
}

async fn events(plant: &Plant, event_type: &str, consumer: &str) -> Result<i64> {
    let client = plant.connect().await?;
    let row = client
        .query_one(
            "SELECT count(*) FROM rebalancing_events WHERE event_type = $1 AND consumer_id = $2 AND partition_number IS NOT NULL",
            &[&event_type, &consumer],
        )
        .await?;
    Ok(row.get(0))
}

/// SIGTERM under load: exit 0 within 5 s, and the coordinator logs a leave, not an expiry.
async fn leaves(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for victim in [1, 2] {
        trial.progress(&mut rng).await?;
        let consumer = &trial.consumers[victim - 1];
        consumer.term()?;
        let status = consumer.wait(Duration::from_secs(5)).await.context("SIGTERM ends within 5 s")?;
        ensure!(status.code() == Some(0), "it ended with {status}");
        taken_over(&trial.plant, &id(victim)).await;
        let (seen, said) = leaves_seen(&trial.plant)?;
        ensure!(seen >= victim, "the coordinator saw {seen} leaves, not {victim}:\n{said}");
        trial.start_consumer(victim)?;
        trial.owned().await;
        trial.hit_with_protocol("SIGTERM");
    }
    trial.judged().await
}

/// Leaves of the group that the brokers logged, and all that they logged of it; an expired member
/// is logged otherwise.
fn leaves_seen(plant: &Plant) -> Result<(usize, String)> {
    let mut said = String::new();
    for broker in plant.site.kafka.brokers() {
        let log = std::fs::read_to_string(broker.log())?;
        let of_group = log.lines().filter(|line| line.contains(&plant.group));
        of_group.for_each(|line| said.extend([line, "\n"]));
    }
    let is_leave =
        |line: &&str| line.contains("explicit `LeaveGroup` request") || line.contains("left the consumer group");
    Ok((said.lines().filter(is_leave).count(), said))
}

async fn rolling_restart(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let settings = Settings { static_membership: true, ..any_protocol(&mut rng) };
    let mut trial = Trial::begin(&site, settings, 3).await?;
    for number in 1..=3 {
        trial.progress(&mut rng).await?;
        trial.consumers[number - 1].term()?;
        trial.consumers[number - 1].wait(Duration::from_secs(6)).await?;
        trial.start_consumer(number)?;
        trial.owned().await;
        trial.hit_with_protocol("static restart");
    }
    trial.judged().await
}

async fn storm(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 2).await?;
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_200))).await;
        let members = trial.consumers.len();
        if members < 4 && rng.random_bool(0.5) || members < 2 {
            let consumer = trial.plant.consumer(&id(rng.random_range(3..9)))?;
            trial.consumers.push(consumer);
            trial.hit("join");
        } else {
            let gone = trial.consumers.swap_remove(rng.random_range(0..members));
            if rng.random_bool(0.5) {
                gone.term()?
            } else {
                gone.kill()
            }
            trial.hit("leave or kill");
        }
    }
    trial.judged().await
}

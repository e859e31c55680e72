//! Faults of the consumer processes: killed, stopped, restarted, scaled.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use testkit::{Process, wait_until};

use super::barrier::{BATCH_PHASES, Barrier, Phase};
use super::{HEAL, Hits, RATE, Scenario};
use crate::oracle;
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
    owned_by(plant, count).await;
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

/// Lets the load run for a while that the seed picks.
async fn some_load(plant: &Plant, rng: &mut StdRng) -> Result<()> {
    let more = rng.random_range(5_000..20_000);
    let aim = plant.stored_records().await? + more;
    wait_until(Duration::from_secs(60), "the load goes on", async || {
        plant.stored_records().await.is_ok_and(|stored| stored >= aim)
    })
    .await;
    Ok(())
}

async fn verdict(plant: &Plant, load: crate::load::Load, consumers: &[Process]) -> Result<()> {
    let report = load.finish(0).await?;
    oracle::judge(plant, &report, HEAL).await.map_err(|error| {
        let logs: Vec<String> = consumers.iter().map(|c| format!("--- {}\n{}", c.name(), c.last_output())).collect();
        error.context(logs.join("\n"))
    })
}

async fn kills(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let plant = Plant::new(&site, any_protocol(&mut rng)).await?;
    let mut consumers = start(&plant, 3).await?;
    let load = plant.load(RATE, u64::MAX, 0)?;
    let mut hits = Hits::new();
    for _ in 0..4 {
        some_load(&plant, &mut rng).await?;
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..200_000))).await;
        let victim = rng.random_range(0..3);
        consumers[victim].kill();
        consumers[victim] = plant.consumer(&id(victim + 1))?;
        *hits.entry(format!("kill -9 ({})", plant.settings.protocol)).or_default() += 1;
    }
    verdict(&plant, load, &consumers).await?;
    Ok(hits)
}

async fn kills_in_phase(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let plant = Plant::new(&site, any_protocol(&mut rng)).await?;
    let mut consumers = start(&plant, 3).await?;
    let load = plant.load(RATE, u64::MAX, 0)?;
    let mut hits = Hits::new();
    for phase in BATCH_PHASES.into_iter().cycle().take(6) {
        some_load(&plant, &mut rng).await?;
        let victim = rng.random_range(0..3);
        let barrier = Barrier::up(&plant, phase).await?;
        barrier.reached(&id(victim + 1)).await;
        consumers[victim].kill();
        barrier.down().await?;
        consumers[victim] = plant.consumer(&id(victim + 1))?;
        owned_by(&plant, 3).await;
        *hits.entry(format!("kill -9, {}", phase.name())).or_default() += 1;
    }
    verdict(&plant, load, &consumers).await?;
    Ok(hits)
}

/// Stopped in each phase until others own its partitions, then woken: its claim is refused, in the
/// server, and the refusal is seen from the database's side.
async fn zombies(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let plant = Plant::new(&site, any_protocol(&mut rng)).await?;
    let consumers = start(&plant, 3).await?;
    let load = plant.load(RATE, u64::MAX, 0)?;
    let mut hits = Hits::new();
    for phase in BATCH_PHASES.into_iter().cycle().take(6) {
        some_load(&plant, &mut rng).await?;
        let victim = rng.random_range(0..3);
        let barrier = Barrier::up(&plant, phase).await?;
        barrier.reached(&id(victim + 1)).await;
        consumers[victim].stop()?;
        barrier.down().await?;
        taken_over(&plant, &id(victim + 1)).await;
        consumers[victim].cont()?;
        owned_by(&plant, 3).await;
        *hits.entry(format!("SIGSTOP, {}", phase.name())).or_default() += 1;
    }
    verdict(&plant, load, &consumers).await?;
    Ok(hits)
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
    let plant = Plant::new(&site, any_protocol(&mut rng)).await?;
    let mut consumers = start(&plant, 1).await?;
    let load = plant.load(RATE, u64::MAX, 0)?;
    let mut hits = Hits::new();
    for _ in 0..2 {
        some_load(&plant, &mut rng).await?;
        let joined = events(&plant, "assigned", &id(2)).await?;
        let barrier = Barrier::up(&plant, Phase::RowsBuffered).await?;
        consumers.push(plant.consumer(&id(2))?);
        wait_until(Duration::from_secs(30), "it is assigned and not claimed", async || {
            events(&plant, "assigned", &id(2)).await.is_ok_and(|now| now > joined)
        })
        .await;
        let zombie = consumers.last().context("it was just started")?;
        zombie.stop()?;
        barrier.down().await?;
        // Past the session: the first member owns everything again.
        tokio::time::sleep(Duration::from_millis(u64::from(SESSION_MS) + 2_500)).await;
        zombie.cont()?;
        owned_by(&plant, 2).await;
        let zombie = consumers.pop().context("it was just started")?;
        zombie.kill();
        owned_by(&plant, 1).await;
        *hits.entry("SIGSTOP between ASSIGN and claim".into()).or_default() += 1;
    }
    verdict(&plant, load, &consumers).await?;
    Ok(hits)
}

/// Claimed, with an empty log, so that nothing can have been fetched; stopped; then the load begins.
async fn stopped_unfetched(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut hits = Hits::new();
    for _ in 0..2 {
        let plant = Plant::new(&site, any_protocol(&mut rng)).await?;
        let consumers = start(&plant, 2).await?;
        wait_until(Duration::from_secs(30), "every partition is claimed", async || {
            plant.stored().await.is_ok_and(|stored| stored.len() == 6)
        })
        .await;
        consumers[0].stop()?;
        let load = plant.load(RATE, 100_000, 0)?;
        taken_over(&plant, &id(1)).await;
        consumers[0].cont()?;
        owned_by(&plant, 2).await;
        verdict(&plant, load, &consumers).await?;
        *hits.entry("SIGSTOP between claim and first fetch".into()).or_default() += 1;
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
    let mut hits = Hits::new();
    let settings = any_protocol(&mut rng);
    let plant = Plant::new(&site, settings).await?;
    let mut consumers = start(&plant, 3).await?;
    let load = plant.load(RATE, u64::MAX, 0)?;
    let mut left = 0;
    for victim in [0, 1] {
        some_load(&plant, &mut rng).await?;
        consumers[victim].term()?;
        let status = consumers[victim].wait(Duration::from_secs(5)).await.context("SIGTERM ends within 5 s")?;
        ensure!(status.code() == Some(0), "it ended with {status}:\n{}", consumers[victim].last_output());
        taken_over(&plant, &id(victim + 1)).await;
        left += 1;
        let (seen, said) = leaves_seen(&plant)?;
        ensure!(seen >= left, "the coordinator saw {seen} leaves, not {left}:\n{said}\n{}", consumers[victim].output());
        consumers[victim] = plant.consumer(&id(victim + 1))?;
        owned_by(&plant, 3).await;
        *hits.entry(format!("SIGTERM ({})", plant.settings.protocol)).or_default() += 1;
    }
    verdict(&plant, load, &consumers).await?;
    Ok(hits)
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
    let plant = Plant::new(&site, settings).await?;
    let mut consumers = start(&plant, 3).await?;
    let load = plant.load(RATE, u64::MAX, 0)?;
    let mut hits = Hits::new();
    for (number, consumer) in (1..).zip(&mut consumers) {
        some_load(&plant, &mut rng).await?;
        consumer.term()?;
        consumer.wait(Duration::from_secs(6)).await?;
        *consumer = plant.consumer(&id(number))?;
        owned_by(&plant, 3).await;
        *hits.entry(format!("static restart ({})", plant.settings.protocol)).or_default() += 1;
    }
    verdict(&plant, load, &consumers).await?;
    Ok(hits)
}

async fn storm(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let plant = Plant::new(&site, any_protocol(&mut rng)).await?;
    let mut consumers = start(&plant, 2).await?;
    let load = plant.load(RATE, u64::MAX, 0)?;
    let mut hits = Hits::new();
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_200))).await;
        if consumers.len() < 4 && rng.random_bool(0.5) || consumers.len() < 2 {
            consumers.push(plant.consumer(&id(rng.random_range(3..9)))?);
            *hits.entry("join".into()).or_default() += 1;
        } else {
            let gone = consumers.swap_remove(rng.random_range(0..consumers.len()));
            if rng.random_bool(0.5) {
                gone.term()?
            } else {
                gone.kill()
            }
            *hits.entry("leave or kill".into()).or_default() += 1;
        }
    }
    verdict(&plant, load, &consumers).await?;
    Ok(hits)
}

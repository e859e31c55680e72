//! A scenario under way: its plant, the consumers, the load, and what was really hit.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use testkit::{Process, wait_until};

use super::process::{id, owned_by, start};
use super::{HEAL, Hits, RATE, journal};
use crate::load::{Load, Report};
use crate::oracle;
use crate::plant::{Plant, Settings, Site};

/// See the module.
pub struct Trial {
    /// Where it happens.
    pub plant: Plant,
    /// Consumer `n` at place `n - 1`.
    pub consumers: Vec<Process>,
    load: Option<Load>,
    poison_every: u64,
    hits: Hits,
    passed: bool,
}

impl Trial {
    /// A plant, `count` consumers that own its partitions, and a load at [`RATE`].
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn begin(site: &Arc<Site>, settings: Settings, count: usize) -> Result<Self> {
        let mut trial = Self::idle(site, settings, count).await?;
        trial.load(u64::MAX, 0)?;
        Ok(trial)
    }

    /// The same without a load.
    ///
    /// # Errors
    /// As [`Trial::begin`].
    pub async fn idle(site: &Arc<Site>, settings: Settings, count: usize) -> Result<Self> {
        let plant = Plant::new(site, settings).await?;
        let consumers = start(&plant, count).await?;
        Ok(Self { plant, consumers, load: None, poison_every: 0, hits: Hits::new(), passed: false })
    }

    /// Starts a load of at most `limit` events, one in `poison_every` of them poison.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn load(&mut self, limit: u64, poison_every: u64) -> Result<()> {
        self.poison_every = poison_every;
        self.load = Some(self.plant.load(RATE, limit, poison_every)?);
        Ok(())
    }

    /// Starts a load without poison and without end, of so many events per second.
    ///
    /// # Errors
    /// As [`Trial::load`].
    pub fn load_at(&mut self, rate: u64) -> Result<()> {
        self.poison_every = 0;
        self.load = Some(self.plant.load(rate, u64::MAX, 0)?);
        Ok(())
    }

    /// Waits until the load has sent `count` events in all and every one is acknowledged.
    ///
    /// # Errors
    /// As [`Load::finish`].
    pub async fn sent(&mut self, count: u64) -> Result<Report> {
        let load = self.load.take().context("no load is running")?;
        wait_until(Duration::from_secs(60), "the events are sent", async || load.sent() >= count).await;
        load.finish(self.poison_every).await
    }

    /// Stops the load and waits until everything that it sent is acknowledged.
    ///
    /// # Errors
    /// As [`Load::finish`].
    pub async fn load_finished(&mut self) -> Result<Report> {
        self.load.take().context("no load is running")?.finish(self.poison_every).await
    }

    /// Starts consumer `number`, in the place of the one that had the number.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_consumer(&mut self, number: usize) -> Result<()> {
        let consumer = self.plant.consumer(&id(number))?;
        match self.consumers.get_mut(number - 1) {
            Some(place) => *place = consumer,
            None => self.consumers.push(consumer),
        }
        Ok(())
    }

    /// Waits until some more records are stored; how many is the seed's.
    ///
    /// # Errors
    /// When the database is away before it begins.
    pub async fn progress(&self, rng: &mut StdRng) -> Result<()> {
        let aim = self.stored_offsets().await? + rng.random_range(5_000..20_000);
        wait_until(Duration::from_secs(60), "more records are stored", async || {
            self.stored_offsets().await.is_ok_and(|stored| stored >= aim)
        })
        .await;
        Ok(())
    }

    /// The sum of the stored offsets.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn stored_offsets(&self) -> Result<i64> {
        Ok(self.plant.stored().await?.iter().map(|(_, next)| next).sum())
    }

    /// Waits until every consumer is paused, by its spool: known without the database.
    pub async fn paused(&self) {
        wait_until(Duration::from_secs(30), "every consumer pauses", async || {
            (1..=self.consumers.len()).all(|number| self.is_paused(number))
        })
        .await;
    }

    /// Waits until no consumer is paused.
    pub async fn resumed(&self) {
        wait_until(Duration::from_secs(60), "no consumer is paused any more", async || {
            !(1..=self.consumers.len()).any(|number| self.is_paused(number))
        })
        .await;
    }

    fn is_paused(&self, number: usize) -> bool {
        let spooled = |event_type| journal::spooled(&self.plant, &id(number), event_type);
        spooled("paused") > spooled("resumed")
    }

    /// Waits until all partitions are owned, by all consumers between them.
    pub async fn owned(&self) {
        owned_by(&self.plant, self.consumers.len()).await;
    }

    /// Notes that a phase was hit.
    pub fn hit(&mut self, phase: impl Into<String>) {
        *self.hits.entry(phase.into()).or_default() += 1;
    }

    /// Notes that the fault was hit under this group protocol.
    pub fn hit_with_protocol(&mut self, fault: &str) {
        let Settings { protocol, assignor, .. } = self.plant.settings;
        let protocol = if protocol == "classic" { assignor } else { "KIP-848" };
        self.hit(format!("{fault} ({protocol})"));
    }

    /// Ends the load and asks the oracle.
    ///
    /// # Errors
    /// What it found.
    pub async fn judged(mut self) -> Result<Hits> {
        let report = self.load_finished().await?;
        oracle::judge(&self.plant, &report, HEAL).await?;
        Ok(self.passed())
    }

    /// What was hit, when the scenario has judged by itself.
    pub fn passed(mut self) -> Hits {
        self.passed = true;
        std::mem::take(&mut self.hits)
    }

    /// Runs `consumer verify`, which must end with this code.
    ///
    /// # Errors
    /// With its output, when it ends with another one.
    pub async fn verified(&self, wanted: i32) -> Result<()> {
        let (code, output) = self.plant.command(&["verify"]).await?;
        ensure!(code == wanted, "consumer verify ended with {code}, not {wanted}:\n{output}");
        Ok(())
    }

    /// The end of what the consumers printed. With `E2E_KEEP` set to a folder, all of it is kept there.
    fn last_words(&self) -> String {
        if let Ok(folder) = std::env::var("E2E_KEEP") {
            for (number, consumer) in (1..).zip(&self.consumers) {
                let file = format!("{}-{}.log", self.plant.group, id(number));
                let _ = std::fs::write(std::path::Path::new(&folder).join(file), consumer.output());
            }
        }
        let words = self.consumers.iter().map(|c| format!("--- {}\n{}", c.name(), c.last_output()));
        words.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // The logs go with the plant.
        if !self.passed {
            eprintln!("{}", self.last_words());
        }
    }
}

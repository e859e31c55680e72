//! Asks PostgreSQL once a second: does it answer, has it a schema that this build can work with, and what do
//! its tables say.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lifecycle::{Latch, Readiness, Shutdown};
use opentelemetry::metrics::Gauge;
use store::{
    Error, Store, alarms, consumer_health, flight_recorder, offsets, producer_health, schema_version, throughput,
};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::facts::{Facts, RATE_SECONDS, Tables};
use crate::workload::Workload;

const ASK_EVERY: Duration = Duration::from_secs(1);
/// A database that takes longer does not answer: a frozen one says nothing at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// What the charts of the page are kept up with: long enough for transactions that commit late.
const RECENT_SECONDS: u32 = 60;
/// Standing alarms that are read.
const STANDING: i64 = 200;
/// When the append times of the last stored records are asked for again.
const APPENDS_EVERY: Duration = Duration::from_secs(30);

/// The observer. Not ready until the first good answer, and again after every bad one.
pub struct Database {
    store: Store,
    facts: watch::Sender<Facts>,
    readiness: Readiness,
    waiting: Option<(State, Latch)>,
    up: Gauge<u64>,
    last_appends: (Option<Instant>, Arc<Vec<offsets::LastAppend>>),
}

/// Why it waits; also the name of the latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    NotAsked,
    Away,
    WrongSchema,
}

impl State {
    fn latch(self) -> &'static str {
        match self {
            Self::NotAsked | Self::Away => "database",
            Self::WrongSchema => "database schema",
        }
    }
}

impl Database {
    /// Takes the latch at once, so that the process is not ready before the first answer.
    pub fn new(store: Store, facts: watch::Sender<Facts>, readiness: &Readiness) -> Self {
        let up = opentelemetry::global::meter("monitor")
            .u64_gauge("database.up")
            .with_description("1 when the database answers and its schema can be worked with")
            .build();
        up.record(0, &[]);
        Self {
            store,
            facts,
            waiting: Some((State::NotAsked, readiness.latch(State::NotAsked.latch()))),
            readiness: readiness.clone(),
            up,
            last_appends: (None, Arc::default()),
        }
    }

    /// Asks each second until it is told to stop.
    pub async fn watch(mut self, stop: Shutdown) -> Result<(), Infallible> {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let asked_at = Timestamp::now();
            let answer = tokio::select! {
                () = stop.requested() => return Ok(()),
                answer = timeout(ANSWER_WITHIN, self.ask()) => answer.unwrap_or_else(|_| Err(silence())),
            };
            self.note(&answer);
            self.facts.send_modify(|facts| {
                facts.database.note(asked_at, answer.map_err(|error| error.chain()));
                facts.sample_lag(asked_at);
            });
        }
    }

    async fn ask(&mut self) -> store::Result<Tables> {
        schema_version::check(&self.store).await?;
        // One after the other: they share one connection.
        let store = &self.store;
        let workloads = Arc::clone(&self.facts.borrow().workloads);
        let consumers = consumer_health::all(store).await?;
        let producers = producer_health::all(store).await?;
        let topics_read = flight_recorder::topics_read(store).await?;
        let mut offsets = Vec::new();
        for workload in workloads.iter() {
            offsets.extend(newest_log(offsets::all(store, workload.target).await?, &workload.topic));
        }
        let shares = throughput::shares(store, RATE_SECONDS).await?;
        let throughput::Recent { all: seconds, by_target: seconds_by_target } =
            throughput::recent(store, RECENT_SECONDS).await?;
        let alarms = alarms::standing(store, STANDING).await?;
        let alarm_counts = alarms::counts(store).await?;
        let slots = flight_recorder::slots(store).await?;
        let recorded_since = flight_recorder::recorded_since(store).await?;
        let last_appends = self.last_appends(&workloads).await?;
        Ok(Tables {
            slots,
            recorded_since,
            consumers,
            topics_read,
            producers,
            offsets,
            shares,
            seconds,
            seconds_by_target,
            alarms,
            alarm_counts,
            last_appends,
        })
    }

    /// Hours are told by it: what it was half a minute ago is as good.
    async fn last_appends(&mut self, workloads: &[Workload]) -> store::Result<Arc<Vec<offsets::LastAppend>>> {
        let (asked_at, known) = &mut self.last_appends;
        if asked_at.is_none_or(|asked_at| asked_at.elapsed() > APPENDS_EVERY) {
            let mut appends = Vec::new();
            for workload in workloads {
                appends.extend(offsets::last_appends(&self.store, workload.target).await?);
            }
            *known = appends.into();
            *asked_at = Some(Instant::now());
        }
        Ok(Arc::clone(known))
    }

    /// Moves the latch and the gauge; says so when something has changed.
    fn note(&mut self, answer: &store::Result<Tables>) {
        self.up.record(answer.is_ok().into(), &[]);
        let error = match answer {
            Ok(_) => {
                if self.waiting.take().is_some() {
                    info!("database is there");
                }
                return;
            }
            Err(error) => error,
        };
        let state = match error {
            Error::Schema(_) => State::WrongSchema,
            _ => State::Away,
        };
        if self.waiting.as_ref().is_none_or(|(known, _)| *known != state) {
            warn!(error = error.chain(), "database cannot be worked with");
            self.waiting = Some((state, self.readiness.latch(state.latch())));
        }
    }
}

fn silence() -> Error {
    Error::TimedOut { doing: "asking for the state of the pipeline", seconds: ANSWER_WITHIN.as_secs() }
}

/// The stored offsets of the topic's latest incarnation.
pub fn newest_log(offsets: Vec<offsets::Stored>, topic: &str) -> Vec<offsets::Stored> {
    let newest = offsets.iter().filter(|stored| stored.topic == topic).map(|stored| stored.log_id).max();
    offsets.into_iter().filter(|stored| Some(stored.log_id) == newest).collect()
}

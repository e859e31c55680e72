//! Whether the database answers and has a schema that this build can work with.

use std::{convert::Infallible, time::Duration};

use lifecycle::{Latch, Readiness, Shutdown};
use opentelemetry::metrics::Gauge;
use store::{Error, Store, schema_version};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The probe. Not ready until the first good answer, and again after every bad one.
pub struct Database {
    store: Store,
    readiness: Readiness,
    waiting: Option<(State, Latch)>,
    up: Gauge<u64>,
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
    /// Takes the latch at once, so that the process is not ready before the first probe.
    pub fn new(store: Store, readiness: &Readiness) -> Self {
        let up = opentelemetry::global::meter("monitor")
            .u64_gauge("database.up")
            .with_description("1 when the database answers and its schema can be worked with")
            .build();
        up.record(0, &[]);
        Self {
            store,
            waiting: Some((State::NotAsked, readiness.latch(State::NotAsked.latch()))),
            readiness: readiness.clone(),
            up,
        }
    }

    /// Probes each second until it is told to stop.
    pub async fn watch(mut self, stop: Shutdown) -> Result<(), Infallible> {
        let mut ticks = interval(PROBE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let answer = tokio::select! {
                () = stop.requested() => return Ok(()),
                answer = schema_version::check(&self.store) => answer,
            };
            self.note(answer);
        }
    }

    /// Moves the latch and the gauge; says so when something has changed.
    fn note(&mut self, answer: store::Result<i32>) {
        self.up.record(answer.is_ok().into(), &[]);
        let error = match answer {
            Ok(schema_version) => {
                if self.waiting.take().is_some() {
                    info!(schema_version, "database is there");
                }
                return;
            }
            Err(error) => error,
        };
        let state = match &error {
            Error::Schema(_) => State::WrongSchema,
            _ => State::Away,
        };
        if self.waiting.as_ref().is_none_or(|(known, _)| *known != state) {
            warn!(error = error.chain(), "database cannot be worked with");
            self.waiting = Some((state, self.readiness.latch(state.latch())));
        }
    }
}

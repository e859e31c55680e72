//! Between the alarms (`crates/alarms`, which know no database) and the store (which knows no alarms).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alarms::{Event, InvalidLimits, Limits, RuleBook, Rules, Sensor};
use jiff::SignedDuration;
use lifecycle::Shutdown;
use store::Store;
use store::batch::{SensorState, Transition};

use crate::buffer::Buffer;

/// How often limits are read: a change is in force after that long, at the latest.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A sensor as it is stored.
pub fn state(id: &Arc<str>, sensor: &Sensor) -> SensorState {
    let json = serde_json::to_string(sensor).expect("numbers, texts and times always serialise");
    SensorState { sensor_id: Arc::clone(id), json }
}

/// What is told of a sensor as it is stored.
pub fn transition(event: &Event) -> Transition {
    let Event { sensor_id, place, told } = event;
    Transition {
        sensor_id: Arc::clone(sensor_id),
        offset: place.offset,
        condition: told.kind.condition(),
        event: told.kind.event(),
        level: told.kind.level(),
        severity: i16::try_from(told.kind.severity()).expect("at most 1000"),
        occurred_at: told.at,
        value: told.value,
        threshold: told.threshold,
        chattering: told.chattering,
        told: told.told,
    }
}

/// The rules that stored limits amount to.
///
/// # Errors
/// Names the field that makes no sense.
pub fn rules(stored: &store::alarms::Limits) -> Result<Rules, InvalidLimits> {
    let delay = |field, seconds| {
        SignedDuration::try_from_secs_f64(seconds)
            .map_err(|_| InvalidLimits { field, reason: "not a number of seconds" })
    };
    let limits = Limits {
        high_high: stored.high_high,
        high: stored.high,
        low: stored.low,
        low_low: stored.low_low,
        deadband: stored.deadband,
        on_delay: delay("on_delay", stored.on_delay_s)?,
        off_delay: delay("off_delay", stored.off_delay_s)?,
    };
    Ok(Rules { limits: limits.checked()?, deviation: stored.deviation })
}

/// Rules as they are stored.
pub fn stored(rules: &Rules) -> store::alarms::Limits {
    let Rules { limits, deviation } = rules;
    store::alarms::Limits {
        high_high: limits.high_high,
        high: limits.high,
        low: limits.low,
        low_low: limits.low_low,
        deadband: limits.deadband,
        on_delay_s: limits.on_delay.as_secs_f64(),
        off_delay_s: limits.off_delay.as_secs_f64(),
        deviation: *deviation,
    }
}

/// Keeps the buffer's rules up with `alarm_limits`.
pub struct Limiter {
    store: Store,
    buffer: Arc<Buffer>,
    /// As they were read last; `None` before the first time.
    known: Mutex<Option<HashMap<String, store::alarms::Limits>>>,
}

impl Limiter {
    /// Nothing is read yet.
    pub fn new(store: Store, buffer: Arc<Buffer>) -> Self {
        Self { store, buffer, known: Mutex::default() }
    }

    /// Reads the limits and lets the buffer follow them, if they changed. Done before each claim, so that nothing is
    /// held against limits that were never asked for.
    ///
    /// # Errors
    /// Transient ones; the rules stay as they are.
    pub async fn refresh(&self) -> Result<(), store::Error> {
        let limits = store::alarms::limits(&self.store).await?;
        let mut known = self.known.lock().expect("nothing panics while it holds this lock");
        if known.as_ref() != Some(&limits) {
            self.buffer.follow(book(&limits));
            *known = Some(limits);
        }
        Ok(())
    }

    /// Refreshes every few seconds until `stop`.
    ///
    /// # Errors
    /// None: while the database is away the rules stay as they are.
    pub async fn run(self: Arc<Self>, stop: Shutdown) -> Result<(), store::Error> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.requested() => return Ok(()),
            }
            if let Err(error) = self.refresh().await {
                tracing::debug!(error = error.chain(), "alarm limits; read again soon");
            }
        }
    }
}

/// Limits that make no sense (written past the command) are said and left out.
fn book(limits: &HashMap<String, store::alarms::Limits>) -> RuleBook {
    let own = limits.iter().filter_map(|(sensor_id, limits)| match rules(limits) {
        Ok(rules) => Some((sensor_id.clone(), rules)),
        Err(error) => {
            tracing::warn!(sensor_id, %error, "alarm limits that make no sense: the type's defaults hold");
            None
        }
    });
    RuleBook::new(own.collect())
}

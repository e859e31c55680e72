//! Numbers what happened, keeps what it sees from outside, judges the rebalances, and tells the alarms of the system;
//! one recorder at a time: the others stand by for the lock.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lifecycle::Shutdown;
use store::{
    Store,
    alarms::tell_system,
    event_stream::{Channel, Listener, Recorder},
    flight_recorder::{last_observations, progress},
};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tracing::{info, warn};

pub mod judge;
mod observer;

use self::{judge::Judge, observer::Observer};
use crate::{facts::Facts, metrics::Rebalances, system_alarms::SystemAlarms};

/// Until the lock, or the database, is asked for again.
const STAND_BY: Duration = Duration::from_secs(2);
/// A wake-up may get lost, so it looks this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Who sees, and tells the alarms of the system.
const OBSERVER: &str = "monitor";

/// Numbers events until it is told to stop.
///
/// # Errors
/// None: without the database there is nothing to number, and it is tried again.
pub async fn run(
    store: Store,
    facts: watch::Receiver<Facts>,
    group_changed: Arc<Notify>,
    stop: Shutdown,
) -> Result<(), Infallible> {
    let mut said = false;
    loop {
        let ended = tokio::select! {
            () = stop.requested() => return Ok(()),
            ended = record(&store, &facts, &group_changed, &mut said) => ended,
        };
        if let Err(error) = ended
            && !std::mem::replace(&mut said, true)
        {
            warn!(error = error.chain(), "events are not numbered; tried again");
        }
        tokio::select! {
            () = stop.requested() => return Ok(()),
            () = tokio::time::sleep(STAND_BY) => {}
        }
    }
}

/// `Ok` when somebody else is the recorder. What is wrong with it is said once, until it works again.
async fn record(
    store: &Store,
    facts: &watch::Receiver<Facts>,
    group_changed: &Notify,
    said: &mut bool,
) -> store::Result<()> {
    let Some(mut recorder) = Recorder::begin(store).await? else {
        *said = false;
        return Ok(());
    };
    let mut listener = Listener::connect(store, Channel::Outbox).await?;
    *said = false;
    info!("this monitor numbers the events");
    // From here on: what another recorder told is not ours to know.
    let mut alarms = SystemAlarms::default();
    let mut observer = Observer::after(last_observations(store).await?);
    let mut judge = Judge::after(progress(store).await?);
    let mut upkeep = Upkeep::default();
    let mut counted = Rebalances::new(&opentelemetry::global::meter("monitor"));
    loop {
        loop {
            let numbered = recorder.number().await?;
            if let Some(id) = numbered.first_of_journal {
                judge.note(id);
            }
            if numbered.events == 0 {
                break;
            }
        }
        let now = facts.borrow().clone();
        if let Some((from, until)) = recorder.mark_presence(OBSERVER).await? {
            counted.note_blind(until.duration_since(from).as_secs_f64());
        }
        recorder.observe(OBSERVER, &observer.observe(&now, Timestamp::now())).await?;
        if upkeep.second_is_due() {
            recorder.hand_out_slots().await?;
            if let Some(wrong) = alarms.observe(&now, Timestamp::now()) {
                tell_system(&recorder, &wrong, OBSERVER).await?;
            }
        }
        if upkeep.sample_is_due() {
            sample_lag(&recorder, &now).await?;
        }
        if upkeep.trim_is_due() {
            recorder.trim().await?;
        }
        for rebalance in judge.step(store, &mut recorder, &now).await? {
            let (id, revision, cause) = (&rebalance.id, rebalance.revision, rebalance.cause.name());
            info!(id, revision, cause, open = rebalance.open, dark_max_ms = rebalance.dark_max_ms, "rebalance");
            counted.note(rebalance);
        }
        counted.count();
        tokio::select! {
            woken = timeout(LOOK_EVERY, listener.woken()) => if let Ok(woken) = woken { woken? },
            () = group_changed.notified() => {}
        }
    }
}

/// Of the groups that store what is watched, once both sources have answered.
async fn sample_lag(recorder: &Recorder, facts: &Facts) -> store::Result<()> {
    if facts.lag.is_empty() {
        return Ok(());
    }
    for topic in facts.workloads.iter().map(|workload| &*workload.topic) {
        let Some(stored) = facts.offsets(topic).next() else { continue };
        recorder.sample_lag(&stored.group_id, i64::try_from(facts.lag_of(topic)).unwrap_or(i64::MAX)).await?;
    }
    Ok(())
}

/// When what is done now and then is due.
#[derive(Default)]
struct Upkeep {
    second: Option<Instant>,
    sample: Option<Instant>,
    trim: Option<Instant>,
}

impl Upkeep {
    fn second_is_due(&mut self) -> bool {
        is_due(&mut self.second, Duration::from_millis(900))
    }

    fn sample_is_due(&mut self) -> bool {
        is_due(&mut self.sample, Duration::from_secs(5))
    }

    fn trim_is_due(&mut self) -> bool {
        is_due(&mut self.trim, Duration::from_secs(600))
    }
}

fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

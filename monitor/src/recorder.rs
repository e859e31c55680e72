//! Numbers what happened, and tells the alarms of the system; one recorder at a time: the others stand by for the
//! lock.

use std::{convert::Infallible, time::Duration};

use jiff::Timestamp;
use lifecycle::Shutdown;
use store::{
    Store,
    alarms::tell_system,
    event_stream::{Channel, Listener, Recorder},
};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::{facts::Facts, system_alarms::SystemAlarms};

/// Until the lock, or the database, is asked for again.
const STAND_BY: Duration = Duration::from_secs(2);
/// A wake-up may get lost, so it looks this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Who tells the alarms of the system.
const OBSERVER: &str = "monitor";

/// Numbers events until it is told to stop.
///
/// # Errors
/// None: without the database there is nothing to number, and it is tried again.
pub async fn run(store: Store, facts: watch::Receiver<Facts>, topic: String, stop: Shutdown) -> Result<(), Infallible> {
    let mut said = false;
    loop {
        let ended = tokio::select! {
            () = stop.requested() => return Ok(()),
            ended = record(&store, &facts, &topic, &mut said) => ended,
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
async fn record(store: &Store, facts: &watch::Receiver<Facts>, topic: &str, said: &mut bool) -> store::Result<()> {
    let Some(recorder) = Recorder::begin(store).await? else {
        *said = false;
        return Ok(());
    };
    let mut listener = Listener::connect(store, Channel::Outbox).await?;
    *said = false;
    info!("this monitor numbers the events");
    // From here on: what another recorder told is not ours to know.
    let mut alarms = SystemAlarms::default();
    loop {
        while recorder.number().await? > 0 {}
        let now = facts.borrow().clone();
        if let Some(wrong) = alarms.observe(&now, topic, Timestamp::now()) {
            tell_system(&recorder, &wrong, OBSERVER).await?;
        }
        if let Ok(woken) = timeout(LOOK_EVERY, listener.woken()).await {
            woken?;
        }
    }
}

//! Numbers what happened, one recorder at a time: the others stand by for the lock.

use std::{convert::Infallible, time::Duration};

use lifecycle::Shutdown;
use store::{
    Store,
    event_stream::{Channel, Listener, Recorder},
};
use tokio::time::timeout;
use tracing::{info, warn};

/// Until the lock, or the database, is asked for again.
const STAND_BY: Duration = Duration::from_secs(2);
/// A wake-up may get lost, so it looks this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Numbers events until it is told to stop.
///
/// # Errors
/// None: without the database there is nothing to number, and it is tried again.
pub async fn run(store: Store, stop: Shutdown) -> Result<(), Infallible> {
    let mut said = false;
    loop {
        let ended = tokio::select! {
            () = stop.requested() => return Ok(()),
            ended = record(&store) => ended,
        };
        match ended {
            Ok(()) => said = false,
            Err(error) if !said => {
                warn!(error = error.chain(), "events are not numbered; tried again");
                said = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.requested() => return Ok(()),
            () = tokio::time::sleep(STAND_BY) => {}
        }
    }
}

/// `Ok` when somebody else is the recorder.
async fn record(store: &Store) -> store::Result<()> {
    let Some(recorder) = Recorder::begin(store).await? else { return Ok(()) };
    info!("this monitor numbers the events");
    let mut listener = Listener::connect(store, Channel::Outbox).await?;
    loop {
        while recorder.number().await? > 0 {}
        if let Ok(woken) = timeout(LOOK_EVERY, listener.woken()).await {
            woken?;
        }
    }
}

//! Reads new events from the database, once for all viewers.

use std::convert::Infallible;

use lifecycle::Shutdown;
use store::event_stream::{Channel, Listener, PORTION, after, latest};
use tokio::time::{Duration, sleep, timeout};
use tracing::{debug, warn};

use super::{Hub, Line, Word};

/// A wake-up may get lost, so it looks this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(1);

impl Hub {
    /// Hands on events until it is told to stop.
    ///
    /// # Errors
    /// None: what was missed while the database was away is read when it is back.
    pub async fn follow(self, stop: Shutdown) -> Result<(), Infallible> {
        let (mut told, mut failing) = (None, false);
        loop {
            let ended = tokio::select! {
                () = stop.requested() => return Ok(()),
                Err(error) = self.follow_connection(&mut told, &mut failing) => error,
            };
            if std::mem::replace(&mut failing, true) {
                debug!(error = ended.chain(), "no events");
            } else {
                warn!(error = ended.chain(), "no events; tried again");
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = sleep(RETRY) => {}
            }
        }
    }

    /// `told` is the number of the last event that was handed on. An outage is warned of once, until it is over.
    async fn follow_connection(&self, told: &mut Option<i64>, failing: &mut bool) -> store::Result<Infallible> {
        let mut listener = Listener::connect(&self.store, Channel::Stream).await?;
        let newest = latest(&self.store).await?;
        *failing = false;
        let mut last = told.map_or(newest, |told| told.min(newest));
        if told.is_some_and(|told| told > newest) {
            // Nobody listens: then nobody has seen more.
            let _ = self.events.send(Word::WentBack);
        }
        loop {
            loop {
                let events = after(&self.store, last, PORTION).await?;
                for event in &events {
                    last = event.number;
                    // Nobody listens: then nobody misses it.
                    let _ = self.events.send(Word::Event(Line::from(event)));
                }
                *told = Some(last);
                if events.len() < usize::try_from(PORTION).unwrap_or(usize::MAX) {
                    break;
                }
            }
            if let Ok(woken) = timeout(LOOK_EVERY, listener.woken()).await {
                woken?;
            }
        }
    }
}

//! The live stream (`text/event-stream`, WHATWG HTML 9.2).
//!
//! ```text
//! Facts ──every second──> state ──watch──────┐
//! event_stream ──follower──> broadcast ──────┼─> viewer: backlog behind Last-Event-ID, then live
//!                                            └─ too slow: told so, and let go
//! ```
//!
//! `state` is what is known now: the latest is enough, so a viewer that missed some gets the next one. Events
//! have numbers (`id:`), and a viewer gets each one once, in order. Memory does not grow with slow viewers:
//! they share one bounded buffer.

mod follower;
mod viewer;

use std::sync::Arc;

use jiff::Timestamp;
use lifecycle::Shutdown;
use serde_json::json;
use store::Store;
use store::event_stream::Event;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::time::{Duration, MissedTickBehavior, interval};

use crate::facts::Facts;
use crate::view;

/// Events that the slowest viewer may be behind.
const BUFFER: usize = 1024;
/// Viewers at a time.
const VIEWERS: usize = 512;
const STATE_EVERY: Duration = Duration::from_secs(1);

/// What a viewer wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// What happens, by its numbers.
    Numbered,
    /// And what is known now, every second.
    StateToo,
}

/// What viewers are told, all of them the same.
#[derive(Clone, Debug)]
enum Word {
    /// Something happened.
    Event(Line),
    /// The database is an older copy: its numbers went back, and what viewers have seen may not be in it.
    WentBack,
}

/// An event with its JSON, which all viewers share.
#[derive(Clone, Debug)]
struct Line {
    number: i64,
    kind: Arc<str>,
    json: Arc<str>,
}

impl From<&Event> for Line {
    fn from(event: &Event) -> Self {
        let json = serde_json::to_string(event).expect("plain data always serialises");
        Self { number: event.number, kind: event.kind.as_str().into(), json: json.into() }
    }
}

/// What viewers hang on. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    store: Store,
    state: watch::Sender<Arc<str>>,
    events: broadcast::Sender<Word>,
    viewers: Arc<Semaphore>,
    stop: Shutdown,
}

impl Hub {
    /// Nobody is connected yet. Streams end when `stop` is requested.
    pub fn new(store: Store, stop: Shutdown) -> Self {
        let state = watch::Sender::new(Arc::from(json!(null).to_string()));
        Self { store, state, events: broadcast::Sender::new(BUFFER), viewers: Arc::new(Semaphore::new(VIEWERS)), stop }
    }

    /// Tells the state every second, whether the sources answer or not: ages go on.
    ///
    /// # Errors
    /// None.
    pub async fn tell_state(
        self,
        mut facts: watch::Receiver<Facts>,
        stop: Shutdown,
    ) -> Result<(), std::convert::Infallible> {
        let mut told = None;
        let mut ticks = interval(STATE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // A fresh answer is told at once: a silence counts from when it can be seen.
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = ticks.tick() => {}
                () = answered(&mut facts, &mut told) => ticks.reset(),
            }
            let state = view::state(&facts.borrow().clone(), Timestamp::now());
            let json = serde_json::to_string(&state).expect("plain data always serialises");
            self.state.send_replace(json.into());
        }
    }
}

/// Waits for the database's next answer.
async fn answered(facts: &mut watch::Receiver<Facts>, told: &mut Option<Timestamp>) {
    loop {
        let asked_at = facts.borrow_and_update().database.asked_at();
        if asked_at != *told {
            *told = asked_at;
            return;
        }
        if facts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

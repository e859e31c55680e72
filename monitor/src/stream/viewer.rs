//! One viewer: what it missed, then what happens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::stream::{Stream, unfold};
use lifecycle::Shutdown;
use serde_json::json;
use store::Store;
use store::event_stream::{PORTION, after, before, latest};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use warp::sse::Event;

use super::{Hub, Line, Told, Word};

/// Events that a new viewer begins with.
const FIRST: i64 = 100;
/// What a browser waits before it connects again, in milliseconds.
const RETRY_MS: u64 = 1000;

/// How far it is.
enum Place {
    /// To be read from the database: everything behind this number, or the latest few.
    Behind(Option<i64>),
    /// Up to this number everything was told.
    At(i64),
    /// Nothing more to tell.
    Ended,
}

struct Viewer {
    store: Store,
    state: watch::Receiver<Arc<str>>,
    events: broadcast::Receiver<Word>,
    stop: Shutdown,
    waiting: VecDeque<Event>,
    place: Place,
    told: Told,
    _permit: OwnedSemaphorePermit,
}

impl Hub {
    /// A stream for one more viewer, which has seen everything up to `last`; `None` when there are too many.
    pub fn view(
        &self,
        last: Option<i64>,
        told: Told,
    ) -> Option<impl Stream<Item = Result<Event, Infallible>> + Send + use<>> {
        let permit = Arc::clone(&self.viewers).try_acquire_owned().ok()?;
        let mut state = self.state.subscribe();
        state.mark_changed();
        let viewer = Viewer {
            store: self.store.clone(),
            state,
            events: self.events.subscribe(),
            stop: self.stop.clone(),
            waiting: VecDeque::from([Event::default().retry(std::time::Duration::from_millis(RETRY_MS)).comment("")]),
            place: Place::Behind(last),
            told,
            _permit: permit,
        };
        Some(unfold(viewer, async |mut viewer| viewer.next().await.map(|event| (Ok(event), viewer))))
    }
}

impl Viewer {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            match self.place {
                Place::Ended => return None,
                Place::Behind(last) => self.catch_up(last).await,
                Place::At(_) => {}
            }
            if !self.waiting.is_empty() {
                continue;
            }
            let behind = matches!(self.place, Place::Behind(_));
            tokio::select! {
                biased;
                () = self.stop.requested() => return None,
                // While it is behind, live events stay in the shared buffer.
                word = self.events.recv(), if !behind => self.hear(word),
                changed = self.state.changed(), if self.told == Told::StateToo || behind => {
                    changed.ok()?;
                    let state = self.state.borrow_and_update().clone();
                    // Before the first look at the sources there is none.
                    if &*state != "null" && self.told == Told::StateToo {
                        self.waiting.push_back(Event::default().event("state").data(&*state));
                    }
                }
            }
        }
    }

    /// Reads what it missed; stays behind while the database is away.
    async fn catch_up(&mut self, last: Option<i64>) {
        let read = async {
            let newest = latest(&self.store).await?;
            let missed = match last {
                Some(last) if last <= newest => after(&self.store, last, PORTION).await?,
                _ => Vec::new(),
            };
            let known = last.is_some_and(|last| last <= newest);
            if known && missed.len() < usize::try_from(PORTION).unwrap_or(usize::MAX) {
                return Ok::<_, store::Error>((missed, false));
            }
            // New here, too far behind, or ahead of a database that was restored from an older copy.
            let mut first = before(&self.store, i64::MAX, FIRST).await?;
            first.reverse();
            Ok((first, last.is_some()))
        };
        let Ok((events, reset)) = read.await else { return };
        if reset {
            let detail = json!({ "from": events.first().map(|event| event.number) });
            self.waiting.push_back(Event::default().event("reset").data(detail.to_string()));
        }
        let reached = events.last().map_or(0, |event| event.number);
        self.place = Place::At(if reset { reached } else { reached.max(last.unwrap_or(0)) });
        self.waiting.extend(events.iter().map(|event| told(&Line::from(event))));
    }

    fn hear(&mut self, word: Result<Word, RecvError>) {
        let Place::At(last) = self.place else { return };
        match word {
            Ok(Word::Event(line)) if line.number > last => {
                self.place = Place::At(line.number);
                self.waiting.push_back(told(&line));
            }
            Ok(Word::Event(_)) => {}
            // Ahead of what there is now: that ends in a reset.
            Ok(Word::WentBack) => self.place = Place::Behind(Some(last)),
            // It comes back with its Last-Event-ID and is told the rest.
            Err(RecvError::Lagged(missed)) => {
                let detail = json!({ "missed": missed, "reason": "this viewer reads too slowly" });
                self.waiting.push_back(Event::default().event("dropped").data(detail.to_string()));
                self.place = Place::Ended;
            }
            Err(RecvError::Closed) => self.place = Place::Ended,
        }
    }
}

fn told(line: &Line) -> Event {
    Event::default().id(line.number.to_string()).event(&*line.kind).data(&*line.json)
}

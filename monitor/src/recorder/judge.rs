//! Judges what is new, and what is still going on, of each group.
//!
//! ```text
//! news ──earliest instant──> cut, where no rebalance is cut in two ──> facts from there ──> verdicts ──> kept if they differ
//! ```
//!
//! The facts are read from the tables each time: there is nothing here that a restart could lose, and what comes late
//! is judged like what came in time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use store::Store;
use store::event_stream::Recorder;
use store::flight_recorder::{Earliest, News, carried_cut, known_groups, load, load_batches, news};
use tokio::time::{Duration, Instant};
use verdicts::{Outline, Rebalance, Verdicts};

use crate::facts::Facts;

/// After news, a group is judged once a second for this long: its first batches are in no journal.
const HOT: Duration = Duration::from_secs(8);
const AGAIN: Duration = Duration::from_secs(1);
/// What is judged anew reaches back this far before the first thing that is new: restarts may be one, and a change of
/// the topic is noticed late.
const BEFORE_NEWS: SignedDuration = SignedDuration::from_secs(90);

/// What is under way.
pub struct Judge {
    known: News,
    pending: BTreeMap<String, Pending>,
}

struct Pending {
    /// Judge from here, or from before.
    from: Timestamp,
    hot_until: Instant,
    due: Instant,
    open: bool,
}

impl Judge {
    /// Goes on where the last recorder was.
    pub fn after(known: News) -> Self {
        Self { known, pending: BTreeMap::new() }
    }

    /// A row of the journal has come; its id may be smaller than ones that are judged already.
    pub fn note(&mut self, journal_id: i64) {
        self.known.rewind(journal_id);
    }

    /// Judges what is due. What was written, with the revisions.
    ///
    /// # Errors
    /// Transient ones: what was due stays so.
    pub async fn step(
        &mut self,
        store: &Store,
        recorder: &mut Recorder,
        facts: &Facts,
    ) -> store::Result<Vec<Rebalance>> {
        let Earliest { groups, up_to } = news(store, self.known).await?;
        let now = Instant::now();
        for (group, at) in groups {
            let pending =
                self.pending.entry(group).or_insert(Pending { from: at, hot_until: now, due: now, open: false });
            pending.from = pending.from.min(at);
            (pending.hot_until, pending.due) = (now + HOT, now);
        }
        self.known = up_to;
        let due: Vec<String> =
            self.pending.iter().filter(|(_, pending)| pending.due <= now).map(|(group, _)| group.clone()).collect();
        let mut written = Vec::new();
        if due.is_empty() {
            return Ok(written);
        }
        let topics: BTreeMap<String, String> = known_groups(store).await?.into_iter().collect();
        for group in due {
            let Some(pending) = self.pending.get_mut(&group) else { continue };
            let Some(topic) = topics.get(&group) else {
                // Its consumers have not beaten yet.
                pending.due = now + AGAIN;
                continue;
            };
            let cut = carried_cut(store, &group, pending.from - BEFORE_NEWS).await?;
            let verdicts = judged(store, &group, topic, cut, facts.waiting(topic)).await?;
            let kept = recorder.keep(&group, topic, cut, &verdicts).await?;
            pending.open = verdicts.rebalances.iter().any(|rebalance| rebalance.open);
            pending.due = now + AGAIN;
            written.extend(kept.rebalances);
        }
        self.pending.retain(|_, pending| pending.open || pending.hot_until > now);
        Ok(written)
    }
}

/// The verdicts of a group by what is known of it from `cut` on. `waiting`: see [`Facts::waiting`].
///
/// # Errors
/// Transient ones.
pub async fn judged(
    store: &Store,
    group: &str,
    topic: &str,
    cut: Timestamp,
    waiting: Vec<i32>,
) -> store::Result<Verdicts> {
    let case = load(store, group, topic, cut, waiting).await?;
    let outline = Outline::of(&case);
    let batches = load_batches(store, &case, &outline.windows()).await?;
    Ok(outline.judged(&batches))
}

//! Whether tweets are taken: not while the workers are too far behind. Reading goes on.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kafka::Inspector;
use lifecycle::Shutdown;
use opentelemetry::metrics::Meter;
use store::{Store, feeds, offsets, tweets};
use tracing::{debug, warn};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What waits: records that no worker has stored, and audiences that are being served in ranges.
#[derive(Debug)]
pub struct Admission {
    refuse_above: u64,
    take_below: u64,
    backlog: AtomicU64,
    closed: AtomicBool,
}

impl Admission {
    /// Open. Refuses when the backlog passes `refuse_above`, until it is under `take_below`.
    pub fn new(refuse_above: u64, take_below: u64) -> Self {
        Self { refuse_above, take_below, backlog: AtomicU64::new(0), closed: AtomicBool::new(false) }
    }

    /// How many wait when tweets are refused.
    ///
    /// # Errors
    /// The backlog.
    pub fn check(&self) -> Result<(), u64> {
        if self.closed.load(Ordering::Relaxed) { Err(self.backlog.load(Ordering::Relaxed)) } else { Ok(()) }
    }

    /// Under how many tweets are taken again.
    pub fn take_below(&self) -> u64 {
        self.take_below
    }

    fn note(&self, backlog: u64) {
        self.backlog.store(backlog, Ordering::Relaxed);
        let was = self.closed.load(Ordering::Relaxed);
        let closed = if was { backlog >= self.take_below } else { backlog > self.refuse_above };
        self.closed.store(closed, Ordering::Relaxed);
        match (was, closed) {
            (false, true) => warn!(backlog, self.take_below, "the workers are too far behind; tweets are refused"),
            (true, false) => warn!(backlog, "tweets are taken again"),
            _ => {}
        }
    }

    /// Shows the backlog.
    pub fn observe(self: &Arc<Self>, meter: &Meter) {
        let this = Arc::clone(self);
        meter
            .u64_observable_gauge("feed.backlog")
            .with_description("Tweets that no worker has stored, and audiences that are being served in ranges")
            .with_callback(move |gauge| gauge.observe(this.backlog.load(Ordering::Relaxed), &[]))
            .build();
    }

    /// Looks once a second until `stop`. While Kafka or the database does not answer, it stays as it is: tweets need both.
    ///
    /// # Errors
    /// None.
    pub async fn watch(
        &self,
        store: Store,
        inspector: Inspector,
        topic: String,
        stop: Shutdown,
    ) -> Result<(), Infallible> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.requested() => return Ok(()),
            }
            let look = tokio::select! {
                look = backlog(&store, &inspector, &topic) => look,
                () = stop.requested() => return Ok(()),
            };
            match look {
                Ok(backlog) => self.note(backlog),
                Err(error) => debug!(error, "how far the workers are behind is not known"),
            }
        }
    }
}

async fn backlog(store: &Store, inspector: &Inspector, topic: &str) -> Result<u64, String> {
    let log = inspector.survey(topic).await.map_err(|error| error.to_string())?;
    let stored = offsets::all(store, tweets::TARGET).await.map_err(|error| error.chain())?;
    // A partition whose leader does not answer takes no records either.
    let bounds = log.partitions.iter().filter_map(|view| Some((view.partition, view.start?, view.end?)));
    let records: i64 = bounds
        .map(|(partition, start, end)| {
            let next = stored.iter().find(|s| s.topic_id == log.topic_id && s.partition == partition);
            (end - next.map_or(start, |stored| stored.next_offset)).max(0)
        })
        .sum();
    let tasks = feeds::tasks(store).await.map_err(|error| error.chain())?;
    Ok(u64::try_from(records).unwrap_or(0) + tasks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_closes_above_one_mark_and_opens_below_another() {
        let admission = Admission::new(100, 90);
        let open = |backlog| {
            admission.note(backlog);
            admission.check().is_ok()
        };
        assert_eq!([0, 100, 101, 95, 90, 89, 95, 100].map(open), [true, true, false, false, false, true, true, true]);
    }
}

//! What became of the events: counted where it happens, read by whoever wants to know.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use opentelemetry::metrics::Meter;

/// Counts since the process started. Written by the source and by the client's poll thread.
#[derive(Debug, Default)]
pub struct Tally {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    queue_full: AtomicU64,
    skipped: AtomicU64,
}

/// The counts of one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handed to the client.
    pub sent: u64,
    /// On all in-sync replicas.
    pub acknowledged: u64,
    /// Given up by the client; never sent again by hand.
    pub failed: u64,
    /// Waits for a place in the full queue.
    pub queue_full: u64,
    /// Never made, because the source was too far behind.
    pub skipped: u64,
}

impl Counts {
    /// In the client's queue or on the way: neither acknowledged nor given up.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.sent.saturating_sub(self.settled())
    }

    /// Those whose fate is known.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.acknowledged + self.failed
    }

    /// Handed over and not known to be stored.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.sent.saturating_sub(self.acknowledged)
    }
}

impl Tally {
    /// One more event was handed to the client. To be called before the client can answer.
    pub fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// The event counted by the last [`Self::sent`] was not taken after all.
    pub fn not_sent(&self) {
        self.sent.fetch_sub(1, Ordering::Relaxed);
    }

    /// One more was acknowledged.
    pub fn acknowledged(&self) {
        self.acknowledged.fetch_add(1, Ordering::Release);
    }

    /// One more was given up.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Release);
    }

    /// One more wait for a place in the queue.
    pub fn queue_full(&self) {
        self.queue_full.fetch_add(1, Ordering::Relaxed);
    }

    /// So many were never made.
    pub fn skipped(&self, events: u64) {
        self.skipped.fetch_add(events, Ordering::Relaxed);
    }

    /// All counts; what is settled was sent.
    #[must_use]
    pub fn counts(&self) -> Counts {
        // The settled ones first: an event settled in between is then counted as sent, too.
        let acknowledged = self.acknowledged.load(Ordering::Acquire);
        let failed = self.failed.load(Ordering::Acquire);
        Counts {
            sent: self.sent.load(Ordering::Relaxed),
            acknowledged,
            failed,
            queue_full: self.queue_full.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
        }
    }

    /// Shows the counts as metrics, from 0 on.
    pub fn observe(self: &Arc<Self>, meter: &Meter) {
        let counter = |name: &'static str, description: &'static str, read: fn(&Counts) -> u64| {
            let tally = Arc::clone(self);
            meter
                .u64_observable_counter(name)
                .with_description(description)
                .with_callback(move |observer| observer.observe(read(&tally.counts()), &[]))
                .build();
        };
        counter("producer.events.sent", "Events handed to the Kafka client", |counts| counts.sent);
        counter("producer.events.acknowledged", "Events on all in-sync replicas", |counts| counts.acknowledged);
        counter("producer.events.failed", "Events that the Kafka client gave up", |counts| counts.failed);
        counter("producer.events.skipped", "Events never made: too far behind", |counts| counts.skipped);
        counter("producer.queue.full", "Waits for a place in the full queue", |counts| counts.queue_full);
        let tally = Arc::clone(self);
        meter
            .u64_observable_gauge("producer.events.waiting")
            .with_description("Events sent and neither acknowledged nor given up")
            .with_callback(move |observer| observer.observe(tally.counts().waiting(), &[]))
            .build();
    }
}

/// How much a count that is looked at once a second has grown within the last sixty.
#[derive(Debug, Default)]
pub struct LastMinute(VecDeque<u64>);

impl LastMinute {
    /// Takes this second's total. In the first minute it is the growth since the start.
    pub fn grown_to(&mut self, total: u64) -> u64 {
        let before = if self.0.len() < 60 { 0 } else { self.0.pop_front().unwrap_or(0) };
        self.0.push_back(total);
        total.saturating_sub(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_settled_is_waiting() {
        let tally = Tally::default();
        for _ in 0..5 {
            tally.sent();
        }
        tally.acknowledged();
        tally.failed();
        let counts = tally.counts();
        assert_eq!((counts.waiting(), counts.settled(), counts.undelivered()), (3, 2, 4));
    }

    #[test]
    fn a_minute_is_sixty_seconds() {
        let mut minute = LastMinute::default();
        let grown: Vec<u64> = (1..=200).map(|second| minute.grown_to(second * 10)).collect();
        assert_eq!((grown[0], grown[59], grown[60], grown[199]), (10, 600, 600, 600));
        let idle: Vec<u64> = (0..61).map(|_| minute.grown_to(2000)).collect();
        assert_eq!((idle[0], idle[59], idle[60]), (590, 0, 0));
    }
}

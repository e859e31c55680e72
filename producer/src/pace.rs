//! How many events are due by now: a rate kept by time passed, not by sleeping.

use std::time::Duration;

/// How far behind it may fall (the queue was full, the machine was asleep) and still catch up.
const CATCH_UP: Duration = Duration::from_secs(1);

/// A steady rate since a start. Pure: the caller says how much time has passed.
#[derive(Debug, Clone)]
pub struct Pace {
    per_second: f64,
    /// Events that were due so far, sent or skipped: event `n` is due `n / per_second` after the start.
    counted: u64,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Events to send now.
    pub events: u64,
    /// Events whose time has passed by more than can be caught up; they are never made.
    pub skipped: u64,
}

/// A rate that cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} events per second: give 0.001 to 1000000")]
pub struct InvalidRate(pub f64);

impl Pace {
    /// A pace of `per_second` events, 0.001 to 1,000,000.
    ///
    /// # Errors
    /// [`InvalidRate`] outside of that.
    pub fn new(per_second: f64) -> Result<Self, InvalidRate> {
        if (0.001..=1_000_000.0).contains(&per_second) {
            Ok(Self { per_second, counted: 0 })
        } else {
            Err(InvalidRate(per_second))
        }
    }

    /// What is due when `elapsed` has passed since the start. At most one second's worth of events
    /// (but at least one) is caught up at once.
    pub fn due(&mut self, elapsed: Duration) -> Due {
        // The first event is due at the start itself.
        let by_now = (elapsed.as_secs_f64() * self.per_second) as u64 + 1;
        let behind = by_now.saturating_sub(self.counted);
        let events = behind.min(((self.per_second * CATCH_UP.as_secs_f64()) as u64).max(1));
        self.counted += behind;
        Due { events, skipped: behind - events }
    }

    /// When the next event is due, since the start.
    #[must_use]
    pub fn next_at(&self) -> Duration {
        Duration::from_secs_f64(self.counted as f64 / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_in_ten_seconds_comes_at_0_10_20() {
        let mut pace = Pace::new(0.1).expect("a good rate");
        let second = Duration::from_secs(1);
        let sent: Vec<u64> = (0..25).map(|at| pace.due(second * at).events).collect();
        let at: Vec<usize> = (0..25).filter(|at| sent[*at] > 0).collect();
        assert_eq!(at, [0, 10, 20]);
        assert_eq!(pace.next_at(), second * 30);
    }

    #[test]
    fn after_a_long_pause_one_second_is_caught_up_and_the_rest_is_counted() {
        let mut pace = Pace::new(100.0).expect("a good rate");
        assert_eq!(pace.due(Duration::ZERO), Due { events: 1, skipped: 0 });
        assert_eq!(pace.due(Duration::from_secs(60)), Due { events: 100, skipped: 5900 });
        assert_eq!(pace.due(Duration::from_secs(60)), Due { events: 0, skipped: 0 });
    }

    #[test]
    fn rates_that_cannot_be_kept_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e7] {
            assert!(Pace::new(rate).is_err(), "{rate}");
        }
    }

    proptest! {
        #[test]
        fn every_event_is_due_once_and_never_early(
            rate in 0.1..100_000.0f64, steps in prop::collection::vec(0u64..3_000_000, 1..100),
        ) {
            let mut pace = Pace::new(rate).expect("a good rate");
            let (mut elapsed, mut counted) = (Duration::ZERO, 0);
            for step in steps {
                elapsed += Duration::from_micros(step);
                let due = pace.due(elapsed);
                counted += due.events + due.skipped;
                prop_assert!(due.events as f64 <= rate.max(1.0));
                let expected = elapsed.as_secs_f64() * rate;
                prop_assert!((counted as f64 - expected - 1.0).abs() <= 1.0, "{counted} at {elapsed:?}");
                prop_assert!(pace.next_at() + Duration::from_nanos(2) >= elapsed);
            }
        }
    }
}

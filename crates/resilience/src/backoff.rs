//! Exponential backoff with decorrelated jitter.
//!
//! ```text
//! next = min(max, random between min and 3 x previous)        previous starts at min
//! ```
//!
//! Neighbours that failed together do not come back together, the wait is never shorter than `min`
//! (no hammering) and never longer than `max` (bounded silence). The formula is "decorrelated
//! jitter" of the AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).

use std::time::Duration;

use rand::{Rng, RngExt, rngs::StdRng};

/// How fast the upper bound of the next wait grows, as a factor of the previous one.
const GROWTH: u32 = 3;

/// The waits between attempts at something that fails: from `min`, growing, never above `max`.
#[derive(Debug, Clone)]
pub struct Backoff<R = StdRng> {
    min: Duration,
    max: Duration,
    previous: Duration,
    rng: R,
}

/// Bounds that no backoff can keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBackoff {
    /// A wait of zero is a busy loop.
    #[error("the shortest wait must be longer than zero")]
    ZeroMin,
    /// The bounds are the wrong way round.
    #[error("the shortest wait {min:?} is longer than the longest {max:?}")]
    MinAboveMax {
        /// The shortest wait asked for.
        min: Duration,
        /// The longest wait asked for.
        max: Duration,
    },
}

impl Backoff {
    /// Waits between `min` and `max`, with randomness of the operating system's.
    ///
    /// # Errors
    /// [`InvalidBackoff`] when `min` is zero or above `max`.
    pub fn new(min: Duration, max: Duration) -> Result<Self, InvalidBackoff> {
        Self::with_rng(min, max, rand::make_rng())
    }
}

impl<R: Rng> Backoff<R> {
    /// The same with the caller's own randomness, so that a seed repeats the waits.
    ///
    /// # Errors
    /// [`InvalidBackoff`] when `min` is zero or above `max`.
    pub fn with_rng(min: Duration, max: Duration, rng: R) -> Result<Self, InvalidBackoff> {
        if min.is_zero() {
            return Err(InvalidBackoff::ZeroMin);
        }
        if min > max {
            return Err(InvalidBackoff::MinAboveMax { min, max });
        }
        Ok(Self { min, max, previous: min, rng })
    }

    /// How long to wait before the next attempt: at least `min`, at most `max`.
    pub fn next_delay(&mut self) -> Duration {
        let upper = self.previous.saturating_mul(GROWTH).min(self.max);
        self.previous = self.rng.random_range(self.min..=upper);
        self.previous
    }

    /// To be called after a success: the next failure starts from `min` again.
    pub fn reset(&mut self) {
        self.previous = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    fn backoff(min_ms: u64, max_ms: u64, seed: u64) -> Backoff<StdRng> {
        Backoff::with_rng(Duration::from_millis(min_ms), Duration::from_millis(max_ms), StdRng::seed_from_u64(seed))
            .expect("the test passes valid bounds")
    }

    #[test]
    fn bounds_that_cannot_hold_are_refused() {
        let ms = Duration::from_millis;
        assert_eq!(Backoff::new(ms(0), ms(5)).err(), Some(InvalidBackoff::ZeroMin));
        assert_eq!(Backoff::new(ms(6), ms(5)).err(), Some(InvalidBackoff::MinAboveMax { min: ms(6), max: ms(5) }));
        assert!(Backoff::new(ms(5), ms(5)).is_ok());
    }

    #[test]
    fn two_processes_do_not_wait_in_step() {
        let waits = |seed| {
            let mut one = backoff(100, 30_000, seed);
            (0..8).map(|_| one.next_delay()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1), "a seed repeats the waits");
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn the_longest_wait_of_any_length_does_not_overflow() {
        let mut endless =
            Backoff::with_rng(Duration::from_secs(1), Duration::MAX, StdRng::seed_from_u64(7)).expect("valid bounds");
        for _ in 0..500 {
            assert!(endless.next_delay() >= Duration::from_secs(1));
        }
    }

    proptest! {
        #[test]
        fn every_wait_is_within_bounds_and_grows_at_most_threefold(
            min in 1u64..1_000, extra in 0u64..60_000, seed: u64, attempts in 1usize..200,
        ) {
            let (low, high) = (Duration::from_millis(min), Duration::from_millis(min + extra));
            let mut waits = backoff(min, min + extra, seed);
            let mut previous = low;
            for _ in 0..attempts {
                let wait = waits.next_delay();
                prop_assert!(wait >= low && wait <= high);
                prop_assert!(wait <= (previous * GROWTH).min(high));
                previous = wait;
            }
        }

        #[test]
        fn after_a_reset_the_first_wait_is_short_again(
            min in 1u64..1_000, extra in 0u64..60_000, seed: u64, attempts in 0usize..50,
        ) {
            let mut waits = backoff(min, min + extra, seed);
            for _ in 0..attempts {
                waits.next_delay();
            }
            waits.reset();
            prop_assert!(waits.next_delay() <= Duration::from_millis(min) * GROWTH);
        }
    }
}

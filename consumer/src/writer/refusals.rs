//! When are rows that PostgreSQL refuses bad records, and when is the table wrong?
//!
//! Up to a tenth of a batch, and of the last minute's rows, may be refused; beyond that it is the
//! constraint that is wrong, and turning a whole stream into dead letters would hide it.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
/// Refusals that are always allowed in a window and, by the window's leave, in a batch: a slow
/// stream can have a bad record at all, and one in a batch of five is none too many.
const FLOOR: u64 = 10;

pub(super) struct Refusals {
    since: Instant,
    rows: u64,
    refused: u64,
}

impl Refusals {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, rows: 0, refused: 0 }
    }

    /// How many rows of a batch of `rows` may be condemned.
    pub(super) fn allowance(&mut self, rows: u64, now: Instant) -> usize {
        if now.duration_since(self.since) > WINDOW {
            *self = Self::new(now);
        }
        let of_window = ((self.rows + rows) / 10).max(FLOOR).saturating_sub(self.refused);
        let of_batch = (rows / 10).max(FLOOR);
        usize::try_from(of_window.min(of_batch)).unwrap_or(usize::MAX)
    }

    pub(super) fn stored(&mut self, rows: u64) {
        self.rows += rows;
    }

    pub(super) fn condemned(&mut self, rows: usize) {
        self.refused += rows as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_window_may_be_refused() {
        let now = Instant::now();
        let mut refusals = Refusals::new(now);
        assert_eq!(refusals.allowance(1, now), 10);
        refusals.stored(1_000);
        assert_eq!(refusals.allowance(1_000, now), 100);
        refusals.condemned(100);
        assert_eq!(refusals.allowance(0, now), 0);
        assert_eq!(refusals.allowance(0, now + WINDOW * 2), 10);
    }

    #[test]
    fn what_went_well_before_excuses_no_batch() {
        let now = Instant::now();
        let mut refusals = Refusals::new(now);
        refusals.stored(1_000_000);
        assert_eq!(refusals.allowance(150, now), 15);
        assert_eq!(refusals.allowance(50, now), 10);
    }
}

//! How long something took, of many.

use std::{fmt, time::Duration};

/// Times, at most as many as there are tweets in a run.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// One more.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The shortest time that `percent` of them do not exceed (nearest rank); 0 when there are none. `percent` is from 0
    /// to 100, of which 0 is the shortest of all.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
        sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p95, p99, max] = [50.0, 95.0, 99.0, 100.0].map(|percent| said(self.percentile(percent)));
        write!(f, "p50 {p50}, p95 {p95}, p99 {p99}, max {max}")
    }
}

/// For people: 7.2 ms, 304 ms, 12.8 s.
#[must_use]
pub fn said(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(ms: impl IntoIterator<Item = u64>) -> Times {
        Times(ms.into_iter().map(Duration::from_millis).collect())
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let hundred = times((1..=100).rev());
        let of = |percent| hundred.percentile(percent).as_millis();
        assert_eq!([of(0.0), of(50.0), of(95.0), of(99.0), of(100.0)], [1, 50, 95, 99, 100]);
        let three = times([30, 10, 20]);
        assert_eq!([50.0, 66.0, 67.0, 99.0].map(|percent| three.percentile(percent).as_millis()), [20, 20, 30, 30]);
    }

    #[test]
    fn of_none_it_is_zero() {
        assert_eq!(Times::default().percentile(99.0), Duration::ZERO);
    }

    #[test]
    fn it_is_told_for_people() {
        assert_eq!(times([2, 250]).to_string(), "p50 2.0 ms, p95 250 ms, p99 250 ms, max 250 ms");
        assert_eq!(said(Duration::from_millis(12_840)), "12.8 s");
    }
}

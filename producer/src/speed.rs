//! How fast a recording is replayed, and when each of its rows is due.

use std::{str::FromStr, time::Duration};

use jiff::Timestamp;

/// A multiple of the recording's own time, or as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// No waiting at all.
    Max,
    /// So many times as fast as it was recorded.
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;

    /// `max`, or a number with an `x`: `60x` plays an hour in a minute.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        text.strip_suffix('x')
            .and_then(|number| number.parse().ok())
            .filter(|times| (0.000_001..=1e9).contains(times))
            .map(Self::Times)
            .ok_or_else(|| "give a factor such as 60x, or max".to_owned())
    }
}

/// When the rows are due. Time in the recording passes only forwards: a row that repeats the time of
/// the one before it, or jumps back, is due at once.
#[derive(Debug, Clone)]
pub struct Schedule {
    speed: Speed,
    last: Option<Timestamp>,
    due: Duration,
}

impl Schedule {
    /// At the start of the recording.
    #[must_use]
    pub fn new(speed: Speed) -> Self {
        Self { speed, last: None, due: Duration::ZERO }
    }

    /// When the next row, of time `at`, is due, since the start of the replay.
    pub fn next(&mut self, at: Timestamp) -> Duration {
        if let (Speed::Times(times), Some(last)) = (self.speed, self.last) {
            let passed = at.duration_since(last).as_secs_f64().max(0.0);
            let wait = Duration::try_from_secs_f64(passed / times).unwrap_or(Duration::MAX);
            self.due = self.due.saturating_add(wait);
        }
        self.last = Some(at);
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(speed: &str, seconds: &[i64]) -> Vec<u64> {
        let mut schedule = Schedule::new(speed.parse().expect("a speed"));
        let at = |second: &i64| Timestamp::from_second(*second).expect("a time");
        seconds.iter().map(|second| schedule.next(at(second)).as_secs()).collect()
    }

    #[test]
    fn sixty_times_plays_a_minute_in_a_second() {
        assert_eq!(due("60x", &[1000, 1060, 1300]), [0, 1, 5]);
        assert_eq!(due("0.5x", &[0, 1, 2]), [0, 2, 4]);
    }

    #[test]
    fn a_time_that_repeats_or_jumps_back_is_due_at_once() {
        assert_eq!(due("1x", &[100, 100, 110, 50, 60]), [0, 0, 10, 10, 20]);
    }

    #[test]
    fn max_never_waits() {
        assert_eq!(due("max", &[0, 1_000_000]), [0, 0]);
    }

    #[test]
    fn what_is_no_speed_is_refused() {
        for text in ["", "60", "x", "0x", "-1x", "NaNx", "infx", "fast"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}

//! When tweets arrive: a recording's counts per bucket, spread over each bucket's time. Pure; the same seed gives the
//! same arrivals.

use std::time::Duration;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    recording::Row,
    speed::{Schedule, Speed},
};

/// The most tweets that one run may have: what is kept of each are some tens of bytes.
pub const MAX_TWEETS: u64 = 1_000_000;

/// How a bucket's arrivals lie in its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// As those of a Poisson process that had so many: independent of one another
    Poisson,
    /// At even distances
    Even,
}

/// A part of a recording that has no times or counts to play.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value is no whole number from 0 on.
    #[error("the row of {0}: its value is no number of tweets")]
    NoCount(Timestamp),
    /// It begins before the first row or behind the last one.
    #[error("the recording is from {first} to {last}")]
    Outside {
        /// Time of the first row.
        first: Timestamp,
        /// Time of the last row.
        last: Timestamp,
    },
    /// Fewer than two rows, or rows of one time: no bucket has a length.
    #[error("the recording has no two rows of different times, so a row's tweets have no time to arrive in")]
    NoLength,
    /// More than [`MAX_TWEETS`].
    #[error("{0} tweets, at most {MAX_TWEETS}: play a shorter part")]
    TooMany(u64),
}

/// One row of the recording: so many tweets in so much time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    /// Seconds from the window's start; the first bucket may begin before it.
    starts_s: f64,
    length_s: f64,
    tweets: u64,
}

/// A part of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The instant of the recording that it begins with.
    pub from: Timestamp,
    length_s: f64,
    buckets: Vec<Bucket>,
}

impl Window {
    /// `length` of the recording's time from `from` on; without that, around the middle of the row with the most tweets.
    ///
    /// # Errors
    /// When the recording has no such part, or one that cannot be played.
    pub fn new(rows: &[Row], from: Option<Timestamp>, length: Duration) -> Result<Self, Error> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Err(Error::NoLength) };
        let buckets = buckets(rows)?;
        let length_s = length.as_secs_f64();
        let from_s = match from {
            Some(from) if from < first.time || from > last.time => {
                return Err(Error::Outside { first: first.time, last: last.time });
            }
            Some(from) => from.duration_since(first.time).as_secs_f64(),
            None => around_the_peak(&buckets, length_s),
        };
        let inside = |bucket: &Bucket| {
            let ends_s = bucket.starts_s + bucket.length_s;
            (ends_s > from_s || bucket.starts_s >= from_s) && bucket.starts_s < from_s + length_s
        };
        let moved = |bucket: Bucket| Bucket { starts_s: bucket.starts_s - from_s, ..bucket };
        let buckets: Vec<Bucket> = buckets.into_iter().filter(inside).map(moved).collect();
        let tweets = buckets.iter().fold(0u64, |sum, bucket| sum.saturating_add(bucket.tweets));
        if tweets > MAX_TWEETS {
            return Err(Error::TooMany(tweets));
        }
        let offset = SignedDuration::try_from_secs_f64(from_s).unwrap_or(SignedDuration::ZERO);
        Ok(Self { from: first.time.checked_add(offset).unwrap_or(first.time), length_s, buckets })
    }

    /// Tweets per second of the recording in the bucket that has the most.
    #[must_use]
    pub fn peak_per_second(&self) -> f64 {
        let rate = |bucket: &Bucket| if bucket.length_s > 0.0 { bucket.tweets as f64 / bucket.length_s } else { 0.0 };
        self.buckets.iter().map(rate).fold(0.0, f64::max)
    }

    /// The arrivals at `times` the recording's speed.
    #[must_use]
    pub fn arrivals(&self, times: f64, spread: Spread, seed: u64) -> Arrivals {
        Arrivals {
            buckets: self.buckets.clone().into_iter(),
            current: None,
            spread,
            rng: StdRng::seed_from_u64(seed),
            window_s: self.length_s,
            times,
        }
    }
}

/// Where each row lies in the recording's time, which passes only forwards, and how long it lasts: until the next row,
/// but no longer than most do, so that a pause of the recording is not filled.
fn buckets(rows: &[Row]) -> Result<Vec<Bucket>, Error> {
    let mut schedule = Schedule::new(Speed::Times(1.0));
    let starts: Vec<f64> = rows.iter().map(|row| schedule.next(row.time).as_secs_f64()).collect();
    let mut lengths: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mut sorted = lengths.clone();
    sorted.sort_by(f64::total_cmp);
    let usual = sorted.get(sorted.len() / 2).copied().filter(|usual| *usual > 0.0).ok_or(Error::NoLength)?;
    lengths.push(usual);
    let rows = rows.iter().zip(starts.into_iter().zip(lengths));
    rows.map(|(row, (starts_s, length_s))| {
        let tweets = count(row.value).ok_or(Error::NoCount(row.time))?;
        Ok(Bucket { starts_s, length_s: length_s.min(usual), tweets })
    })
    .collect()
}

/// A whole number from 0 on; what is too large for a run is told with the sum.
fn count(value: f64) -> Option<u64> {
    (value >= 0.0 && value.fract() == 0.0).then_some(value as u64)
}

/// So that the middle of the fullest bucket is in the middle, but within the recording.
fn around_the_peak(buckets: &[Bucket], length_s: f64) -> f64 {
    let peak = buckets.iter().max_by_key(|bucket| bucket.tweets);
    let middle = peak.map_or(0.0, |peak| peak.starts_s + peak.length_s / 2.0);
    let end = buckets.last().map_or(0.0, |last| last.starts_s + last.length_s);
    (middle - length_s / 2.0).min(end - length_s).max(0.0)
}

/// When each tweet is due, since the start of the run: never falling, as many in each bucket as were recorded.
#[derive(Debug)]
pub struct Arrivals {
    buckets: std::vec::IntoIter<Bucket>,
    current: Option<Current>,
    spread: Spread,
    rng: StdRng,
    window_s: f64,
    times: f64,
}

/// The bucket that is being played.
#[derive(Debug, Clone, Copy)]
struct Current {
    bucket: Bucket,
    told: u64,
    /// Where the last arrival was, as a share of the bucket's time.
    place: f64,
}

impl Current {
    /// The place of the next arrival.
    fn next(&mut self, spread: Spread, rng: &mut StdRng) -> Option<f64> {
        let left = self.bucket.tweets.checked_sub(self.told).filter(|left| *left > 0)?;
        self.place = match spread {
            Spread::Even => (self.told as f64 + 0.5) / self.bucket.tweets as f64,
            // What is known to have so many arrivals has them at independent, uniform places. The first of `left` such
            // places behind the last one lies where none of them is before: (1 - x)^left.
            Spread::Poisson => {
                let none_before: f64 = 1.0 - rng.random_range(0.0..1.0);
                1.0 - (1.0 - self.place) * none_before.powf(1.0 / left as f64)
            }
        };
        self.told += 1;
        Some(self.place)
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            if self.current.is_none() {
                self.current = Some(Current { bucket: self.buckets.next()?, told: 0, place: 0.0 });
            }
            let current = self.current.as_mut().expect("it was just filled");
            let Some(place) = current.next(self.spread, &mut self.rng) else {
                self.current = None;
                continue;
            };
            let at_s = current.bucket.starts_s + place * current.bucket.length_s;
            if (0.0..self.window_s).contains(&at_s) {
                return Some(Duration::from_secs_f64(at_s / self.times));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP_S: i64 = 300;

    fn rows(counts: &[f64]) -> Vec<Row> {
        let at = |number: usize| Timestamp::from_second(1_000_000 + number as i64 * STEP_S).expect("a time");
        counts.iter().enumerate().map(|(number, value)| Row { time: at(number), value: *value }).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn even_arrivals_are_at_even_distances() {
        let rows = rows(&[3.0, 1.0]);
        let window = Window::new(&rows, Some(rows[0].time), seconds(600)).expect("a part");
        let due: Vec<u64> = window.arrivals(1.0, Spread::Even, 1).map(|due| due.as_secs()).collect();
        assert_eq!(due, [50, 150, 250, 450]);
        let due: Vec<u128> = window.arrivals(100.0, Spread::Even, 1).map(|due| due.as_millis()).collect();
        assert_eq!(due, [500, 1500, 2500, 4500]);
    }

    #[test]
    fn without_a_start_it_plays_around_the_peak() {
        let rows = rows(&[1.0, 1.0, 9.0, 1.0, 1.0, 1.0]);
        let window = Window::new(&rows, None, seconds(100)).expect("a part");
        assert_eq!(window.from, rows[2].time + SignedDuration::from_secs(100));
        // Of nine even ones, three are in the middle third.
        assert_eq!(window.arrivals(1.0, Spread::Even, 1).count(), 3);
        assert!((window.peak_per_second() - 0.03).abs() < 1e-9);
        let whole = Window::new(&rows, None, seconds(1_000_000)).expect("a part");
        assert_eq!((whole.from, whole.arrivals(1.0, Spread::Even, 1).count()), (rows[0].time, 14));
    }

    #[test]
    fn a_pause_of_the_recording_is_not_filled() {
        let mut rows = rows(&[10.0, 10.0, 10.0, 10.0]);
        rows[3].time += SignedDuration::from_hours(1);
        let window = Window::new(&rows, Some(rows[0].time), seconds(86_400)).expect("a part");
        let last_before = window.arrivals(1.0, Spread::Even, 1).nth(29).expect("the third row's last");
        assert!(last_before < seconds(900), "{last_before:?}");
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        let refused = |counts: &[f64]| Window::new(&rows(counts), None, seconds(300)).expect_err("it cannot be played");
        assert!(matches!(refused(&[1.0, 1.5]), Error::NoCount(_)));
        assert!(matches!(refused(&[1.0, -1.0]), Error::NoCount(_)));
        assert_eq!(refused(&[1.0]), Error::NoLength);
        assert_eq!(refused(&[1.0, 2_000_000.0]), Error::TooMany(2_000_000));
        let rows = rows(&[1.0, 1.0]);
        let before = rows[0].time - SignedDuration::from_secs(1);
        assert!(matches!(Window::new(&rows, Some(before), seconds(1)), Err(Error::Outside { .. })));
    }

    proptest! {
        #[test]
        fn every_bucket_has_its_arrivals_in_order_and_in_its_time(
            counts in prop::collection::vec(0u32..200, 2..8), seed: u64, even: bool,
        ) {
            let spread = if even { Spread::Even } else { Spread::Poisson };
            let rows = rows(&counts.iter().map(|count| f64::from(*count)).collect::<Vec<_>>());
            let length = seconds(counts.len() as u64 * STEP_S as u64);
            let window = Window::new(&rows, Some(rows[0].time), length).expect("a part");
            let due: Vec<f64> = window.arrivals(10.0, spread, seed).map(|due| due.as_secs_f64() * 10.0).collect();
            prop_assert!(due.is_sorted());
            for (number, count) in counts.iter().enumerate() {
                let time = (number as f64 * STEP_S as f64)..((number + 1) as f64 * STEP_S as f64);
                let inside = due.iter().filter(|at| time.contains(at)).count();
                prop_assert_eq!(inside, *count as usize, "bucket {}", number);
            }
        }
    }

    /// Between arrivals of a Poisson process lies an exponential time: its deviation is its mean.
    #[test]
    fn poisson_arrivals_are_as_irregular_as_those_of_a_poisson_process() {
        let rows = rows(&[20_000.0, 0.0]);
        let window = Window::new(&rows, Some(rows[0].time), seconds(300)).expect("a part");
        let due: Vec<f64> = window.arrivals(1.0, Spread::Poisson, 7).map(|due| due.as_secs_f64()).collect();
        let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 0.015).abs() < 0.000_1, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{}", variance.sqrt() / mean);
    }
}

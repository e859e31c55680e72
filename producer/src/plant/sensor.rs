//! One sensor: a value that drifts around its usual one, and the ways in which it fails.
//!
//! ```text
//!            ┌──────> stuck (repeats its last value) ──┐
//! working ───┼──────> silent (gives no value) ─────────┼──> working
//!     │      └──────> spike (one value far off) ───────┘
//!     └─ drift + noise
//! ```

use rand::{Rng, RngExt, rngs::Xoshiro256PlusPlus};

use super::Profile;

/// How much of the drift is left after one value; the rest is new. The drift wanders over about a
/// thousand values.
const DRIFT_KEPT: f64 = 0.999;

/// Failures in a million values of one sensor.
const SPIKES: u32 = 2_000;
const STUCK: u32 = 400;
const DROPOUTS: u32 = 400;

#[derive(Debug, Clone)]
pub(super) struct Sensor {
    rng: Xoshiro256PlusPlus,
    usual: f64,
    drift: f64,
    last: f64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Working,
    /// Repeats its last value for so many readings.
    Stuck(u32),
    /// Gives no value for so many readings.
    Silent(u32),
}

impl Sensor {
    pub(super) fn new(profile: &Profile, mut rng: Xoshiro256PlusPlus) -> Self {
        let usual = rng.random_range(profile.usual.clone());
        Self { rng, usual, drift: 0.0, last: usual, state: State::Working }
    }

    /// The next value, or none while it is silent.
    pub(super) fn read(&mut self, profile: &Profile) -> Option<f64> {
        let value = self.measure(profile);
        self.state = match self.state {
            State::Stuck(0) | State::Silent(0) => State::Working,
            State::Stuck(left) => State::Stuck(left - 1),
            State::Silent(left) => State::Silent(left - 1),
            State::Working => self.fail(),
        };
        match self.state {
            State::Silent(_) => None,
            State::Stuck(_) => Some(self.last),
            State::Working => {
                self.last = value;
                Some(value)
            }
        }
    }

    /// The plant goes on while nobody hears of it, so this happens in every state.
    fn measure(&mut self, profile: &Profile) -> f64 {
        let step = (1.0 - DRIFT_KEPT * DRIFT_KEPT).sqrt();
        self.drift = DRIFT_KEPT * self.drift + step * profile.drift * normal(&mut self.rng);
        let mut value = self.usual + self.drift + profile.noise * normal(&mut self.rng);
        if self.in_a_million(SPIKES) {
            let height = profile.noise * self.rng.random_range(20.0..60.0);
            value += if self.rng.random() { height } else { -height };
        }
        value.clamp(*profile.range.start(), *profile.range.end())
    }

    fn fail(&mut self) -> State {
        if self.in_a_million(STUCK) {
            State::Stuck(self.rng.random_range(10..60))
        } else if self.in_a_million(DROPOUTS) {
            State::Silent(self.rng.random_range(10..120))
        } else {
            State::Working
        }
    }

    fn in_a_million(&mut self, chances: u32) -> bool {
        self.rng.random_ratio(chances, 1_000_000)
    }
}

/// Close enough to normally distributed, mean 0 and deviation 1: twelve uniform values, summed.
fn normal(rng: &mut impl Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const READINGS: usize = 200_000;

    fn readings(seed: u64) -> (Profile, Vec<Option<f64>>) {
        let profile = Profile::temperature();
        let mut sensor = Sensor::new(&profile, Xoshiro256PlusPlus::seed_from_u64(seed));
        let values = (0..READINGS).map(|_| sensor.read(&profile)).collect();
        (profile, values)
    }

    /// Lengths of the runs of equal neighbours.
    fn runs(values: &[Option<f64>], counts: impl Fn(Option<f64>) -> bool) -> Vec<usize> {
        values.chunk_by(|a, b| a == b).filter(|run| run.len() > 1 && counts(run[0])).map(<[_]>::len).collect()
    }

    #[test]
    fn it_drops_out_and_gets_stuck_for_a_while_but_works_most_of_the_time() {
        let (_, values) = readings(1);
        let silent = runs(&values, |value| value.is_none());
        let stuck = runs(&values, |value| value.is_some());
        assert!((20..400).contains(&silent.len()), "{} dropouts", silent.len());
        assert!((20..400).contains(&stuck.len()), "{} times stuck", stuck.len());
        assert!(silent.iter().all(|length| (10..250).contains(length)), "{silent:?}");
        assert!(stuck.iter().all(|length| (10..125).contains(length)), "{stuck:?}");
        let heard = values.iter().flatten().count();
        assert!(heard * 10 > READINGS * 9, "{heard} of {READINGS}");
    }

    #[test]
    fn it_spikes_now_and_then_and_is_otherwise_calm() {
        let (profile, values) = readings(2);
        let heard: Vec<f64> = values.into_iter().flatten().collect();
        let jumps = heard.windows(2).filter(|pair| (pair[0] - pair[1]).abs() > profile.noise * 12.0);
        let jumps = jumps.count();
        assert!((200..2_000).contains(&jumps), "{jumps} jumps");
    }

    #[test]
    fn it_wanders_by_its_drift_around_its_usual_value() {
        let (profile, values) = readings(3);
        let heard: Vec<f64> = values.into_iter().flatten().collect();
        let mean = heard.iter().sum::<f64>() / heard.len() as f64;
        let variance = heard.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / heard.len() as f64;
        assert!(profile.usual.contains(&mean), "{mean}");
        let deviation = variance.sqrt() / profile.drift;
        assert!((0.5..2.0).contains(&deviation), "{deviation}");
    }
}

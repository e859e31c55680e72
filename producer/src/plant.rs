//! A simulated plant: sensors of one kind that drift, are noisy, and fail as real ones do.
//!
//! Pure and seeded: the same seed gives the same values and the same failures, in the same order,
//! whatever the clock says. The plant is asked, it does not run.

mod profile;
mod sensor;

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use schema::SensorType;

pub use profile::Profile;
use sensor::Sensor;

/// One value of one sensor, without a time: that is the asker's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Such as `temperature-sensor-07`.
    pub sensor_id: &'a str,
    /// What is measured.
    pub sensor_type: SensorType,
    /// UCUM code.
    pub unit: &'static str,
    /// Finite and within the instrument's range.
    pub value: f64,
}

/// Sensors that are read in turn.
#[derive(Debug, Clone)]
pub struct Plant {
    profile: Profile,
    sensors: Vec<(String, Sensor)>,
    next: usize,
}

impl Plant {
    /// `sensors` (at least one) sensors named `PREFIX-01` and so on.
    #[must_use]
    pub fn new(profile: Profile, prefix: &str, sensors: u16, seed: u64) -> Self {
        let mut seeds = Xoshiro256PlusPlus::seed_from_u64(seed);
        let sensors = (1..=sensors.max(1))
            .map(|number| {
                let own = Xoshiro256PlusPlus::from_rng(&mut seeds);
                (format!("{prefix}-{number:02}"), Sensor::new(&profile, own))
            })
            .collect();
        Self { profile, sensors, next: 0 }
    }

    /// Reads the next sensor that gives a value. One that has dropped out is passed over and another
    /// one is read in its place; `None` when all of them are silent.
    pub fn sample(&mut self) -> Option<Sample<'_>> {
        for _ in 0..self.sensors.len() {
            let at = self.next;
            self.next = (at + 1) % self.sensors.len();
            if let Some(value) = self.sensors[at].1.read(&self.profile) {
                return Some(Sample {
                    sensor_id: &self.sensors[at].0,
                    sensor_type: self.profile.sensor_type,
                    unit: self.profile.unit,
                    value,
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn values(plant: &mut Plant, samples: usize) -> Vec<(String, f64)> {
        let mut values = Vec::new();
        for _ in 0..samples {
            if let Some(sample) = plant.sample() {
                values.push((sample.sensor_id.to_owned(), sample.value));
            }
        }
        values
    }

    fn profile(kind: u8) -> Profile {
        match kind {
            0 => Profile::temperature(),
            1 => Profile::pressure(),
            _ => Profile::vibration(),
        }
    }

    proptest! {
        #[test]
        fn a_seed_repeats_the_plant_and_another_does_not(seed: u64, kind in 0u8..3, sensors in 1u16..30) {
            let run = |seed| values(&mut Plant::new(profile(kind), "a", sensors, seed), 300);
            prop_assert_eq!(run(seed), run(seed));
            prop_assert_ne!(run(seed), run(seed.wrapping_add(1)));
        }

        #[test]
        fn values_are_finite_and_within_the_instruments_range(seed: u64, kind in 0u8..3) {
            let profile = profile(kind);
            for (_, value) in values(&mut Plant::new(profile.clone(), "a", 3, seed), 5_000) {
                prop_assert!(profile.range.contains(&value), "{}", value);
            }
        }

        #[test]
        fn every_sensor_is_heard(seed: u64, sensors in 1u16..8) {
            let mut plant = Plant::new(Profile::pressure(), "press", sensors, seed);
            let mut seen = BTreeMap::new();
            for (sensor, _) in values(&mut plant, usize::from(sensors) * 250) {
                *seen.entry(sensor).or_insert(0) += 1;
            }
            prop_assert_eq!(seen.len(), usize::from(sensors));
        }
    }
}

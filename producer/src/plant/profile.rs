//! What kind of plant: the quantity, where it usually is, and how restless it is.

use std::ops::RangeInclusive;

use schema::SensorType;

/// The numbers that make a temperature differ from a vibration. All in the unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// What is measured.
    pub sensor_type: SensorType,
    /// UCUM code.
    pub unit: &'static str,
    /// Where a sensor's usual value lies; each has its own.
    pub usual: RangeInclusive<f64>,
    /// What the instrument can show at all; everything is cut to this.
    pub range: RangeInclusive<f64>,
    /// Standard deviation from one value to the next.
    pub noise: f64,
    /// Standard deviation of the slow drift around the usual value.
    pub drift: f64,
}

impl Profile {
    /// Bearings and motors, in degrees Celsius.
    #[must_use]
    pub fn temperature() -> Self {
        Self {
            sensor_type: SensorType::Temperature,
            unit: "Cel",
            usual: 45.0..=75.0,
            range: -40.0..=150.0,
            noise: 0.25,
            drift: 2.5,
        }
    }

    /// Hydraulics, in bar.
    #[must_use]
    pub fn pressure() -> Self {
        Self {
            sensor_type: SensorType::Pressure,
            unit: "bar",
            usual: 4.0..=8.0,
            range: 0.0..=16.0,
            noise: 0.02,
            drift: 0.3,
        }
    }

    /// Rotating machines: velocity, root mean square (ISO 20816), in millimetres per second.
    #[must_use]
    pub fn vibration() -> Self {
        Self {
            sensor_type: SensorType::Vibration,
            unit: "mm/s",
            usual: 1.2..=4.0,
            range: 0.0..=50.0,
            noise: 0.12,
            drift: 0.35,
        }
    }
}

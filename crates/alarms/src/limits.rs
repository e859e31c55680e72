//! Four limits and a deadband (OPC UA Part 9, ExclusiveLimitAlarmType).

use jiff::SignedDuration;
use schema::SensorType;
use serde::{Deserialize, Serialize};

/// Where a value lies outside its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below the low-low limit.
    LowLow,
    /// Below the low limit.
    Low,
    /// Above the high limit.
    High,
    /// Above the high-high limit.
    HighHigh,
}

impl Level {
    /// As in `alarms.level`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LowLow => "low_low",
            Self::Low => "low",
            Self::High => "high",
            Self::HighHigh => "high_high",
        }
    }

    /// Whether this is farther out than `other` on the same side.
    pub fn is_worse_than(self, other: Self) -> bool {
        matches!((self, other), (Self::HighHigh, Self::High) | (Self::LowLow, Self::Low))
    }
}

/// What is normal for a sensor, and how long it must last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// At or above is [`Level::HighHigh`].
    pub high_high: Option<f64>,
    /// At or above is [`Level::High`].
    pub high: Option<f64>,
    /// At or below is [`Level::Low`].
    pub low: Option<f64>,
    /// At or below is [`Level::LowLow`].
    pub low_low: Option<f64>,
    /// How far inside its limit a value must be before it counts as back; in the sensor's unit, not negative.
    pub deadband: f64,
    /// How long a limit must be exceeded before the alarm is active.
    pub on_delay: SignedDuration,
    /// How long the value must be back before the alarm is inactive.
    pub off_delay: SignedDuration,
}

/// Limits that contradict themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidLimits {
    /// The field of [`Limits`].
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Limits {
    /// Defaults for what is measured; deadbands are EEMUA 191's starting points (temperature 1 %, pressure 2 %,
    /// flow-like signals such as vibration 5 %) of the span between the low and the high limit, delays its 60 s for
    /// slow quantities, shortened here to what a demonstration can wait for.
    pub fn for_type(sensor_type: SensorType) -> Self {
        let around = |low_low: f64, low: f64, high: f64, high_high: f64, percent: f64| Self {
            high_high: Some(high_high),
            high: Some(high),
            low: Some(low),
            low_low: Some(low_low),
            deadband: (high - low) * percent / 100.0,
            on_delay: SignedDuration::from_secs(2),
            off_delay: SignedDuration::from_secs(5),
        };
        match sensor_type {
            SensorType::Temperature => around(20.0, 40.0, 95.0, 105.0, 1.0),
            SensorType::Pressure => around(1.0, 2.0, 9.0, 10.0, 2.0),
            // ISO 20816-3, zones of medium machines: 4.5 mm/s is B/C, 7.1 is C/D. Standing still is no alarm.
            SensorType::Vibration => Self { low: None, low_low: None, ..around(0.0, 0.0, 4.5, 7.1, 5.0) },
            // Nothing is known of it: only the envelope speaks.
            SensorType::Other => {
                Self { high_high: None, high: None, low: None, low_low: None, ..around(0.0, 0.0, 0.0, 0.0, 0.0) }
            }
        }
    }

    /// The limits, if they make sense.
    ///
    /// # Errors
    /// Names the field that is out of order, not finite or negative.
    pub fn checked(self) -> Result<Self, InvalidLimits> {
        let invalid = |field, reason| Err(InvalidLimits { field, reason });
        let ascending =
            [("low_low", self.low_low), ("low", self.low), ("high", self.high), ("high_high", self.high_high)];
        let mut before = f64::NEG_INFINITY;
        for (field, limit) in ascending {
            let Some(limit) = limit else { continue };
            if !limit.is_finite() {
                return invalid(field, "not a finite number");
            }
            if limit <= before {
                return invalid(field, "not above the limit below it");
            }
            before = limit;
        }
        if !self.deadband.is_finite() || self.deadband < 0.0 {
            return invalid("deadband", "not a finite number from 0 on");
        }
        if let (Some(low), Some(high)) = (self.low.or(self.low_low), self.high.or(self.high_high))
            && self.deadband * 2.0 >= high - low
        {
            return invalid("deadband", "as wide as the span between the limits: nothing would ever be back");
        }
        for (field, delay) in [("on_delay", self.on_delay), ("off_delay", self.off_delay)] {
            if delay.is_negative() {
                return invalid(field, "negative");
            }
        }
        Ok(self)
    }

    /// Where `value` lies; a limit that is exceeded already is left only behind the deadband.
    pub fn level(&self, value: f64, now: Option<Level>) -> Option<Level> {
        // A level holds the one inside it, too: above high-high is also above high.
        let holds = |level| now.is_some_and(|now: Level| now == level || now.is_worse_than(level));
        let inward = |level| if holds(level) { self.deadband } else { 0.0 };
        let above = |limit: Option<f64>, level| limit.is_some_and(|limit| value >= limit - inward(level));
        let below = |limit: Option<f64>, level| limit.is_some_and(|limit| value <= limit + inward(level));
        if above(self.high_high, Level::HighHigh) {
            Some(Level::HighHigh)
        } else if above(self.high, Level::High) {
            Some(Level::High)
        } else if below(self.low_low, Level::LowLow) {
            Some(Level::LowLow)
        } else if below(self.low, Level::Low) {
            Some(Level::Low)
        } else {
            None
        }
    }

    /// The limit of a level, where there is one.
    pub fn of(&self, level: Level) -> Option<f64> {
        match level {
            Level::LowLow => self.low_low,
            Level::Low => self.low,
            Level::High => self.high,
            Level::HighHigh => self.high_high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPES: [SensorType; 4] =
        [SensorType::Temperature, SensorType::Pressure, SensorType::Vibration, SensorType::Other];

    #[test]
    fn the_defaults_make_sense() {
        for sensor_type in TYPES {
            let limits = Limits::for_type(sensor_type);
            assert_eq!(limits.clone().checked(), Ok(limits), "{sensor_type}");
        }
    }

    #[test]
    fn a_limit_is_left_behind_its_deadband_only() {
        let limits = Limits { deadband: 2.0, ..Limits::for_type(SensorType::Temperature) };
        assert_eq!(limits.level(95.0, None), Some(Level::High));
        assert_eq!(limits.level(94.0, None), None);
        assert_eq!(limits.level(94.0, Some(Level::High)), Some(Level::High));
        assert_eq!(limits.level(93.0, Some(Level::High)), Some(Level::High));
        assert_eq!(limits.level(92.9, Some(Level::High)), None);
        assert_eq!(limits.level(103.5, Some(Level::HighHigh)), Some(Level::HighHigh));
        assert_eq!(limits.level(102.0, Some(Level::HighHigh)), Some(Level::High));
        assert_eq!(limits.level(94.0, Some(Level::HighHigh)), Some(Level::High));
        assert_eq!(limits.level(94.0, Some(Level::Low)), None);
        assert_eq!(limits.level(15.0, None), Some(Level::LowLow));
    }

    #[test]
    fn contradictions_are_named() {
        let limits = || Limits::for_type(SensorType::Pressure);
        let field = |limits: Limits| limits.checked().map_err(|error| error.field);
        assert_eq!(field(Limits { high: Some(1.5), ..limits() }), Err("high"));
        assert_eq!(field(Limits { low_low: Some(f64::NAN), ..limits() }), Err("low_low"));
        assert_eq!(field(Limits { deadband: -1.0, ..limits() }), Err("deadband"));
        assert_eq!(field(Limits { deadband: 5.0, ..limits() }), Err("deadband"));
        assert_eq!(field(Limits { off_delay: SignedDuration::from_secs(-1), ..limits() }), Err("off_delay"));
    }

    proptest! {
        #[test]
        fn a_value_that_stays_keeps_its_level(value in -50.0..200.0f64, kind in 0usize..4) {
            let limits = Limits::for_type(TYPES[kind]);
            let level = limits.level(value, None);
            prop_assert_eq!(limits.level(value, level), level);
        }
    }
}

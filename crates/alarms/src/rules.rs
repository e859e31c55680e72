//! What the readings of each sensor are held against: its own limits, or those of its type.

use std::collections::HashMap;

use schema::SensorType;

use crate::limits::Limits;

/// Of one sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Its limits.
    pub limits: Limits,
    /// Whether what is unusual for it is an alarm, too.
    pub deviation: bool,
}

impl Rules {
    /// The defaults of a type.
    pub fn for_type(sensor_type: SensorType) -> Self {
        Self { limits: Limits::for_type(sensor_type), deviation: true }
    }
}

/// Of all sensors.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleBook {
    own: HashMap<String, Rules>,
    temperature: Rules,
    pressure: Rules,
    vibration: Rules,
    other: Rules,
}

impl Default for RuleBook {
    /// The defaults of the types.
    fn default() -> Self {
        Self::new(HashMap::new())
    }
}

impl RuleBook {
    /// The defaults of the types, and these sensors' own rules in their place.
    pub fn new(own: HashMap<String, Rules>) -> Self {
        Self {
            own,
            temperature: Rules::for_type(SensorType::Temperature),
            pressure: Rules::for_type(SensorType::Pressure),
            vibration: Rules::for_type(SensorType::Vibration),
            other: Rules::for_type(SensorType::Other),
        }
    }

    /// What a sensor is held against.
    pub fn of(&self, sensor_id: &str, sensor_type: SensorType) -> &Rules {
        // Most plants have none of their own: then nothing is looked up for each reading.
        let own = if self.own.is_empty() { None } else { self.own.get(sensor_id) };
        own.unwrap_or(match sensor_type {
            SensorType::Temperature => &self.temperature,
            SensorType::Pressure => &self.pressure,
            SensorType::Vibration => &self.vibration,
            SensorType::Other => &self.other,
        })
    }
}

//! One measurement of one sensor, as it travels on [`crate::topics::SENSOR_READINGS`].
//!
//! JSON, one object a record, keyed by `sensor_id`. Decoding is strict: what is not exactly
//! this shape is a dead letter with the field and the reason, never a guess.
//!
//! ```json
//! {"version":1,"sensor_id":"press-07","sensor_type":"temperature","unit":"Cel","value":73.97,
//!  "event_time":"2013-12-02T21:15:00Z","producer_id":"temperature-sensor",
//!  "run_id":"0193d1c4-8a7e-7d3e-9f0a-2b1c3d4e5f60","sequence":41}
//! ```

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod decode;

pub use decode::decode;

/// The version that this build writes, and the only one that it decodes.
pub const VERSION: u16 = 1;
/// Longest `sensor_id`, `unit` and `producer_id`, in bytes.
pub const MAX_TEXT_BYTES: usize = 255;

/// The quantity that a sensor measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SensorType {
    /// Degrees Celsius (`Cel`) or Fahrenheit (`[degF]`), UCUM.
    Temperature,
    /// Pascal multiples or bar (`bar`), UCUM.
    Pressure,
    /// Velocity, root mean square (`mm/s`), ISO 20816.
    Vibration,
    /// Anything else that a recording holds.
    Other,
}

impl SensorType {
    /// The text form, as in JSON and in `sensor_readings.sensor_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Pressure => "pressure",
            Self::Vibration => "vibration",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for SensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SensorType {
    type Err = String;

    /// # Errors
    /// A sentence that lists the known types.
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Temperature, Self::Pressure, Self::Vibration, Self::Other]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a sensor type: temperature, pressure, vibration, other"))
    }
}

/// One reading. (`producer_id`, `run_id`, `sequence`) is unique for ever and is what the
/// oracle counts by; `sensor_id` is the record's key, so a sensor's readings stay in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorReading<'a> {
    /// Always [`VERSION`].
    pub version: u16,
    /// 1 to [`MAX_TEXT_BYTES`] bytes, no NUL.
    #[serde(borrow)]
    pub sensor_id: Cow<'a, str>,
    /// What is measured.
    pub sensor_type: SensorType,
    /// UCUM code of the unit; 1 to [`MAX_TEXT_BYTES`] bytes, no NUL.
    #[serde(borrow)]
    pub unit: Cow<'a, str>,
    /// Finite.
    pub value: f64,
    /// When it was measured, by the sensor's own clock; it may repeat and jump back.
    /// RFC 3339 with an offset, years 1 to 9999; stored to the microsecond.
    pub event_time: Timestamp,
    /// The process that published it; 1 to [`MAX_TEXT_BYTES`] bytes, no NUL.
    #[serde(borrow)]
    pub producer_id: Cow<'a, str>,
    /// One start of that process.
    pub run_id: Uuid,
    /// From 0, rising by one in the order of sending, over all sensors of the run;
    /// at most `i64::MAX` (PostgreSQL's `bigint`).
    pub sequence: u64,
}

impl SensorReading<'_> {
    /// The JSON bytes that go on the topic.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of texts, numbers and times always serialises")
    }
}

//! When a sensor's values are an alarm. Pure: the state goes in, a reading, and out come the state after it and
//! what changed. Time is the readings' own (event time), so a replay gives the same alarms as the first time.
//!
//! ```text
//! reading ─> Sensor::apply ─┬─ limits    value against four limits with a deadband      ─> condition
//!                           └─ envelope  value against what was usual for this sensor  ─> condition
//!
//! condition     inactive ──(exceeded for OnDelay)──> active ──(back for OffDelay)──> inactive
//! ```
//!
//! Terms are those of OPC UA Part 9 (alarms and conditions), delays and deadbands those of EEMUA 191. Who has
//! acknowledged or shelved an alarm is not known here: people's decisions are kept beside the state that the
//! readings make, so that neither overwrites the other.

mod condition;
mod envelope;
mod limits;
mod quantile;
mod rules;
mod sensor;
mod sensors;

pub use condition::{Change, Condition, What};
pub use envelope::{Envelope, Side};
pub use limits::{InvalidLimits, Level, Limits};
pub use rules::{RuleBook, Rules};
pub use sensor::{Kind, Place, Reading, Sensor, Told};
pub use sensors::{Changes, Event, MOST_SENSORS, Observation, Sensors};

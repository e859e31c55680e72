//! The workload of sensors: a reading is a row, and what alarms see.

use alarms::{Observation, Reading};
use jiff::Timestamp;
use schema::Fault;
use schema::sensor_reading::decode;
use store::copy::Origin;
use store::sensor_readings::{BATCH, encode_row};

use crate::member::Workload;

/// What `consumer sensors` does.
pub const WORKLOAD: Workload = Workload { encode, target: BATCH, beside: None };

/// Decodes a reading, appends its row, and says what it means to alarms.
fn encode<'p>(
    row: &mut Vec<u8>,
    payload: Option<&'p [u8]>,
    origin: &Origin<'_>,
) -> Result<Option<Observation<'p>>, Fault> {
    let reading = decode(payload)?;
    encode_row(row, &reading, origin);
    // As it is stored, so that the alarms can be worked out again from the rows.
    let event_time = Timestamp::from_microsecond(reading.event_time.as_microsecond()).unwrap_or(reading.event_time);
    let observed = Reading { event_time, value: reading.value };
    Ok(Some(Observation { sensor_id: reading.sensor_id, sensor_type: reading.sensor_type, reading: observed }))
}

//! `sensor_readings`: what a reading's row is.

use schema::{Fault, SensorReading, sensor_reading};

use crate::batch::Target;
use crate::copy::{self, Origin, field};

/// Name of the target, as in `stored_offsets.target`.
pub const TARGET: &str = "sensor_readings";

/// Where readings go; `processing_timestamp` is the transaction's start.
pub const BATCH: Target = Target {
    name: TARGET,
    copy: "COPY sensor_readings (sensor_id, sensor_type, unit, value, event_time, producer_id, run_id, sequence, \
           processed_by_consumer, log_id, kafka_partition, kafka_offset) FROM STDIN (FORMAT binary)",
    encode,
    then: &[],
    settings: "",
};

fn encode(row: &mut Vec<u8>, payload: Option<&[u8]>, origin: &Origin<'_>) -> Result<(), Fault> {
    encode_row(row, &sensor_reading::decode(payload)?, origin);
    Ok(())
}

/// Appends one row.
///
/// `reading` must have passed `schema::sensor_reading::decode`, which holds the bounds of the columns.
pub fn encode_row(row: &mut Vec<u8>, reading: &SensorReading<'_>, origin: &Origin<'_>) {
    copy::begin(row, 12);
    field(row, reading.sensor_id.as_bytes());
    field(row, reading.sensor_type.as_str().as_bytes());
    field(row, reading.unit.as_bytes());
    field(row, &reading.value.to_be_bytes());
    copy::time(row, reading.event_time);
    field(row, reading.producer_id.as_bytes());
    field(row, reading.run_id.as_bytes());
    field(row, &crate::count::signed(reading.sequence).to_be_bytes());
    copy::origin(row, origin);
}

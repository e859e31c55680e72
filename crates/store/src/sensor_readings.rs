//! `sensor_readings`: rows in PostgreSQL's binary COPY format.
//!
//! A record is turned into its row's bytes as soon as it is decoded and is then dropped: a held
//! message would pin its whole fetch buffer.

use schema::SensorReading;

/// Name of the target, as in `stored_offsets.target`.
pub const TARGET: &str = "sensor_readings";

/// The statement that the rows go through; `processing_timestamp` is the transaction's start.
pub const COPY: &str = "COPY sensor_readings (sensor_id, sensor_type, unit, value, event_time, producer_id, run_id, \
     sequence, processed_by_consumer, log_id, kafka_partition, kafka_offset) FROM STDIN (FORMAT binary)";

const FIELDS: i16 = 12;
/// Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// Where a row came from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Who stores it.
    pub consumer_id: &'a str,
    /// `kafka_logs.log_id`.
    pub log_id: i32,
    /// Kafka partition.
    pub partition: i32,
    /// Kafka offset.
    pub offset: i64,
}

/// Appends one row (PostgreSQL manual, COPY, "Binary Format").
///
/// `reading` must have passed `schema::sensor_reading::decode`, which holds the bounds of the columns.
pub fn encode_row(row: &mut Vec<u8>, reading: &SensorReading<'_>, origin: &Origin<'_>) {
    row.extend_from_slice(&FIELDS.to_be_bytes());
    field(row, reading.sensor_id.as_bytes());
    field(row, reading.sensor_type.as_str().as_bytes());
    field(row, reading.unit.as_bytes());
    field(row, &reading.value.to_be_bytes());
    field(row, &(reading.event_time.as_microsecond() - POSTGRES_EPOCH_US).to_be_bytes());
    field(row, reading.producer_id.as_bytes());
    field(row, reading.run_id.as_bytes());
    field(row, &crate::producer_health::signed(reading.sequence).to_be_bytes());
    field(row, origin.consumer_id.as_bytes());
    field(row, &origin.log_id.to_be_bytes());
    field(row, &origin.partition.to_be_bytes());
    field(row, &origin.offset.to_be_bytes());
}

fn field(row: &mut Vec<u8>, bytes: &[u8]) {
    let length = i32::try_from(bytes.len()).expect("fields are bounded far below 2 GiB by the decoder");
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(bytes);
}

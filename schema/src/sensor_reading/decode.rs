//! Bytes to [`SensorReading`], or the reason why not.

use super::{MAX_TEXT_BYTES, SensorReading, VERSION};
use crate::record::{self, check_text, unknown_version};
use crate::{Fault, ReasonCode};

/// 0001-01-01T00:00:00Z and 9999-12-31T00:00:00Z, in seconds since the epoch. PostgreSQL's
/// `timestamptz` holds 4713 BC to 294276 AD; ours is the part that RFC 3339 can write.
const EVENT_TIME_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_214_400;

/// Decodes one record's value.
///
/// # Errors
/// The [`Fault`] that the record's dead letter carries. Never panics for any bytes (property test).
pub fn decode(payload: Option<&[u8]>) -> Result<SensorReading<'_>, Fault> {
    let reading = record::decode(payload, Some(VERSION))?;
    check(&reading)?;
    Ok(reading)
}

fn check(reading: &SensorReading<'_>) -> Result<(), Fault> {
    if reading.version != VERSION {
        return Err(unknown_version(u64::from(reading.version), VERSION));
    }
    for (field, text) in
        [("sensor_id", &reading.sensor_id), ("unit", &reading.unit), ("producer_id", &reading.producer_id)]
    {
        check_text(field, text, MAX_TEXT_BYTES)?;
    }
    if !reading.value.is_finite() {
        return Err(Fault::new(ReasonCode::NotFinite, Some("value"), "`value` is not a finite number"));
    }
    if !EVENT_TIME_SECONDS.contains(&reading.event_time.as_second()) {
        let text = format!("`event_time` {} is outside the years 1 to 9999", reading.event_time);
        return Err(Fault::new(ReasonCode::OutOfRange, Some("event_time"), text));
    }
    if i64::try_from(reading.sequence).is_err() {
        let text = format!("`sequence` {} is above {}", reading.sequence, i64::MAX);
        return Err(Fault::new(ReasonCode::OutOfRange, Some("sequence"), text));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

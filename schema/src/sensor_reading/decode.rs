//! Bytes to [`SensorReading`], or the reason why not.
//!
//! The straight path is one strict pass. Only when it fails are the bytes looked at again, to
//! name the fault as exactly as a person would: bad records are rare, so that path may cost.

use serde_json::error::Category;

use super::{MAX_EVENT_BYTES, MAX_TEXT_BYTES, SensorReading, VERSION};
use crate::{Fault, ReasonCode};

/// 0001-01-01T00:00:00Z and 9999-12-31T00:00:00Z, in seconds since the epoch. PostgreSQL's
/// `timestamptz` holds 4713 BC to 294276 AD; ours is the part that RFC 3339 can write.
const EVENT_TIME_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_214_400;

/// Decodes one record's value.
///
/// # Errors
/// The [`Fault`] that the record's dead letter carries. Never panics for any bytes (property test).
pub fn decode(payload: Option<&[u8]>) -> Result<SensorReading<'_>, Fault> {
    let bytes = payload.ok_or_else(|| Fault::new(ReasonCode::Tombstone, None, "the record has no value"))?;
    if bytes.is_empty() {
        return Err(Fault::new(ReasonCode::Empty, None, "the value has no bytes"));
    }
    if bytes.len() > MAX_EVENT_BYTES {
        let text = format!("{} bytes, at most {MAX_EVENT_BYTES} are accepted", bytes.len());
        return Err(Fault::new(ReasonCode::Oversized, None, text));
    }
    let text = std::str::from_utf8(bytes).map_err(|utf8| {
        let text = format!("not UTF-8 from byte {}", utf8.valid_up_to());
        Fault::new(ReasonCode::InvalidUtf8, None, text)
    })?;
    // From checked text, because serde_json would check each string again.
    let reading: SensorReading<'_> = serde_json::from_str(text).map_err(|error| diagnose(text, &error))?;
    check(&reading)?;
    Ok(reading)
}

fn check(reading: &SensorReading<'_>) -> Result<(), Fault> {
    if reading.version != VERSION {
        return Err(unknown_version(u64::from(reading.version)));
    }
    for (field, text) in
        [("sensor_id", &reading.sensor_id), ("unit", &reading.unit), ("producer_id", &reading.producer_id)]
    {
        if text.is_empty() || text.len() > MAX_TEXT_BYTES {
            let text = format!("`{field}` has {} bytes, 1 to {MAX_TEXT_BYTES} are accepted", text.len());
            return Err(Fault::new(ReasonCode::TextLength, Some(field), text));
        }
        if text.as_bytes().contains(&0) {
            return Err(Fault::new(ReasonCode::NulInText, Some(field), format!("`{field}` contains U+0000")));
        }
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

fn unknown_version(version: u64) -> Fault {
    let text = format!("version {version} is not known to this build, which decodes version {VERSION}");
    Fault::new(ReasonCode::UnknownVersion, Some("version"), text)
}

/// Names the fault of a text that the strict pass refused with `error`.
fn diagnose(json: &str, error: &serde_json::Error) -> Fault {
    let message = error.to_string();
    if message.starts_with("recursion limit exceeded") {
        return Fault::new(ReasonCode::NestedTooDeep, None, "nested deeper than 128 levels");
    }
    if message.starts_with("number out of range") {
        return Fault::new(ReasonCode::OutOfRange, field_of(json).as_deref(), message);
    }
    if error.classify() != Category::Data {
        return Fault::new(ReasonCode::InvalidJson, None, message);
    }
    // Another version may have other fields: its number explains more than the first odd field.
    if let Some(version) = version_of(json).filter(|version| *version != u64::from(VERSION)) {
        return unknown_version(version);
    }
    let quoted = || message.split('`').nth(1).map(str::to_owned);
    let (code, field) = if message.starts_with("missing field") {
        (ReasonCode::MissingField, quoted())
    } else if message.starts_with("unknown field") {
        (ReasonCode::UnknownField, quoted())
    } else if message.starts_with("duplicate field") {
        (ReasonCode::DuplicateField, quoted())
    } else if message.starts_with("invalid value: integer") {
        (ReasonCode::OutOfRange, field_of(json))
    } else {
        (ReasonCode::WrongType, field_of(json))
    };
    let text = field.as_deref().filter(|field| !message.contains(*field)).map(|field| format!("`{field}`: {message}"));
    Fault::new(code, field.as_deref(), text.unwrap_or(message))
}

fn version_of(json: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    value.get("version")?.as_u64()
}

/// The field at which the strict pass stops.
fn field_of(json: &str) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let error = serde_path_to_error::deserialize::<_, SensorReading<'_>>(&mut deserializer).err()?;
    let path = error.path().to_string();
    (path != ".").then_some(path)
}

#[cfg(test)]
mod tests;

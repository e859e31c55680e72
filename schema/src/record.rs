//! A record's value, or a request's body: JSON that has exactly the shape that it should, or the reason why not.
//!
//! The straight path is one strict pass. Only when it fails are the bytes looked at again, to
//! name the fault as exactly as a person would: bad records are rare, so that path may cost.

use serde::Deserialize;
use serde_json::error::Category;

use crate::{Fault, ReasonCode};

/// Longest encoded event, in bytes. A longer record is a dead letter ([`ReasonCode::Oversized`]).
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Decodes the value strictly as a `T`; of this version, where it has versions.
///
/// # Errors
/// The [`Fault`] that the record's dead letter carries. Never panics for any bytes (property test).
pub fn decode<'a, T: Deserialize<'a>>(payload: Option<&'a [u8]>, version: Option<u16>) -> Result<T, Fault> {
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
    serde_json::from_str(text).map_err(|error| diagnose::<T>(text, version, &error))
}

/// A version that this build does not decode.
pub(crate) fn unknown_version(version: u64, known: u16) -> Fault {
    let text = format!("version {version} is not known to this build, which decodes version {known}");
    Fault::new(ReasonCode::UnknownVersion, Some("version"), text)
}

/// Holds a text to 1 to `most` bytes without U+0000.
///
/// # Errors
/// [`ReasonCode::TextLength`], [`ReasonCode::NulInText`].
pub(crate) fn check_text(field: &str, text: &str, most: usize) -> Result<(), Fault> {
    if text.is_empty() || text.len() > most {
        let text = format!("`{field}` has {} bytes, 1 to {most} are accepted", text.len());
        return Err(Fault::new(ReasonCode::TextLength, Some(field), text));
    }
    if text.as_bytes().contains(&0) {
        return Err(Fault::new(ReasonCode::NulInText, Some(field), format!("`{field}` contains U+0000")));
    }
    Ok(())
}

/// Names the fault of a text that the strict pass refused with `error`.
fn diagnose<'a, T: Deserialize<'a>>(json: &'a str, known: Option<u16>, error: &serde_json::Error) -> Fault {
    let message = error.to_string();
    if message.starts_with("recursion limit exceeded") {
        return Fault::new(ReasonCode::NestedTooDeep, None, "nested deeper than 128 levels");
    }
    if message.starts_with("number out of range") {
        return Fault::new(ReasonCode::OutOfRange, field_of::<T>(json).as_deref(), message);
    }
    if error.classify() != Category::Data {
        return Fault::new(ReasonCode::InvalidJson, None, message);
    }
    // Another version may have other fields: its number explains more than the first odd field.
    if let Some((version, known)) = version_of(json).zip(known).filter(|(version, known)| *version != u64::from(*known))
    {
        return unknown_version(version, known);
    }
    let quoted = || message.split('`').nth(1).map(str::to_owned);
    let (code, field) = if message.starts_with("missing field") {
        (ReasonCode::MissingField, quoted())
    } else if message.starts_with("unknown field") {
        (ReasonCode::UnknownField, quoted())
    } else if message.starts_with("duplicate field") {
        (ReasonCode::DuplicateField, quoted())
    } else if message.starts_with("invalid value: integer") {
        (ReasonCode::OutOfRange, field_of::<T>(json))
    } else {
        (ReasonCode::WrongType, field_of::<T>(json))
    };
    let text = field.as_deref().filter(|field| !message.contains(*field)).map(|field| format!("`{field}`: {message}"));
    Fault::new(code, field.as_deref(), text.unwrap_or(message))
}

fn version_of(json: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    value.get("version")?.as_u64()
}

/// The field at which the strict pass stops.
fn field_of<'a, T: Deserialize<'a>>(json: &'a str) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let error = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?;
    let path = error.path().to_string();
    (path != ".").then_some(path)
}

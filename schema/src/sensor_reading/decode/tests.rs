use std::borrow::Cow;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::decode;
use crate::record::MAX_EVENT_BYTES;
use crate::sensor_reading::{SensorReading, SensorType, VERSION};
use crate::{Fault, ReasonCode};

fn reading() -> SensorReading<'static> {
    SensorReading {
        version: VERSION,
        sensor_id: Cow::Borrowed("press-07"),
        sensor_type: SensorType::Temperature,
        unit: Cow::Borrowed("Cel"),
        value: 73.97,
        event_time: "2013-12-02T21:15:00Z".parse().expect("a valid time"),
        producer_id: Cow::Borrowed("temperature-sensor"),
        run_id: Uuid::from_u128(7),
        sequence: 41,
    }
}

fn with(field: &str, value: Value) -> Vec<u8> {
    let mut object: Value = serde_json::from_slice(&reading().encode()).expect("our own JSON");
    object[field] = value;
    serde_json::to_vec(&object).expect("JSON")
}

fn fault(bytes: &[u8]) -> Fault {
    decode(Some(bytes)).expect_err("must not decode")
}

#[track_caller]
fn assert_fault(bytes: &[u8], code: ReasonCode, field: Option<&str>) {
    let fault = fault(bytes);
    assert_eq!((fault.code, fault.field.as_deref()), (code, field), "{fault}");
}

#[test]
fn a_reading_survives_the_round_trip() {
    let bytes = reading().encode();
    assert_eq!(decode(Some(&bytes)), Ok(reading()));
}

#[test]
fn texts_are_borrowed_from_the_record() {
    let bytes = reading().encode();
    let decoded = decode(Some(&bytes)).expect("decodes");
    assert!(matches!(decoded.sensor_id, Cow::Borrowed(_)));
}

#[test]
fn each_fault_is_named_with_its_field() {
    assert_eq!(decode(None).expect_err("tombstone").code, ReasonCode::Tombstone);
    assert_fault(b"", ReasonCode::Empty, None);
    assert_fault(&vec![b' '; MAX_EVENT_BYTES + 1], ReasonCode::Oversized, None);
    assert_fault(b"{\"version\":1,\"sensor_id\":\"\xff\"}", ReasonCode::InvalidUtf8, None);
    assert_fault(b"{\"version\":1", ReasonCode::InvalidJson, None);
    assert_fault(b"{\"version\":1,\"value\":NaN}", ReasonCode::InvalidJson, None);
    assert_fault(b"{\"version\":1,\"value\":1e999}", ReasonCode::OutOfRange, Some("value"));
    assert_fault(&with("version", json!(2)), ReasonCode::UnknownVersion, Some("version"));
    assert_fault(b"{\"version\":9,\"other\":true}", ReasonCode::UnknownVersion, Some("version"));
    assert_fault(b"{\"version\":1}", ReasonCode::MissingField, Some("sensor_id"));
    assert_fault(&with("colour", json!("red")), ReasonCode::UnknownField, Some("colour"));
    assert_fault(b"{\"version\":1,\"version\":1}", ReasonCode::DuplicateField, Some("version"));
    assert_fault(&with("value", json!("NaN")), ReasonCode::WrongType, Some("value"));
    assert_fault(&with("value", Value::Null), ReasonCode::WrongType, Some("value"));
    assert_fault(&with("sensor_id", json!("a\0b")), ReasonCode::NulInText, Some("sensor_id"));
    assert_fault(&with("unit", json!("")), ReasonCode::TextLength, Some("unit"));
    assert_fault(&with("producer_id", json!("p".repeat(256))), ReasonCode::TextLength, Some("producer_id"));
    assert_fault(&with("sequence", json!(u64::MAX)), ReasonCode::OutOfRange, Some("sequence"));
    assert_fault(&with("sequence", json!(-1)), ReasonCode::OutOfRange, Some("sequence"));
    assert_fault(&with("event_time", json!("0000-01-01T00:00:00Z")), ReasonCode::OutOfRange, Some("event_time"));
    assert_fault(&with("event_time", json!("yesterday")), ReasonCode::WrongType, Some("event_time"));
    assert_fault(&with("run_id", json!("7")), ReasonCode::WrongType, Some("run_id"));
}

#[test]
fn absurd_nesting_is_refused_without_a_stack_overflow() {
    for open in ["[", "{\"a\":", "{\"version\":1,\"value\":["] {
        let bytes = open.repeat(MAX_EVENT_BYTES / open.len());
        fault(bytes.as_bytes());
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(Some(&bytes));
    }

    #[test]
    fn no_json_panics(text in "\\{(\"[a-z_]{1,9}\":(1|\"x\"|null|\\[\\]|1e9),){0,3}\"version\":[0-9]{1,21}\\}") {
        let _ = decode(Some(text.as_bytes()));
    }

    #[test]
    fn every_valid_reading_survives(
        sensor_id in "[^\0]{1,60}", unit in "[^\0]{1,8}", producer_id in "[^\0]{1,60}",
        value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL,
        micros in -60_000_000_000_000_000i64..250_000_000_000_000_000, run in any::<u128>(), sequence in 0..=i64::MAX as u64,
    ) {
        let reading = SensorReading {
            sensor_id: sensor_id.into(), unit: unit.into(), producer_id: producer_id.into(), value,
            event_time: Timestamp::from_microsecond(micros).expect("in range"),
            run_id: Uuid::from_u128(run), sequence, ..reading()
        };
        let bytes = reading.encode();
        prop_assert_eq!(decode(Some(&bytes)), Ok(reading.clone()));
    }
}

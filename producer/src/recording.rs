//! A recorded series in a CSV file: read whole and checked before anything of it is sent.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use csv::{ReaderBuilder, StringRecord};
use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// The most rows that one file may have (about 120 MB in memory).
pub const MAX_ROWS: usize = 5_000_000;

/// The longest file that is read, in bytes.
pub const MAX_BYTES: u64 = 512 << 20;

/// One row: when, and what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// As the recording says; it may repeat and jump back.
    pub time: Timestamp,
    /// Finite.
    pub value: f64,
}

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the recording")]
    Unreadable(#[source] io::Error),
    /// A line is no CSV of the header's shape.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1, with the header.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A column that must be there is not.
    #[error("line 1: no column `{0}`; there must be `timestamp` and `value`")]
    NoColumn(&'static str),
    /// A field cannot be understood.
    #[error("line {line}, column {column} ({name}): `{text}` is not {wanted}")]
    Field {
        /// Counted from 1, with the header.
        line: u64,
        /// Counted from 1.
        column: usize,
        /// The column's name.
        name: &'static str,
        /// What is there, shortened.
        text: String,
        /// What should be there.
        wanted: &'static str,
    },
    /// More than [`MAX_ROWS`] rows or [`MAX_BYTES`] bytes.
    #[error("more than {MAX_ROWS} rows or {MAX_BYTES} bytes: split the recording")]
    TooLong,
    /// A header without rows.
    #[error("no rows")]
    Empty,
}

/// Reads a file of a header and rows, with the columns `timestamp` (RFC 3339, or
/// `YYYY-MM-DD HH:MM:SS` in UTC) and `value`; other columns are ignored. The rows stay in the
/// file's order.
///
/// # Errors
/// The first thing that is wrong, by line and column.
pub fn read(path: &Path) -> Result<Vec<Row>, Error> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(Error::Unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(Error::Unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::TooLong);
    }
    parse(&text)
}

fn parse(text: &[u8]) -> Result<Vec<Row>, Error> {
    let mut reader = ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let headers = reader.headers().map_err(|error| bad_line(text, error))?;
    let (time_at, value_at) = (column(headers, "timestamp")?, column(headers, "value")?);
    let (mut rows, mut record) = (Vec::new(), StringRecord::new());
    while reader.read_record(&mut record).map_err(|error| bad_line(text, error))? {
        if rows.len() == MAX_ROWS {
            return Err(Error::TooLong);
        }
        let field = |at: usize, name, wanted| Field { text: record.get(at).unwrap_or_default(), at, name, wanted };
        let times = field(time_at, "timestamp", "a time (RFC 3339, or YYYY-MM-DD HH:MM:SS)");
        let values = field(value_at, "value", "a finite number");
        let line = || line_of(text, record.position());
        rows.push(Row { time: times.read(line, time)?, value: values.read(line, finite)? });
    }
    if rows.is_empty() { Err(Error::Empty) } else { Ok(rows) }
}

fn column(headers: &StringRecord, name: &'static str) -> Result<usize, Error> {
    let found = headers.iter().position(|header| header.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name));
    found.ok_or(Error::NoColumn(name))
}

/// A field of one row, and what it should be.
struct Field<'a> {
    text: &'a str,
    at: usize,
    name: &'static str,
    wanted: &'static str,
}

impl Field<'_> {
    fn read<T>(self, line: impl Fn() -> u64, read: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
        let Self { text, at, name, wanted } = self;
        read(text).ok_or_else(|| Error::Field {
            line: line(),
            column: at + 1,
            name,
            text: text.chars().take(40).collect(),
            wanted,
        })
    }
}

/// The line, counted from 1, that a record starts on. The reader's own position is that of the empty
/// lines before it, which it skips.
fn line_of(text: &[u8], position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 1 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(text.len());
    let empty = text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + empty.filter(|byte| **byte == b'\n').count() as u64
}

/// The years 1 to 9999, which is what an event can carry.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_214_400;

/// To the microsecond, which is what is stored.
fn time(text: &str) -> Option<Timestamp> {
    let time = text.parse().ok().or_else(|| {
        // A date alone is no time.
        let civil: DateTime = text.contains(':').then(|| text.parse().ok())??;
        Offset::UTC.to_timestamp(civil).ok()
    })?;
    let time = Timestamp::from_microsecond(Timestamp::as_microsecond(time)).ok()?;
    SECONDS.contains(&time.as_second()).then_some(time)
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

fn bad_line(text: &[u8], error: csv::Error) -> Error {
    let line = line_of(text, error.position());
    let reason = match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => err.to_string(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} columns, the header has {expected_len}")
        }
        _ => error.to_string(),
    };
    Error::Line { line, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> String {
        parse(text.as_bytes()).expect_err("it is wrong").to_string()
    }

    #[test]
    fn both_ways_to_write_a_time_are_read_and_the_order_is_kept() {
        let text = "timestamp,value\n2013-12-02 21:15:00,73.96\n2013-12-02T22:10:00.5+01:00,-1e3\n";
        let rows = parse(text.as_bytes()).expect("it is good");
        let expected = ["2013-12-02T21:15:00Z", "2013-12-02T21:10:00.5Z"].map(|at| at.parse().expect("a time"));
        assert_eq!(rows.iter().map(|row| row.time).collect::<Vec<_>>(), expected);
        assert_eq!(rows.iter().map(|row| row.value).collect::<Vec<_>>(), [73.96, -1000.0]);
    }

    #[test]
    fn what_is_wrong_is_named_by_line_and_column() {
        let header = "\u{feff}Sensor,Value,Timestamp\n";
        assert_eq!(
            said(&format!("{header}a,1,2013-12-02 21:15:00\n\r\n\na,x7,2013-12-02 21:15:00\n")),
            "line 5, column 2 (value): `x7` is not a finite number"
        );
        assert_eq!(
            said(&format!("{header}a,1,2013-12-02\n")),
            "line 2, column 3 (timestamp): `2013-12-02` is not a time (RFC 3339, or YYYY-MM-DD HH:MM:SS)"
        );
        assert!(said(&format!("{header}a,1,-000001-12-02T21:15:00Z\n")).starts_with("line 2, column 3 (timestamp): "));
        for value in ["NaN", "inf", "1,5", ""] {
            assert!(said(&format!("{header}a,\"{value}\",2013-12-02 21:15:00\n")).contains("line 2, column 2"));
        }
        assert_eq!(said(&format!("{header}a,1\n")), "line 2: 2 columns, the header has 3");
        assert_eq!(said("time,value\n"), "line 1: no column `timestamp`; there must be `timestamp` and `value`");
        assert_eq!(said(header), "no rows");
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_it_answers(bytes: Vec<u8>) {
            let _ = parse(&bytes[..]);
            let _ = parse(&[b"timestamp,value\n", &bytes[..]].concat()[..]);
        }

        #[test]
        fn every_row_that_is_written_is_read(rows in prop::collection::vec((0i64..4_000_000_000_000_000, -1e9..1e9f64), 1..50)) {
            let rows: Vec<Row> = rows
                .into_iter()
                .map(|(at, value)| Row { time: Timestamp::from_microsecond(at).expect("in range"), value })
                .collect();
            let lines: String = rows.iter().map(|row| format!("{},{}\n", row.time, row.value)).collect();
            prop_assert_eq!(parse(format!("timestamp,value\n{lines}").as_bytes()).expect("it is good"), rows);
        }
    }
}

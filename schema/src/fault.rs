//! Why a record is not an event: the reason that its dead letter carries.

use std::fmt;

/// The class of a bad record's fault. The text form is what `dead_letters.reason_code` holds
/// and what metrics are labelled with, so a code is never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonCode {
    /// The record has a key but no value. Compacted topics use it; this topic is not compacted.
    Tombstone,
    /// The value has no bytes.
    Empty,
    /// The value is longer than [`crate::record::MAX_EVENT_BYTES`].
    Oversized,
    /// The value is not UTF-8.
    InvalidUtf8,
    /// The value is not JSON (RFC 8259). `NaN` and `Infinity` are not JSON either.
    InvalidJson,
    /// The JSON is nested deeper than 128 levels.
    NestedTooDeep,
    /// `version` names a version that this build does not decode.
    UnknownVersion,
    /// A required field is absent.
    MissingField,
    /// A field that the version does not have.
    UnknownField,
    /// The same field twice.
    DuplicateField,
    /// A field of another JSON type.
    WrongType,
    /// U+0000 in a text: PostgreSQL's `text` cannot hold it.
    NulInText,
    /// A text that is empty or longer than its bound.
    TextLength,
    /// A number that is infinite or not a number once decoded.
    NotFinite,
    /// A number or time outside the bounds of its column.
    OutOfRange,
    /// The decoder itself panicked on these bytes: a defect of ours, but the record must not block.
    DecoderPanic,
    /// PostgreSQL refused the row (SQLSTATE class 22, or a named constraint of the target).
    RefusedByDatabase,
}

impl ReasonCode {
    /// All codes, so that a metric can show each at zero from the start.
    pub const ALL: [Self; 17] = [
        Self::Tombstone,
        Self::Empty,
        Self::Oversized,
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::NestedTooDeep,
        Self::UnknownVersion,
        Self::MissingField,
        Self::UnknownField,
        Self::DuplicateField,
        Self::WrongType,
        Self::NulInText,
        Self::TextLength,
        Self::NotFinite,
        Self::OutOfRange,
        Self::DecoderPanic,
        Self::RefusedByDatabase,
    ];

    /// The stable text form, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Empty => "empty",
            Self::Oversized => "oversized",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::NestedTooDeep => "nested_too_deep",
            Self::UnknownVersion => "unknown_version",
            Self::MissingField => "missing_field",
            Self::UnknownField => "unknown_field",
            Self::DuplicateField => "duplicate_field",
            Self::WrongType => "wrong_type",
            Self::NulInText => "nul_in_text",
            Self::TextLength => "text_length",
            Self::NotFinite => "not_finite",
            Self::OutOfRange => "out_of_range",
            Self::DecoderPanic => "decoder_panic",
            Self::RefusedByDatabase => "refused_by_database",
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Longest [`Fault::text`], in bytes; the rest is cut at a character boundary.
pub const MAX_TEXT_BYTES: usize = 500;

/// What is wrong with one record: a code for machines, a field and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Fault {
    /// The class of the fault.
    pub code: ReasonCode,
    /// The field it was found in, where one can be named.
    pub field: Option<String>,
    /// One sentence; no NUL and no other control character, at most [`MAX_TEXT_BYTES`] bytes.
    pub text: String,
}

impl Fault {
    /// A fault with its text cleaned (control characters become `U+FFFD`) and cut, because
    /// parts of it come from the bad record itself.
    pub fn new(code: ReasonCode, field: Option<&str>, text: impl AsRef<str>) -> Self {
        Self { code, field: field.map(clean), text: clean(text.as_ref()) }
    }
}

fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len().min(MAX_TEXT_BYTES));
    for c in text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }) {
        if cleaned.len() + c.len_utf8() > MAX_TEXT_BYTES {
            break;
        }
        cleaned.push(c);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let texts: std::collections::BTreeSet<_> = ReasonCode::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(texts.len(), ReasonCode::ALL.len());
    }

    #[test]
    fn text_is_cleaned_and_cut() {
        let fault = Fault::new(ReasonCode::UnknownField, Some("a\0b"), "é".repeat(400));
        assert_eq!(fault.field.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(fault.text.len(), MAX_TEXT_BYTES);
    }
}

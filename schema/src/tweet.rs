//! One accepted tweet, as it travels on [`crate::topics::TWEETS`].
//!
//! JSON, one object a record, keyed by `author_id` in decimal digits. Decoding is strict, as that of
//! [`crate::sensor_reading`]. A publication may be repeated: `tweet_id` is what makes two records one tweet.
//!
//! ```json
//! {"version":1,"tweet_id":812,"author_id":1,"content":"hello","created_at":"2026-03-01T14:03:00.125Z"}
//! ```

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::{self, check_text, unknown_version};
use crate::{Fault, ReasonCode};

/// The version that this build writes, and the only one that it decodes.
pub const VERSION: u16 = 1;
/// Longest `content`, in bytes: what 280 grapheme clusters can't exceed in a request of 16 KiB.
pub const MAX_CONTENT_BYTES: usize = 16 * 1024;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tweet<'a> {
    /// Always [`VERSION`].
    pub version: u16,
    /// Its number; 1 to `i64::MAX`.
    pub tweet_id: i64,
    /// Who posted it; 1 to `i64::MAX`.
    pub author_id: i64,
    /// As typed; 1 to [`MAX_CONTENT_BYTES`] bytes, no NUL. Its length in characters is the API's to hold.
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    /// When it was given its number, by the API's clock; stored to the microsecond.
    pub created_at: Timestamp,
}

impl Tweet<'_> {
    /// The JSON bytes that go on the topic.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of numbers, a text and a time always serialises")
    }

    /// The record's key: an author's tweets stay in order.
    pub fn key(&self) -> String {
        self.author_id.to_string()
    }
}

/// Decodes one record's value.
///
/// # Errors
/// The [`Fault`] that the record's dead letter carries.
pub fn decode(payload: Option<&[u8]>) -> Result<Tweet<'_>, Fault> {
    let tweet: Tweet<'_> = record::decode(payload, Some(VERSION))?;
    if tweet.version != VERSION {
        return Err(unknown_version(u64::from(tweet.version), VERSION));
    }
    for (field, number) in [("tweet_id", tweet.tweet_id), ("author_id", tweet.author_id)] {
        if number < 1 {
            return Err(Fault::new(ReasonCode::OutOfRange, Some(field), format!("`{field}` {number} is below 1")));
        }
    }
    check_text("content", &tweet.content, MAX_CONTENT_BYTES)?;
    Ok(tweet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn tweet() -> Tweet<'static> {
        let created_at = "2026-03-01T14:03:00.125Z".parse().expect("a time");
        Tweet { version: VERSION, tweet_id: 812, author_id: 1, content: "hello".into(), created_at }
    }

    /// Fault of the tweet with one field set to something else.
    fn fault(field: &str, value: Value) -> (ReasonCode, Option<String>) {
        let mut object = json!(tweet());
        object[field] = value;
        let fault = decode(Some(object.to_string().as_bytes())).expect_err("it is bad");
        (fault.code, fault.field)
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(decode(Some(&tweet().encode())), Ok(tweet()));
    }

    #[test]
    fn a_bad_field_is_named() {
        let named = |field: &str| Some(field.to_owned());
        assert_eq!(fault("content", json!("")), (ReasonCode::TextLength, named("content")));
        assert_eq!(fault("content", json!("a\0b")), (ReasonCode::NulInText, named("content")));
        assert_eq!(fault("content", json!(7)), (ReasonCode::WrongType, named("content")));
        assert_eq!(
            fault("content", json!("x".repeat(MAX_CONTENT_BYTES + 1))),
            (ReasonCode::TextLength, named("content"))
        );
        assert_eq!(fault("tweet_id", json!(0)), (ReasonCode::OutOfRange, named("tweet_id")));
        assert_eq!(fault("author_id", json!(-1)), (ReasonCode::OutOfRange, named("author_id")));
        assert_eq!(fault("version", json!(2)), (ReasonCode::UnknownVersion, named("version")));
        assert_eq!(fault("likes", json!(1)), (ReasonCode::UnknownField, named("likes")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(Some(&bytes));
        }
    }
}

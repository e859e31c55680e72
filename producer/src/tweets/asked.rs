//! What a request asks for: who acts, the body, the page. What is wrong is named by its field.

use http::Problem;
use schema::{Fault, ReasonCode};
use serde::Deserialize;
use warp::http::header::CONTENT_TYPE;
use warp::http::{HeaderMap, StatusCode};

/// Bytes of a body, at most.
pub const MOST_BODY_BYTES: usize = 16 * 1024;
/// Items of a page: without a limit, and at most.
pub const ITEMS: i64 = 20;
/// See [`ITEMS`].
pub const MOST_ITEMS: i64 = 100;
/// Characters of an `Idempotency-Key`, at most.
pub const MOST_KEY_CHARACTERS: usize = 255;

const USER: &str = "x-user-id";
const KEY: &str = "idempotency-key";

/// A request, taken apart.
#[derive(Debug)]
pub struct Asked {
    /// The number in its path; 0 without.
    pub id: i64,
    /// Its fields.
    pub headers: HeaderMap,
    /// Behind the `?`.
    pub query: String,
    /// As sent.
    pub body: Vec<u8>,
}

/// One page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items, at most.
    pub limit: i64,
    /// Number at which the page before ended.
    pub cursor: Option<i64>,
}

impl Asked {
    /// Who acts, where it is said.
    ///
    /// # Errors
    /// When it is no number.
    pub fn user_if_any(&self) -> Result<Option<i64>, Problem> {
        let Some(given) = self.headers.get(USER) else { return Ok(None) };
        let number = given.to_str().ok().and_then(number);
        number.map(Some).ok_or_else(|| wrong("X-User-ID", "`X-User-ID` is not the number of a user"))
    }

    /// Who acts.
    ///
    /// # Errors
    /// When it is missing or no number.
    pub fn user(&self) -> Result<i64, Problem> {
        self.user_if_any()?.ok_or_else(|| wrong("X-User-ID", "`X-User-ID` is missing: the number of the user who acts"))
    }

    /// The client's key, where there is one.
    ///
    /// # Errors
    /// When it is none: 1 to 255 visible characters of ASCII.
    pub fn key(&self) -> Result<Option<String>, Problem> {
        let Some(given) = self.headers.get(KEY) else { return Ok(None) };
        let visible = |text: &&str| {
            (1..=MOST_KEY_CHARACTERS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let key = given.to_str().ok().filter(visible);
        let fault = || wrong("Idempotency-Key", "`Idempotency-Key` has 1 to 255 visible ASCII characters");
        key.map(|key| Some(key.to_owned())).ok_or_else(fault)
    }

    /// The body, strictly of this form.
    ///
    /// # Errors
    /// 415 for another type; 400 with field and reason.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        if let Some(kind) = self.headers.get(CONTENT_TYPE) {
            let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
            if !essence.eq_ignore_ascii_case("application/json") {
                let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE);
                return Err(problem.detail("a body is application/json").member("field", "Content-Type"));
            }
        }
        schema::record::decode(Some(&self.body), None).map_err(|fault| refused(&fault))
    }

    /// The page that is asked for.
    ///
    /// # Errors
    /// A parameter that there is not, is given twice, or is out of its bounds.
    pub fn page(&self) -> Result<Page, Problem> {
        let (mut limit, mut cursor) = (None, None);
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let seen = match name {
                "limit" => {
                    let bounded = number(value).filter(|limit| *limit <= MOST_ITEMS);
                    limit.replace(bounded.ok_or_else(|| wrong("limit", "`limit` is a number from 1 to 100"))?)
                }
                "cursor" => {
                    let place = number(value);
                    cursor
                        .replace(place.ok_or_else(|| wrong("cursor", "`cursor` is a `next_cursor` of a page before"))?)
                }
                _ => return Err(wrong("query", "there are the parameters `limit` and `cursor`")),
            };
            if seen.is_some() {
                return Err(wrong("query", "a parameter is given twice"));
            }
        }
        Ok(Page { limit: limit.unwrap_or(ITEMS), cursor })
    }
}

/// A number of somebody or something: decimal digits, from 1.
pub fn number(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0)
}

/// 400, with the field and the reason.
pub fn wrong(field: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST).detail(detail).member("field", field)
}

/// 400, with what a decoder found.
pub fn refused(fault: &Fault) -> Problem {
    let problem = Problem::new(StatusCode::BAD_REQUEST).detail(match fault.code {
        ReasonCode::Empty => "the body is empty".to_owned(),
        _ => fault.text.clone(),
    });
    let problem = problem.member("code", fault.code.as_str());
    match &fault.field {
        Some(field) => problem.member("field", field.as_str()),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warp::Reply;
    use warp::http::{HeaderName, HeaderValue};

    use super::*;

    fn asked(query: &str, field: Option<(&'static str, &str)>) -> Asked {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = field {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a field's value");
            headers.insert(HeaderName::from_static(name), value);
        }
        Asked { id: 0, headers, query: query.to_owned(), body: Vec::new() }
    }

    #[test]
    fn a_page_has_a_limit_and_a_cursor_and_nothing_else() {
        let page = |query: &str| asked(query, None).page().map_err(|problem| problem.into_response().status());
        assert_eq!(page(""), Ok(Page { limit: ITEMS, cursor: None }));
        assert_eq!(page("limit=100&cursor=7"), Ok(Page { limit: 100, cursor: Some(7) }));
        for bad in ["limit=0", "limit=101", "limit=", "limit", "limit=1&limit=1", "cursor=-1", "cursor=+1", "offset=3"]
        {
            assert_eq!(page(bad), Err(StatusCode::BAD_REQUEST), "{bad}");
        }
    }

    #[test]
    fn who_acts_is_a_number() {
        let user = |value: &str| asked("", Some((USER, value))).user().ok();
        assert_eq!(user("7"), Some(7));
        for bad in ["", "0", "-1", "+1", "1.0", "one", "9223372036854775808", "１"] {
            assert_eq!(user(bad), None, "{bad}");
        }
        assert!(asked("", None).user().is_err());
    }

    #[test]
    fn a_key_is_visible() {
        let key = |value: &str| asked("", Some((KEY, value))).key().ok().flatten();
        assert_eq!(key("b6e-1"), Some("b6e-1".to_owned()));
        for bad in ["", "a b", "é", &"x".repeat(256)] {
            assert_eq!(key(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in ".{0,60}") {
            let _ = asked(&query, None).page();
        }
    }
}

//! Connection strings in libpq's two forms (PostgreSQL manual, 32.1.1): takes out the parameters that are ours to
//! understand, and leaves the rest as it was.
//!
//! ```text
//! postgres://user@host/db?sslmode=require&options=…      a URI: values are percent-encoded
//! host=… dbname=… sslmode='require'                      keywords: quotes and backslashes
//! ```

use crate::error::{Error, Result};

/// The string without the parameters `names`, and the value of each. As in libpq, the last one of a name counts.
///
/// # Errors
/// [`Error::Url`] when a value is not finished or is no text.
pub(crate) fn split<const N: usize>(text: &str, names: [&str; N]) -> Result<(String, [Option<String>; N])> {
    let mut values = [const { None }; N];
    let mut take = |name: &str, value: String| {
        let index = names.iter().position(|known| *known == name);
        index.is_some_and(|index| {
            values[index] = Some(value);
            true
        })
    };
    let mut rest = String::new();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        rest.push_str(base);
        let mut separator = '?';
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !names.contains(&name) || !take(name, percent_decoded(value)?) {
                rest.push(separator);
                rest.push_str(pair);
                separator = '&';
            }
        }
    } else {
        let mut left = text.trim_start();
        while !left.is_empty() {
            let Some((name, after)) = left.split_once('=') else {
                rest.push_str(left);
                break;
            };
            let after = after.trim_start();
            let (value, length) = keyword_value(after)?;
            let pair = &left[..left.len() - after.len() + length];
            if !take(name.trim(), value) {
                rest.push_str(pair);
                rest.push(' ');
            }
            left = after[length..].trim_start();
        }
    }
    Ok((rest, values))
}

/// The value at the start of `text`, without quotes and backslashes, and how many bytes it takes with them.
fn keyword_value(text: &str) -> Result<(String, usize)> {
    let quoted = text.starts_with('\'');
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices().skip(usize::from(quoted)) {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '\'' if quoted => return Ok((value, at + 1)),
            c if !quoted && c.is_whitespace() => return Ok((value, at)),
            c => value.push(c),
        }
    }
    if quoted {
        return Err(Error::Url { reason: "a quoted value has no end".into() });
    }
    Ok((value, text.len()))
}

fn percent_decoded(text: &str) -> Result<String> {
    let broken = || Error::Url { reason: "a percent-encoded value cannot be read".into() };
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(broken)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| broken())?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str) -> (String, [Option<String>; 2]) {
        split(text, ["sslmode", "sslrootcert"]).expect("it can be read")
    }

    #[test]
    fn a_uri_keeps_what_is_not_ours() {
        let (rest, [mode, root]) =
            both("postgres://u:p%3Fq@h/d?sslmode=allow&options=-c%20a%3Db&sslrootcert=%2Fa%20b&sslmode=require");
        assert_eq!(rest, "postgres://u:p%3Fq@h/d?options=-c%20a%3Db");
        assert_eq!((mode.as_deref(), root.as_deref()), (Some("require"), Some("/a b")));
        assert_eq!(both("postgresql://h").0, "postgresql://h");
    }

    #[test]
    fn keywords_keep_what_is_not_ours() {
        let (rest, [mode, root]) = both(r"host=h  password='a \' sslmode=b' sslmode = require sslrootcert='/a b'");
        assert_eq!(rest.trim(), r"host=h password='a \' sslmode=b'");
        assert_eq!((mode.as_deref(), root.as_deref()), (Some("require"), Some("/a b")));
    }

    #[test]
    fn what_has_no_end_is_refused() {
        assert!(split("sslmode='require", ["sslmode"]).is_err());
        assert!(split("postgres://h/d?sslmode=%4", ["sslmode"]).is_err());
        assert!(split("postgres://h/d?sslmode=%zz", ["sslmode"]).is_err());
    }
}

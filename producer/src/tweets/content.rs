//! What a text of a client may be. Pure.

use schema::{Fault, ReasonCode};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Longest tweet, in extended grapheme clusters (UAX #29) of its NFC form (UAX #15): what a person counts.
pub const MOST_CLUSTERS: usize = 280;
/// Longest user name, in extended grapheme clusters, and in bytes: a cluster has no bound of its own.
pub const MOST_NAME_CLUSTERS: usize = 50;
/// See [`MOST_NAME_CLUSTERS`].
pub const MOST_NAME_BYTES: usize = 1_000;
/// Longest address (RFC 5321, section 4.5.3.1.3), in bytes.
pub const MOST_EMAIL_BYTES: usize = 254;

/// Holds a tweet's content to its bounds.
///
/// # Errors
/// What is wrong with `content`.
pub fn check(content: &str) -> Result<(), Fault> {
    check_text("content", content, MOST_CLUSTERS)
}

/// What two contents have in common that are the same to a reader: SHA-256 of the NFC form.
pub fn hash(content: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut buffer = [0; 4];
    content.nfc().for_each(|c| hash.update(c.encode_utf8(&mut buffer).as_bytes()));
    hash.finalize().to_vec()
}

/// A user name as it is kept: in NFC, so that two that look alike by their forms are one.
///
/// # Errors
/// What is wrong with `username`.
pub fn name(username: &str) -> Result<String, Fault> {
    let username: String = username.nfc().collect();
    check_text("username", &username, MOST_NAME_CLUSTERS)?;
    if username.len() > MOST_NAME_BYTES {
        let text = format!("`username` has {} bytes, {MOST_NAME_BYTES} are accepted", username.len());
        return Err(Fault::new(ReasonCode::TextLength, Some("username"), text));
    }
    Ok(username)
}

/// Holds an address to what any address is: one text before an `@`, one behind it, no spaces. Whether it exists only a
/// letter to it would tell.
///
/// # Errors
/// What is wrong with `email`.
pub fn check_email(email: &str) -> Result<(), Fault> {
    let fault = |text: &str| Err(Fault::new(ReasonCode::OutOfRange, Some("email"), format!("`email` {text}")));
    if email.len() > MOST_EMAIL_BYTES {
        return fault(&format!("has {} bytes, {MOST_EMAIL_BYTES} are accepted", email.len()));
    }
    if email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return fault("has a space or a control character");
    }
    match email.rsplit_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() => Ok(()),
        _ => fault("is not of the form name@domain"),
    }
}

fn check_text(field: &str, text: &str, most: usize) -> Result<(), Fault> {
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        let text = format!("`{field}` contains the control character U+{:04X}", u32::from(c));
        let code = if c == '\0' { ReasonCode::NulInText } else { ReasonCode::OutOfRange };
        return Err(Fault::new(code, Some(field), text));
    }
    let nfc: String = text.nfc().collect();
    let clusters = nfc.graphemes(true).count();
    if clusters == 0 || clusters > most {
        let text = format!("`{field}` has {clusters} characters, 1 to {most} are accepted");
        return Err(Fault::new(ReasonCode::TextLength, Some(field), text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_what_a_person_counts() {
        // A family of four with three joiners; a flag of two letters; e with an accent of its own.
        for one in ["👨‍👩‍👧‍👦", "🇫🇷", "e\u{301}"] {
            assert_eq!(check(&one.repeat(280)), Ok(()), "{one}");
            let fault = check(&one.repeat(281)).expect_err("one too many");
            assert_eq!((fault.code, fault.field.as_deref()), (ReasonCode::TextLength, Some("content")));
            assert!(fault.text.contains("281"), "{}", fault.text);
        }
        assert!(check("").is_err());
    }

    #[test]
    fn what_only_looks_odd_is_taken_and_what_controls_is_not() {
        for fine in ["<img src=x onerror=alert(1)>", "\u{202e}gnp.exe", "a\u{200b}b", "𐍈", "مرحبا"] {
            assert_eq!(check(fine), Ok(()), "{fine:?}");
        }
        for control in ["a\0b", "a\nb", "\u{7f}", "\u{85}", "\u{1b}[31m"] {
            assert!(check(control).is_err(), "{control:?}");
        }
    }

    #[test]
    fn forms_of_one_text_are_one_text() {
        assert_eq!(hash("caf\u{e9}"), hash("cafe\u{301}"));
        assert_ne!(hash("cafe"), hash("caf\u{e9}"));
        assert_eq!(name("cafe\u{301}"), Ok("caf\u{e9}".to_owned()));
        assert!(name(&"x".repeat(51)).is_err());
        assert!(name(&format!("x{}", "\u{332}\u{323}".repeat(400))).is_err(), "one cluster of 1,601 bytes");
    }

    #[test]
    fn an_address_has_two_sides() {
        assert_eq!(check_email("user1@example.com"), Ok(()));
        for bad in ["", "@", "a@", "@b", "a", "a b@c", "a@b\n"] {
            assert!(check_email(bad).is_err(), "{bad:?}");
        }
        assert!(check_email(&format!("{}@example.com", "x".repeat(250))).is_err());
    }
}

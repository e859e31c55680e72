//! Bytes and texts of unknown origin on a terminal: bounded, and without control sequences.

/// At most `max` characters in one line; what is cut shows as `…`.
pub fn line(text: &str, max: usize) -> String {
    let mut shown: String = text.chars().take(max).flat_map(escaped).collect();
    if text.chars().nth(max).is_some() {
        shown.push('…');
    }
    shown
}

/// The first `max` bytes: as text where they are UTF-8, else in hexadecimal.
pub fn bytes(bytes: &[u8], max: usize) -> String {
    let mut end = max.min(bytes.len());
    let rest = |end: usize| match bytes.len() - end {
        0 => String::new(),
        more => format!(" … {more} more bytes"),
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            format!("{}{}", text[..end].chars().flat_map(escaped).collect::<String>(), rest(end))
        }
        Err(_) => {
            let hex: String = bytes[..end].iter().map(|byte| format!("{byte:02x}")).collect();
            format!("hex {hex}{}", rest(end))
        }
    }
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let (kept, escape) = if c.is_control() { (None, Some(c.escape_default())) } else { (Some(c), None) };
    kept.into_iter().chain(escape.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::{bytes, line};

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(line("a\u{1b}[2Jb", 80), "a\\u{1b}[2Jb");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(line("ééé", 2), "éé…");
        assert_eq!(bytes("ééé".as_bytes(), 3), "é … 4 more bytes");
    }

    #[test]
    fn bytes_that_are_no_text_are_hexadecimal() {
        assert_eq!(bytes(&[0xff, 0x00, 0x10], 2), "hex ff00 … 1 more bytes");
    }
}

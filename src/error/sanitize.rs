//! The sanitizing of texts from the network.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::encoding::percent_decode;

/// Makes a text from the network safe to show: bounded, on one line, and without the signature that
/// the device sent.
pub(crate) fn sanitize(text: &str, secret: &str) -> Box<str> {
    const MAX_READ: usize = 4096;
    const MAX_SHOWN: usize = 512;
    let line: String = text.chars().take(MAX_READ).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = redact(&line, secret);
    match line.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => alloc::format!("{}…", line.get(..end).unwrap_or_default()).into(),
        None => line.into(),
    }
}

/// Hides every word that holds a piece of the signature, regardless of how often it was
/// percent-encoded.
fn redact(line: &str, secret: &str) -> String {
    const PIECE: usize = 8;
    let belongs_to_signatures = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '%');
    let secret = fully_decoded(secret);
    let is_secret = |word: &str| {
        let word = fully_decoded(word);
        secret.windows(PIECE).any(|piece| word.windows(PIECE).any(|window| window == piece))
    };

    let mut shown = String::with_capacity(line.len());
    for piece in line.split_inclusive(|c| !belongs_to_signatures(c)) {
        let word = piece.trim_end_matches(|c| !belongs_to_signatures(c));
        shown.push_str(if word.len() >= PIECE && is_secret(word) { "<hidden>" } else { word });
        shown.push_str(piece.strip_prefix(word).unwrap_or_default());
    }
    shown
}

/// Undoes percent-encoding repeatedly until there is none left.
fn fully_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    loop {
        let decoded: Vec<u8> = percent_decode(&bytes).collect();
        // Decoding always shortens the text.
        if decoded.len() == bytes.len() {
            return bytes;
        }
        bytes = decoded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "%2BVKrd1vr0wIvafT%2FTlFy7IgZzNc4cdWm6uLtqSxpJQc%3D";

    #[test]
    fn a_message_that_repeats_the_signature_is_shown_without_it() {
        for text in [
            "bad sig=%2BVKrd1vr0wIvafT%2FTlFy7IgZzNc4cdWm6uLtqSxpJQc%3D&se=1",
            "bad sig=%2bVKrd1vr0wIvafT%2fTlFy7IgZzNc4cdWm6uLtqSxpJQc%3d",
            "expected +VKrd1vr0wIvafT/TlFy7IgZzNc4cdWm6uLtqSxpJQc=.",
            "cut off at wIvafT/TlFy7",
            "glued/to/+VKrd1vr0wIvafT/TlFy7IgZzNc4",
            "twice %26sig%3D%252BVKrd1vr0wIvafT%252FTlFy7IgZzNc4cdWm6uLtqSxpJQc%253D%26se%3D1",
            "thrice %25252BVKrd1vr0wIvafT%25252FTlFy7IgZzNc4cdWm6uLtqSxpJQc%25253D",
        ] {
            let shown = sanitize(text, SIGNATURE);
            assert!(!shown.contains("TlFy7") && shown.contains("<hidden>"), "{shown}");
        }
        assert_eq!(
            &*sanitize("Unauthorized: token of a/b-c expired", SIGNATURE),
            "Unauthorized: token of a/b-c expired"
        );
    }

    #[test]
    fn a_message_is_shown_on_one_line_and_not_without_end() {
        assert_eq!(&*sanitize("a\r\nb\u{1b}[2Jc", SIGNATURE), "a  b [2Jc");
        assert_eq!(sanitize(&"ä".repeat(100_000), SIGNATURE).chars().count(), 513);
        let straddling = alloc::format!("{} x/sig/{SIGNATURE}", "y".repeat(490));
        assert!(!sanitize(&straddling, SIGNATURE).contains("VKrd1vr0"));
    }
}

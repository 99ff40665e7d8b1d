//! Reads a JSON object with one function and a table of fields.
//!
//! Serde's derived code has one function for each type and needs more flash and stack, which are
//! scarce on a board.

use alloc::borrow::Cow;
use alloc::string::String;
use core::str::Chars;

use serde::de::IgnoredAny;

/// A string of an answer, borrowed unless it contains escapes. In a field it is never empty.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// The destination of a field's value.
pub(crate) enum Slot<'s, 'a> {
    Text(&'s mut Option<Text<'a>>),
    /// A number, with or without quotation marks.
    Number(&'s mut Option<u32>),
    /// A flag, set only by `true`.
    Flag(&'s mut bool),
    /// The text of a value of any type except `null`.
    Json(&'s mut Option<&'a str>),
}

/// Reads these fields of an object and ignores all others.
///
/// Returns `None` if the JSON is not an object or repeats one of the fields.
pub(crate) fn read<'a>(json: &'a [u8], fields: &mut [(&'static str, Slot<'_, 'a>)]) -> Option<()> {
    // One bit for each field.
    let mut seen = 0_u32;
    each(json, *b"{}", &mut |reader| {
        let name = Text::parse(reader.value()?)?;
        reader.take(b':')?;
        let value = reader.value()?;
        let Some(at) = fields.iter().position(|(field, _)| *field == name.0) else { return Some(()) };
        let bit = 1_u32.checked_shl(u32::try_from(at).ok()?)?;
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
        fields.get_mut(at)?.1.fill(value);
        Some(())
    })
}

/// Reads a list of values. Returns `None` if the JSON is not a list.
pub(super) fn list<'a>(json: &'a [u8], item: &mut dyn FnMut(&'a str) -> Option<()>) -> Option<()> {
    each(json, *b"[]", &mut |reader| item(reader.value()?))
}

/// Reads the comma-separated items between two brackets.
fn each<'a>(json: &'a [u8], [open, close]: [u8; 2], item: &mut dyn FnMut(&mut Reader<'a>) -> Option<()>) -> Option<()> {
    let mut reader = Reader(json);
    reader.take(open)?;
    if reader.take(close).is_none() {
        loop {
            item(&mut reader)?;
            if reader.take(close).is_some() {
                break;
            }
            reader.take(b',')?;
        }
    }
    reader.skip_space();
    reader.0.is_empty().then_some(())
}

/// The rest of the input.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Takes the text of the next value.
    ///
    /// `serde_json` checks that it is JSON, at any depth, and its iterator finds the end.
    /// `IgnoredAny` adds no floating-point code, unlike all types that hold a value.
    fn value(&mut self) -> Option<&'a str> {
        self.skip_space();
        let mut values = serde_json::Deserializer::from_slice(self.0).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let (value, rest) = self.0.split_at_checked(values.byte_offset())?;
        self.0 = rest;
        core::str::from_utf8(value).ok()
    }

    fn take(&mut self, sign: u8) -> Option<()> {
        self.skip_space();
        let (_, rest) = self.0.split_first().filter(|(first, _)| **first == sign)?;
        self.0 = rest;
        Some(())
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }
}

impl<'a> Slot<'_, 'a> {
    fn fill(&mut self, json: &'a str) {
        match self {
            Self::Text(text) => **text = Text::parse(json).filter(|text| !text.0.is_empty()),
            Self::Number(number) => **number = json.trim_matches('"').parse().ok(),
            Self::Flag(flag) => **flag = json == "true",
            Self::Json(value) => **value = Some(json).filter(|json| *json != "null"),
        }
    }
}

impl<'a> Text<'a> {
    /// Parses a JSON string with its quotation marks. Returns `None` for a value of another type.
    pub(super) fn parse(json: &'a str) -> Option<Self> {
        let text = json.strip_prefix('"')?.strip_suffix('"')?;
        Some(Self(if text.contains('\\') { Cow::Owned(unescape(text)?) } else { Cow::Borrowed(text) }))
    }
}

/// Replaces the escapes in the text of a JSON string. Source: RFC 8259, section 7.
///
/// Returns `None` if an escape is an unpaired surrogate.
fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        plain.push(if next == '\\' { escaped(&mut rest)? } else { next });
    }
    Some(plain)
}

/// Reads the escape after a backslash.
fn escaped(rest: &mut Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = utf16(rest)?;
            if let Some(char) = char::from_u32(first.into()) {
                return Some(char);
            }
            // The first half of a surrogate pair.
            rest.next().filter(|next| *next == '\\')?;
            rest.next().filter(|next| *next == 'u')?;
            char::decode_utf16([first, utf16(rest)?]).next()?.ok()?
        }
        char => char,
    })
}

/// Reads four hexadecimal digits.
fn utf16(rest: &mut Chars<'_>) -> Option<u16> {
    let (digits, behind) = rest.as_str().split_at_checked(4)?;
    *rest = behind.chars();
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn assert_reads_as_serde(json: &str) {
        let expected = serde_json::from_str::<String>(json).ok();
        // The reader's input is JSON to the degree that serde checks strings that it skips.
        if serde_json::from_str::<IgnoredAny>(json).is_ok() {
            assert_eq!(Text::parse(json).map(|text| text.0.to_string()), expected, "{json}");
        }
    }

    #[test]
    fn every_escape_is_read_and_half_a_character_is_no_text() {
        for (json, text) in [
            (r#""\" \\ \/ \b \f \n \r \t""#, Some("\" \\ / \u{8} \u{c} \n \r \t")),
            (r#""\u00e9\u20AC""#, Some("é€")),
            (r#""\ud83d\ude00!""#, Some("😀!")),
            (r#""\ud83d""#, None),
            (r#""\ude00""#, None),
            (r#""\ud83d\n""#, None),
            (r#""\ud83dude00""#, None),
            (r#""\ud83d\u0041""#, None),
        ] {
            assert_eq!(Text::parse(json).as_ref().map(|text| &*text.0), text, "{json}");
            assert_reads_as_serde(json);
        }
    }

    #[test]
    fn space_of_every_kind_may_stand_around_every_token() {
        for space in [" ", "\t", "\r", "\n"] {
            let json =
                ["", "{", r#""status""#, ":", r#""assigned""#, ",", r#""n""#, ":", "[", "1", ",", "2", "]", "}", ""]
                    .join(space);
            let (mut status, mut n) = (None, None);
            let fields = &mut [("status", Slot::Text(&mut status)), ("n", Slot::Json(&mut n))];
            assert_eq!(read(json.as_bytes(), fields), Some(()), "{json:?}");
            assert_eq!(status.map(|text| text.0.into_owned()).as_deref(), Some("assigned"), "{json:?}");
            assert!(n.is_some_and(|n| n.starts_with('[') && n.ends_with(']')), "{json:?}");
        }
    }

    #[test]
    fn a_body_that_is_not_utf_8_is_none_wherever_that_stands() {
        assert!(read(b"{\"a\":\"\xFF\"}", &mut []).is_none());
        assert!(read(b"{\"\xFF\":1}", &mut []).is_none());
    }

    #[test]
    fn a_known_field_that_comes_twice_makes_the_body_none() {
        let mut a = None;
        assert!(read(br#"{"a":1,"\u0061":1}"#, &mut [("a", Slot::Json(&mut a))]).is_none());
        assert!(read(br#"{"b":1,"b":1}"#, &mut [("a", Slot::Json(&mut a))]).is_some());
    }
}

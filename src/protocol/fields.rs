//! Reads a JSON object by one function over a table of fields. Serde's derived code, one function for each type, needs more flash
//! and more stack, which a board has little of.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserializer, Serialize};
use serde_json::value::RawValue;

/// A string of an answer, borrowed unless it had to be unescaped. Never empty in a field.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// The place that the value of a field is read into.
pub(crate) enum Slot<'s, 'a> {
    Text(&'s mut Option<Text<'a>>),
    /// A number, in quotes or not.
    Number(&'s mut Option<u32>),
    /// Set by `true` alone.
    Flag(&'s mut bool),
    /// A value of any type but `null`, as it stands.
    Json(&'s mut Option<&'a RawValue>),
}

/// Reads these fields of an object, and nothing else of it; `None` where it is no object, or has one of them twice.
pub(crate) fn read<'a>(json: &'a [u8], fields: &mut [(&'static str, Slot<'_, 'a>)]) -> Option<()> {
    // A list would be taken for the fields in order.
    if !json.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(Fields { fields, seen: 0 }).ok()?;
    deserializer.end().ok()
}

struct Fields<'f, 's, 'a> {
    fields: &'f mut [(&'static str, Slot<'s, 'a>)],
    /// A bit for each field.
    seen: u32,
}

impl<'a> Visitor<'a> for Fields<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<(), M::Error> {
        while let Some(at) = map.next_key_seed(Name(self.fields))? {
            let Some((at, (_, slot))) = at.and_then(|at| Some((at, self.fields.get_mut(at)?))) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = u32::try_from(at).ok().and_then(|at| 1_u32.checked_shl(at)).unwrap_or_default();
            if self.seen & bit != 0 {
                return Err(M::Error::custom("a field comes twice"));
            }
            self.seen |= bit;
            slot.fill(map.next_value()?);
        }
        Ok(())
    }
}

/// Reads the name of a field, and returns its place in the table.
struct Name<'f, 's, 'a>(&'f [(&'static str, Slot<'s, 'a>)]);

impl<'a> DeserializeSeed<'a> for Name<'_, '_, 'a> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name<'_, '_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|(field, _)| *field == name))
    }
}

impl<'a> Slot<'_, 'a> {
    fn fill(&mut self, raw: &'a RawValue) {
        let json = raw.get();
        match self {
            Self::Text(text) => **text = Text::parse(json).filter(|text| !text.0.is_empty()),
            Self::Number(number) => **number = json.trim_matches('"').parse().ok(),
            Self::Flag(flag) => **flag = json == "true",
            Self::Json(value) => **value = Some(raw).filter(|_| json != "null"),
        }
    }
}

impl<'a> Text<'a> {
    /// Parses a JSON string, with its quotes; `None` for a value of another type.
    pub(super) fn parse(json: &'a str) -> Option<Self> {
        let text = json.strip_prefix('"')?.strip_suffix('"')?;
        let text = if text.contains('\\') {
            Cow::Owned(serde_json::from_str::<String>(json).ok()?)
        } else {
            Cow::Borrowed(text)
        };
        Some(Self(text))
    }
}

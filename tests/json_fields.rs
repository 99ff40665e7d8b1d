//! Compares the crate's JSON reader with that of serde.
#![allow(clippy::expect_used, reason = "a test may panic")]
#![allow(dead_code, unreachable_pub, unused_imports, reason = "a test uses a part of a private module")]

extern crate alloc;

#[path = "../src/protocol/fields.rs"]
mod fields;

use std::collections::BTreeMap;

use fields::{Text, list, read};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

fn assert_reads_as_serde(json: &str) {
    let expected = serde_json::from_str::<String>(json).ok();
    // `Text::parse` expects valid JSON, as far as serde checks strings that it skips.
    if serde_json::from_str::<IgnoredAny>(json).is_ok() {
        assert_eq!(Text::parse(json).map(|text| text.0.to_string()), expected, "{json}");
    }
}

proptest! {
    #[test]
    fn a_string_is_read_as_serde_reads_it(text: String, units: Vec<u16>, picked in r#"[\\"u/bd8c0-9a-f ]{0,24}"#) {
        assert_reads_as_serde(&serde_json::to_string(&text).expect("serializes"));
        assert_reads_as_serde(&format!("\"{}\"", units.iter().fold(String::new(), |text, unit| format!("{text}\\u{unit:04x}"))));
        assert_reads_as_serde(&format!("\"{picked}\""));
    }

    #[test]
    fn an_object_is_one_where_serde_takes_it_for_one(
        json in r#"[{]("[a\\]{0,2}"[ \t\r\n]{0,1}[:,]{0,1}[ \t\r\n]{0,1}(1|-|[0-9n"]{0,2}|"b"|\[\]|\{\})[ \t\r\n]{0,1},{0,1}){0,2}[}\] ]{0,2}"#,
    ) {
        let expected = serde_json::from_str::<BTreeMap<String, &RawValue>>(&json).is_ok();
        prop_assert_eq!(read(json.as_bytes(), &mut []).is_some(), expected, "{}", json);
    }

    #[test]
    fn a_list_is_one_where_serde_takes_it_for_one(
        json in r#"[\[]([ \t\r\n]{0,1}(1|-|n|"b"|\[\]|\{\})[ \t\r\n]{0,1},{0,1}){0,3}[}\] ]{0,2}"#,
    ) {
        let expected = serde_json::from_str::<Vec<&RawValue>>(&json).ok().map(|list| list.len());
        let mut items = 0;
        let read = list(json.as_bytes(), &mut |_| {
            items += 1;
            Some(())
        });
        prop_assert_eq!(read.map(|()| items), expected, "{}", json);
    }
}

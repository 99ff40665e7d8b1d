//! Tests WebSocket frames with bytes that arrive in parts of any length.
#![cfg(feature = "mqtt-websocket")]
#![allow(dead_code, unreachable_pub, unused_imports, reason = "a test uses a part of a private module")]

extern crate alloc;

#[path = "../src/transport/mqtt/frames.rs"]
mod frames;

use frames::{Frames, Misframed, Word};

/// Returns the content of these bytes, read in parts of this length.
fn unframe(mut frames: Frames, bytes: &[u8], part: usize) -> Result<(Vec<u8>, Vec<Word>), Misframed> {
    let (mut content, mut words) = (Vec::new(), Vec::new());
    for part in bytes.chunks(part) {
        let mut part = part.to_vec();
        let (kept, result) = frames.unframe(&mut part, &mut words);
        result?;
        content.extend(&part[..kept]);
    }
    Ok((content, words))
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_taken_or_refused_however_they_are_cut(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), part in 1_usize..300,
    ) {
        let whole = unframe(Frames::new(), &bytes, bytes.len().max(1));
        if let Ok((content, _)) = &whole {
            assert!(content.len() <= bytes.len());
        }
        // A close frame ends a whole, but not the parts behind it.
        if !matches!(&whole, Ok((_, words)) if matches!(words.last(), Some(Word::Close(_)))) {
            assert_eq!(unframe(Frames::new(), &bytes, part), whole);
        }
    }
}

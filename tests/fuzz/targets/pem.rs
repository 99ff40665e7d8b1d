//! Fuzzes roots from PEM: the result is one certificate per `BEGIN` line, or an error that contains
//! a line number and no content.
#![no_main]

use arbitrary::Arbitrary;
use azure_iot_dps::transport::{Roots, RootsError};
use libfuzzer_sys::fuzz_target;

/// A small certificate that is accepted as a root.
const ROOT: &str = include_str!("root.pem");

#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Root,
    Trusted,
    /// The root without the line with this number.
    Without(u8),
    Mark,
    Key,
}

fn count(bytes: &[u8], marker: &str) -> usize {
    bytes.windows(marker.len()).filter(|window| window == &marker.as_bytes()).count()
}

fuzz_target!(|pieces: Vec<Piece<'_>>| {
    let mut pem = Vec::new();
    for piece in pieces.iter().take(12) {
        match piece {
            Piece::Text(text) => pem.extend(text.bytes()),
            Piece::Bytes(bytes) => pem.extend(*bytes),
            Piece::Root => pem.extend(ROOT.bytes()),
            Piece::Trusted => pem.extend(ROOT.replace("CERTIFICATE", "TRUSTED CERTIFICATE").bytes()),
            Piece::Without(number) => {
                let lines =
                    ROOT.lines().enumerate().filter(|(line, _)| *line != usize::from(*number) % ROOT.lines().count());
                lines.for_each(|(_, line)| pem.extend(format!("{line}\n").bytes()));
            }
            Piece::Mark => pem.extend("\u{feff}".bytes()),
            Piece::Key => pem.extend(b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----\n"),
        }
    }
    let begins: usize =
        ["", "X509 "].iter().map(|kind| count(&pem, &format!("-----BEGIN {kind}CERTIFICATE-----"))).sum();
    let keys = count(&pem, "-----BEGIN PRIVATE KEY-----");
    match Roots::pem(&pem) {
        Ok(roots) => {
            let trusted = count(&pem, "-----BEGIN TRUSTED CERTIFICATE-----");
            assert_eq!((roots.certificates().count(), keys, trusted), (begins, 0, 0));
            assert!(begins > 0);
        }
        Err(error) => {
            let mut text = format!("{error} {error:?}");
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                text.extend([error.to_string(), format!("{error:?}")]);
                source = error.source();
            }
            assert!(!text.contains("c2VjcmV0") && !text.contains("secret"), "{text}");
            match error {
                RootsError::NoCertificate => assert_eq!((begins, keys), (0, 0)),
                RootsError::Pem { line, .. } => {
                    let ends = pem.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
                    assert!((1..=ends + 1).contains(&line), "{line}");
                }
                RootsError::Certificate { number, .. } => assert!((1..=begins).contains(&number), "{number}"),
                other => panic!("{other:?}"),
            }
        }
    }
});

//! Fuzzes certificate chains and keys with any text: the result is an error or a certificate, and
//! its text contains nothing of the key.
#![no_main]

use arbitrary::Arbitrary;
use azure_iot_dps::attestation::ClientCertificate;
use azure_iot_dps::time::UnixTime;
use libfuzzer_sys::fuzz_target;

const CHAIN: &str = include_str!("../../data/rsa/dev-ec.pem");
const KEY: &str = include_str!("../../data/rsa/dev-ec.sec1.key");

#[derive(Arbitrary, Debug)]
struct Input {
    chain: Vec<Piece>,
    key: Vec<Piece>,
    now: Option<u64>,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    Chain,
    Key,
    /// The chain or the key with some bytes replaced.
    Damaged {
        key: bool,
        at: u16,
        by: Vec<u8>,
    },
    Text(String),
}

fn text(pieces: &[Piece]) -> Vec<u8> {
    let mut text = Vec::new();
    for piece in pieces.iter().take(8) {
        match piece {
            Piece::Chain => text.extend(CHAIN.as_bytes()),
            Piece::Key => text.extend(KEY.as_bytes()),
            Piece::Damaged { key, at, by } => {
                let mut whole = if *key { KEY } else { CHAIN }.as_bytes().to_vec();
                let at = usize::from(*at) % whole.len();
                let end = (at + by.len()).min(whole.len());
                whole.splice(at..end, by.iter().copied());
                text.extend(whole);
            }
            Piece::Text(piece) => text.extend(piece.as_bytes()),
        }
    }
    text
}

fuzz_target!(|input: Input| {
    let (chain, key) = (text(&input.chain), text(&input.key));
    let told = match ClientCertificate::pem(&chain, &key) {
        Ok(certificate) => {
            assert!(certificate.chain().len() > 0);
            let _ = certificate.registration_id();
            let _ = certificate.notes(input.now.map(UnixTime::from_secs)).count();
            format!("{certificate:?}")
        }
        Err(error) => format!("{error} {error:?}"),
    };
    // No text contains a line of the key's base64.
    for line in KEY.lines().filter(|line| !line.starts_with('-')) {
        assert!(!told.contains(&line[..16]), "{told}");
    }
    let _ = ClientCertificate::der([chain.as_slice()], &key);
});

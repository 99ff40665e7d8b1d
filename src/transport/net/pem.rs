//! Reads all certificates of a PEM file, or returns an error that names the line.
//!
//! If only a part of a file were read, devices would fail to connect when the rest is needed.

use alloc::string::String;
use alloc::vec::Vec;

use crate::encoding::base64_decode;

const DASHES: &[u8] = b"-----";
const BEGIN: &[u8] = b"BEGIN ";
const END: &[u8] = b"END ";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The kind of an error in a PEM file. It holds nothing of the file's content.
///
/// ```
/// use azure_iot_dps::transport::{PemProblem, Roots, RootsError};
///
/// let result = Roots::pem(b"-----BEGIN CERTIFICATE-----\nMAMC");
/// assert!(matches!(result, Err(RootsError::Pem { line: 1, problem: PemProblem::Unpaired })));
/// assert_eq!(PemProblem::Base64.to_string(), "a certificate is not valid base64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemProblem {
    /// A marker, `BEGIN` or `END`, is not between five hyphens or not in capitals.
    #[error("a marker is not of the form -----BEGIN CERTIFICATE----- or -----END CERTIFICATE-----")]
    Marker,
    /// A block has no end, or an end has no beginning.
    #[error("a block has no BEGIN or no END marker; the file may be cut off")]
    Unpaired,
    /// The text between the markers is not base64.
    #[error("a certificate is not valid base64")]
    Base64,
    /// A `TRUSTED CERTIFICATE` of OpenSSL, whose trust settings may reject the certificate.
    #[error("a certificate has trust settings of OpenSSL; `openssl x509` writes it without them")]
    Trusted,
    /// The certificates are in an unsupported form, such as PKCS #7.
    #[error(
        "the certificates are in an unsupported form, such as PKCS #7; `openssl pkcs7 -print_certs` writes them as PEM"
    )]
    Form,
    /// The file has a private key.
    #[error("a private key was found where certificates are expected")]
    PrivateKey,
    /// The file is in UTF-16, which some Windows editors write.
    #[error("the file is in UTF-16; PEM is ASCII")]
    Utf16,
}

/// The number of a line, from 1, and its problem.
pub(super) type Fault = (usize, PemProblem);

/// Returns whether the bytes are meant to be PEM, which means that they contain a marker.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    is_utf16(bytes) || find_ignoring_case(bytes, b"-BEGIN ").is_some()
}

/// Returns all certificates in DER, one for each `BEGIN` line of a certificate.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    if is_utf16(bytes) {
        return Err((1, PemProblem::Utf16));
    }
    let mut rest = Rest { bytes, at: 0 };
    if bytes.starts_with(BYTE_ORDER_MARK) {
        rest.at = BYTE_ORDER_MARK.len();
    }
    let mut certificates = Vec::new();
    while let Some(marker) = rest.next_marker()? {
        let line = line_of(bytes, marker.at);
        if marker.ends {
            return Err((line, PemProblem::Unpaired));
        }
        let start = rest.at;
        let end = rest.next_marker()?.filter(|end| end.ends && end.label == marker.label);
        let end = end.ok_or((line, PemProblem::Unpaired))?;
        let text = bytes.get(start..end.at).unwrap_or_default();
        match marker.label {
            b"CERTIFICATE" | b"X509 CERTIFICATE" => certificates.push(decode(text, line)?),
            b"TRUSTED CERTIFICATE" => return Err((line, PemProblem::Trusted)),
            b"CERTIFICATE REQUEST" | b"NEW CERTIFICATE REQUEST" => {}
            label if find_ignoring_case(label, b"PRIVATE KEY").is_some() => return Err((line, PemProblem::PrivateKey)),
            label if [&b"CERTIFICATE"[..], b"PKCS", b"CMS"].iter().any(|form| find(label, form).is_some()) => {
                return Err((line, PemProblem::Form));
            }
            // Other blocks, such as revocation lists and parameters, are ignored.
            _ => {}
        }
    }
    Ok(certificates)
}

/// `-----BEGIN label-----` or `-----END label-----`.
struct Marker<'a> {
    /// The position of its first hyphen.
    at: usize,
    ends: bool,
    label: &'a [u8],
}

struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    /// Returns the next marker, which need not be at the start of a line.
    fn next_marker(&mut self) -> Result<Option<Marker<'a>>, Fault> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let [begins, ends] = [BEGIN, END].map(|word| find_ignoring_case(rest, word));
            let Some(offset) = begins.into_iter().chain(ends).min() else { return Ok(None) };
            let ends = begins != Some(offset);
            let word = if ends { END } else { BEGIN };
            let (before, found) = rest.split_at_checked(offset).unwrap_or_default();
            self.at = self.at.saturating_add(offset).saturating_add(word.len());
            // Other text may contain these words, as in `# the END of the old root`.
            let Some(last) = before.trim_ascii_end().last().filter(|last| **last == b'-' || !last.is_ascii()) else {
                continue;
            };
            let word_at = self.at.saturating_sub(word.len());
            let at = word_at.saturating_sub(DASHES.len());
            let fault = || (line_of(self.bytes, word_at), PemProblem::Marker);
            if *last != b'-' || !before.ends_with(DASHES) || !found.starts_with(word) {
                return Err(fault());
            }
            let label = found.get(word.len()..).unwrap_or_default();
            let length = find(label, DASHES).ok_or_else(fault)?;
            let label = label.get(..length).filter(|label| !label.contains(&b'\n')).ok_or_else(fault)?;
            self.at = self.at.saturating_add(length).saturating_add(DASHES.len());
            return Ok(Some(Marker { at, ends, label }));
        }
    }
}

fn decode(text: &[u8], line: usize) -> Result<Vec<u8>, Fault> {
    let symbols = text.iter().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| char::from(*byte));
    base64_decode(&symbols.collect::<String>()).ok_or((line, PemProblem::Base64))
}

fn is_utf16(bytes: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];
    marks.iter().any(|mark| bytes.starts_with(mark)) || find(bytes, b"-\0-\0-\0").is_some()
}

/// Returns the number of the line at this position. Lines end with LF, CRLF or CR.
fn line_of(bytes: &[u8], at: usize) -> usize {
    let before = bytes.get(..at).unwrap_or_default();
    let ends = before.iter().zip(before.iter().skip(1).map(Some).chain([None]));
    let lines = ends.filter(|(byte, next)| **byte == b'\n' || (**byte == b'\r' && *next != Some(&b'\n'))).count();
    lines.saturating_add(1)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn find_ignoring_case(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window.eq_ignore_ascii_case(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// Five bytes that look like DER, and their text.
    const DER: [u8; 5] = [0x30, 3, 2, 1, 9];
    const TEXT: &str = "MAMCAQk=";

    fn block(label: &str) -> String {
        format!("-----BEGIN {label}-----\n{TEXT}\n-----END {label}-----")
    }

    fn count(pem: &str) -> usize {
        let found = certificates(pem.as_bytes()).unwrap_or_else(|fault| panic!("{fault:?}: {pem}"));
        assert!(found.iter().all(|der| der == &DER), "{found:?}");
        found.len()
    }

    fn fault(pem: impl AsRef<[u8]>) -> Fault {
        certificates(pem.as_ref()).expect_err("it is damaged")
    }

    #[test]
    fn there_are_as_many_certificates_as_begin_lines() {
        let one = block("CERTIFICATE");
        assert_eq!(count(""), 0);
        assert_eq!(count("no PEM at all"), 0);
        for (two, what) in [
            (format!("{one}\n{one}\n"), "one after the other"),
            (format!("{one}{one}"), "glued"),
            (format!("\u{feff}{one}\n{one}"), "behind a byte order mark"),
            (format!("{one}\n{one}").replace('\n', "\r\n"), "CRLF"),
            (format!("{one}\n{one}").replace('\n', "\r"), "CR"),
            (format!("{one}\n{one}").replace('\n', "\n    "), "indented"),
            (format!("    {one}\n\t{one}"), "indented in part"),
            (format!("{one}\n{}", block("X509 CERTIFICATE")), "the old name"),
            (format!("# BEGINS here, the END of it below\n{one}\nsubject=CN = my-root\n{one}"), "comments"),
            (format!("{one}\n{}\n{one}\n{}", block("X509 CRL"), block("CERTIFICATE REQUEST")), "other blocks between"),
            (format!("{one} # old\n{one} # new"), "text behind"),
            (format!("{one}\n{}", one.replace("MAMC", "MA\n  MC ")), "broken lines"),
        ] {
            assert_eq!(count(&two), 2, "{what}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let one = block("CERTIFICATE");
        for (pem, line, problem) in [
            (one.replace("-----END CERTIFICATE-----", ""), 1, PemProblem::Unpaired),
            (format!("{one}\n{}", one.replace("-----END CERTIFICATE-----", "")), 4, PemProblem::Unpaired),
            (one.replace("-----BEGIN CERTIFICATE-----\n", "\n"), 3, PemProblem::Unpaired),
            (one.replace("END CERTIFICATE", "END X509 CERTIFICATE"), 1, PemProblem::Unpaired),
            (format!("# root\n{}\n{one}", "-----BEGIN CERTIFICATE-----\nMAMC"), 2, PemProblem::Unpaired),
            (format!("{one}\n\n{}", one.replace("-----BEGIN", "----BEGIN")), 5, PemProblem::Marker),
            (one.replace("-----BEGIN", "\u{2014}\u{2014}BEGIN"), 1, PemProblem::Marker),
            (one.replace("-----BEGIN", "---- BEGIN"), 1, PemProblem::Marker),
            (one.replace("BEGIN", "begin"), 1, PemProblem::Marker),
            (one.replace("CERTIFICATE-----\nMA", "CERTIFICATE----\nMA"), 1, PemProblem::Marker),
            (one.replace("END", "End"), 3, PemProblem::Marker),
            (format!("{one}\r\n{}", one.replace("MAMC", "MA!C")), 4, PemProblem::Base64),
            (one.replace("MAMCAQk=", "MAMCAQk"), 1, PemProblem::Base64),
            (format!("{one}\r{}", block("EC PRIVATE KEY")), 4, PemProblem::PrivateKey),
            (block("ENCRYPTED PRIVATE KEY"), 1, PemProblem::PrivateKey),
            (format!("{one}\n{}", block("TRUSTED CERTIFICATE")), 4, PemProblem::Trusted),
            (format!("{one}\n{}", block("PKCS7")), 4, PemProblem::Form),
            (block("CMS"), 1, PemProblem::Form),
            (block("ATTRIBUTE CERTIFICATE"), 1, PemProblem::Form),
            (one.replace("-----BEGIN", "# -----BEGIN").replace("\nMA", "\n# MA"), 1, PemProblem::Base64),
        ] {
            assert_eq!(fault(&pem), (line, problem), "{pem}");
        }
    }

    #[test]
    fn a_file_in_utf_16_is_named_as_one() {
        let text = block("CERTIFICATE");
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [&b"\xFF\xFE"[..], &little].concat();
        for bytes in [little, big, marked] {
            assert!(is_pem(&bytes));
            assert_eq!(fault(&bytes), (1, PemProblem::Utf16));
        }
    }

    #[test]
    fn der_is_no_pem_whatever_it_begins_with_and_pem_is_pem() {
        assert!(!is_pem(&DER) && !is_pem(b"0 looks like DER, is text") && !is_pem(b""));
        assert!(is_pem(b"0: a comment\n-----BEGIN CERTIFICATE-----"));
    }
}

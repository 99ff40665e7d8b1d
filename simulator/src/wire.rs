//! The encodings of the wire, by general crates.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use time::UtcDateTime;
use time::macros::format_description;

pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn base64_decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Every byte but the unreserved ones is encoded. Source: RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

pub(crate) fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The end of the year 9999, the last time that both formats can write.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// Formats a time since 1970 for the header `Date`.
pub(crate) fn http_date(unix: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH.checked_add(unix.min(LAST)).unwrap_or(UNIX_EPOCH))
}

/// Formats a time since 1970 with up to seven digits of fraction, without trailing zeros.
///
/// Examples: `2022-08-31T22:02:50.5163352Z`, `…36.949507Z`.
pub(crate) fn timestamp(unix: Duration) -> String {
    let unix = unix.min(LAST);
    let seconds = i64::try_from(unix.as_secs()).ok().and_then(|seconds| UtcDateTime::from_unix_timestamp(seconds).ok());
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let whole = seconds.and_then(|time| time.format(form).ok()).unwrap_or_default();
    let fraction = format!(".{:07}", unix.subsec_nanos() / 100);
    format!("{whole}{}Z", fraction.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_http_and_as_the_service_writes_it() {
        let new_year = Duration::from_secs(1_767_225_600);
        assert_eq!(http_date(new_year), "Thu, 01 Jan 2026 00:00:00 GMT");
        assert_eq!(timestamp(new_year), "2026-01-01T00:00:00Z");
        assert_eq!(timestamp(new_year + Duration::from_nanos(516_335_299)), "2026-01-01T00:00:00.5163352Z");
        assert_eq!(timestamp(new_year + Duration::from_micros(949_507)), "2026-01-01T00:00:00.949507Z");
        assert_eq!(http_date(Duration::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(timestamp(Duration::MAX), "9999-12-31T23:59:59Z");
    }
}

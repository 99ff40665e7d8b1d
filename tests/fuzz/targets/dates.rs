//! Compares `Date` and `Retry-After` with another parser of HTTP dates and with RFC 9110.
#![no_main]

use std::time::{Duration, SystemTime};

use azure_iot_dps::protocol::Response;
use azure_iot_dps::time::UnixTime;
use libfuzzer_sys::fuzz_target;

/// Parses a date with another parser.
fn other(text: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(text).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fuzz_target!(|input: (u64, &str)| {
    let (seconds, text) = input;
    let date =
        |text: &str| Response::new(200, &b""[..]).with_header("Date", text.to_owned()).date().map(UnixTime::as_secs);
    if let Some(ours) = date(text) {
        assert!(ours < 253_402_300_800, "{text:?} is beyond the year 9999");
        // The other parser accepts no leap seconds, and guesses the century of a two-digit year differently.
        if let Some(theirs) = other(text.trim())
            && !text.contains(":60")
        {
            let century = ours.abs_diff(theirs) % (36_525 * 86_400);
            assert!(ours == theirs || century < 2 * 86_400, "{text:?}: {ours} and {theirs}");
        }
    }
    // A date in the preferred format is read back.
    let seconds = seconds % 253_402_300_800;
    let written = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(date(&written), Some(seconds), "{written}");

    let retry_after = |text: &str| {
        let response = Response::new(429, &b""[..]).with_header("Date", written.clone());
        response.with_header("Retry-After", text.to_owned()).retry_after()
    };
    let digits = text.trim_ascii();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let expected = digits.parse().unwrap_or(u64::MAX);
        assert_eq!(retry_after(text), Some(Duration::from_secs(expected)), "{text:?}");
    } else {
        let expected = date(text).map(|then| Duration::from_secs(then.saturating_sub(seconds)));
        // Only one of the parsers accepts white space around a date.
        assert!(retry_after(text) == expected || text != text.trim_ascii(), "{text:?}");
    }
    assert_eq!(retry_after(&written), Some(Duration::ZERO));
});

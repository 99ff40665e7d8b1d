//! `Date` and `Retry-After` against another reader of HTTP dates, and against the rules of RFC 9110.
#![no_main]

use std::time::{Duration, SystemTime};

use azure_iot_dps::protocol::Response;
use azure_iot_dps::time::UnixTime;
use libfuzzer_sys::fuzz_target;

/// What another reader makes of it.
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
        // The other one takes no leap second, and guesses the century of two digits by another rule.
        if let Some(theirs) = other(text.trim())
            && !text.contains(":60")
        {
            let century = ours.abs_diff(theirs) % (36_525 * 86_400);
            assert!(ours == theirs || century < 2 * 86_400, "{text:?}: {ours} and {theirs}");
        }
    }
    // Whatever is written in the one form that is in use is read back.
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
        // A date with white space around it is one for the one and none for the other.
        assert!(retry_after(text) == expected || text != text.trim_ascii(), "{text:?}");
    }
    assert_eq!(retry_after(&written), Some(Duration::ZERO));
});

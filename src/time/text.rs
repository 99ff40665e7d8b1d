//! Text forms of time.
//!
//! HTTP uses `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7). The service's JSON uses
//! `2019-11-19T21:39:05.1573304Z` (RFC 3339, section 5.6).

use crate::time::{Civil, UnixTime};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Parses an `IMF-fixdate`, the form that every sender must use.
///
/// Does not check the day of the week against the date. Returns `None` for any other text,
/// including the two obsolete forms.
pub(crate) fn parse_http_date(text: &str) -> Option<UnixTime> {
    let (_, rest) = text.trim_ascii().split_once(',')?;
    let mut words = rest.strip_prefix(' ')?.split(' ');
    let mut next = || words.next();
    let (day, month, year, time, zone) = (next()?, next()?, next()?, next()?, next()?);
    if zone != "GMT" || words.next().is_some() {
        return None;
    }
    let month = MONTHS.iter().zip(1..).find_map(|(name, number)| (*name == month).then_some(number))?;
    let mut fields = time.split(':');
    let mut field = || fields.next().and_then(|field| digits(field, 2));
    let (hour, minute, second) = (field()?, field()?, field()?);
    if fields.next().is_some() {
        return None;
    }
    UnixTime::from_civil(Civil { year: digits(year, 4)?, month, day: digits(day, 2)?, hour, minute, second })
}

/// Parses a time in UTC in the service's form. Drops a fraction of a second.
pub(crate) fn parse_rfc3339(text: &str) -> Option<UnixTime> {
    let (date, time) = text.trim_ascii().strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut date = date.split('-');
    let mut next = |length| date.next().and_then(|field| digits(field, length));
    let (year, month, day) = (next(4)?, next(2)?, next(2)?);
    let mut clock = time.split(':');
    let mut next = || clock.next().and_then(|field| digits(field, 2));
    let (hour, minute, second) = (next()?, next()?, next()?);
    if date.next().is_some() || clock.next().is_some() {
        return None;
    }
    UnixTime::from_civil(Civil { year, month, day, hour, minute, second })
}

fn digits(text: &str, length: usize) -> Option<u64> {
    let right = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if right { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_the_rfc_is_read() {
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(UnixTime::from_secs(784_111_777)));
        assert_eq!(parse_http_date(" Thu, 01 Jan 1970 00:00:00 GMT "), Some(UnixTime::EPOCH));
    }

    #[test]
    fn what_is_not_a_fixdate_is_no_date() {
        for text in [
            "",
            "3",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "Sun, 06 Nov 1994 ٠٨:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_services_timestamps_are_read_with_and_without_a_fraction() {
        let time = UnixTime::from_secs(1_574_199_545);
        for text in ["2019-11-19T21:39:05.1573304Z", "2019-11-19T21:39:05Z", " 2019-11-19T21:39:05.9Z "] {
            assert_eq!(parse_rfc3339(text), Some(time), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_time_in_utc_is_no_time() {
        for text in [
            "",
            "Z",
            "2019-11-19",
            "2019-11-19T21:39:05",
            "2019-11-19T21:39:05+01:00",
            "2019-11-19T21:39:05.Z",
            "2019-11-19T21:39:05.xZ",
            "2019-11-19T21:39Z",
            "2019-11-19T21:39:05:00Z",
            "2019-11-19-01T21:39:05Z",
            "2019-13-19T21:39:05Z",
            "2019-11-31T21:39:05Z",
            "19-11-19T21:39:05Z",
            "99999999999999999999-11-19T21:39:05Z",
            "2019-11-19T21:39:05.157330\u{663}Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text:?}");
        }
    }
}

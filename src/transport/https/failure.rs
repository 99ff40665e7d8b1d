//! What ureq reports, in our words.

use std::io;

use rustls::CertificateError;
use ureq::Timeout;

use super::dns_cache::LOOKUP_FAILED;
use crate::error::{TransportError, TransportErrorKind as Kind};

/// `proxied`: the peer that was connected to is a proxy.
pub(super) fn explain(error: ureq::Error, proxied: bool) -> TransportError {
    let error = explain_direct(error);
    match error.kind() {
        Kind::NameNotResolved | Kind::CannotConnect if proxied => error.with_kind(Kind::Proxy),
        _ => error,
    }
}

/// Whether the peer went away without a word, as a connection does that died while it was kept, or cannot be connected to.
pub(super) fn is_lost(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => is_hang_up(error) || kind_of_io(error) == Kind::CannotConnect,
        error => kind_of(error) == Kind::CannotConnect,
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

fn explain_direct(error: ureq::Error) -> TransportError {
    match error {
        ureq::Error::Io(error) => TransportError::new(kind_of_io(&error)).with_source(error),
        ureq::Error::Rustls(error) => TransportError::new(kind_of_tls(&error)).with_source(error),
        error => TransportError::new(kind_of(&error)).with_source(error),
    }
}

fn kind_of(error: &ureq::Error) -> Kind {
    match error {
        ureq::Error::HostNotFound | ureq::Error::Timeout(Timeout::Resolve) => Kind::NameNotResolved,
        ureq::Error::ConnectionFailed | ureq::Error::Timeout(Timeout::Connect) => Kind::CannotConnect,
        ureq::Error::Timeout(_) => Kind::TimedOut,
        ureq::Error::Tls(_) | ureq::Error::TlsRequired => Kind::Tls,
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) => Kind::Proxy,
        ureq::Error::LargeResponseHeader(..) | ureq::Error::BodyExceedsLimit(_) => Kind::AnswerTooLarge,
        ureq::Error::Protocol(_) | ureq::Error::BodyStalled => Kind::AnswerBroken,
        _ => Kind::Other,
    }
}

fn kind_of_io(error: &io::Error) -> Kind {
    // rustls reports through `io::Error` as soon as the handshake runs.
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return kind_of_tls(error);
    }
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Kind::TimedOut,
        io::ErrorKind::InvalidData => Kind::AnswerBroken,
        _ if is_hang_up(error) => Kind::AnswerBroken,
        _ if is_lookup_failure(error) => Kind::NameNotResolved,
        _ => Kind::CannotConnect,
    }
}

/// The standard library has no error kind for a name that does not resolve, only these words (Unix) and codes (Windows).
fn is_lookup_failure(error: &io::Error) -> bool {
    use alloc::string::ToString;
    const WSA_NAME_ERRORS: core::ops::RangeInclusive<i32> = 11_001..=11_004;
    match error.raw_os_error() {
        Some(code) => cfg!(windows) && WSA_NAME_ERRORS.contains(&code),
        None => error.to_string().starts_with(LOOKUP_FAILED),
    }
}

fn kind_of_tls(error: &rustls::Error) -> Kind {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Kind::ClockNotSet,
        rustls::Error::InvalidCertificate(_) => Kind::CertificateNotTrusted,
        _ => Kind::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::UnixTime;

    fn kind(error: impl Into<ureq::Error>) -> Kind {
        explain(error.into(), false).kind()
    }

    #[test]
    fn every_failure_of_the_network_has_its_kind() {
        for (error, expected) in [
            (ureq::Error::HostNotFound, Kind::NameNotResolved),
            (ureq::Error::Timeout(Timeout::Resolve), Kind::NameNotResolved),
            (ureq::Error::Timeout(Timeout::Connect), Kind::CannotConnect),
            (ureq::Error::Timeout(Timeout::Global), Kind::TimedOut),
            (ureq::Error::Timeout(Timeout::RecvBody), Kind::TimedOut),
            (ureq::Error::ConnectionFailed, Kind::CannotConnect),
            (ureq::Error::Tls("x"), Kind::Tls),
            (ureq::Error::ConnectProxyFailed("407".into()), Kind::Proxy),
            (ureq::Error::LargeResponseHeader(2, 1), Kind::AnswerTooLarge),
            (ureq::Error::BodyExceedsLimit(1), Kind::AnswerTooLarge),
            (ureq::Error::BadUri("x".into()), Kind::Other),
        ] {
            assert_eq!(kind(error), expected);
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_reached_is_not_mistaken_for_the_service() {
        for error in [ureq::Error::HostNotFound, io::Error::from(io::ErrorKind::ConnectionRefused).into()] {
            assert_eq!(explain(error, true).kind(), Kind::Proxy);
        }
        assert_eq!(explain(ureq::Error::Timeout(Timeout::Global), true).kind(), Kind::TimedOut);
    }

    #[test]
    fn every_failure_of_a_socket_has_its_kind() {
        for (error, expected) in [
            (io::ErrorKind::ConnectionRefused, Kind::CannotConnect),
            (io::ErrorKind::NetworkUnreachable, Kind::CannotConnect),
            (io::ErrorKind::TimedOut, Kind::TimedOut),
            (io::ErrorKind::UnexpectedEof, Kind::AnswerBroken),
            (io::ErrorKind::ConnectionReset, Kind::AnswerBroken),
        ] {
            assert_eq!(kind(io::Error::from(error)), expected, "{error:?}");
        }
        assert_eq!(kind(io::Error::other("failed to lookup address information: Try again")), Kind::NameNotResolved);
    }

    #[test]
    fn a_certificate_from_the_future_means_that_the_clock_is_wrong() {
        let time = UnixTime::since_unix_epoch(core::time::Duration::ZERO);
        let early = [CertificateError::NotValidYet, CertificateError::NotValidYetContext { time, not_before: time }];
        for error in early.map(rustls::Error::InvalidCertificate) {
            assert_eq!(kind(error.clone()), Kind::ClockNotSet);
            assert_eq!(kind(io::Error::new(io::ErrorKind::InvalidData, error)), Kind::ClockNotSet);
        }
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(kind(io::Error::new(io::ErrorKind::InvalidData, unknown)), Kind::CertificateNotTrusted);
        assert_eq!(kind(rustls::Error::DecryptError), Kind::Tls);
    }
}

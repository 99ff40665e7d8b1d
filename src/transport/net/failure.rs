//! Translates the errors of sockets and of TLS into those of this crate.

use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::error::{TransportError, TransportErrorKind as Kind};

/// Explains an error of a connection that was open.
pub(in crate::transport) fn explain_io(error: io::Error) -> TransportError {
    TransportError::new(kind_of_io(&error)).with_source(error)
}

pub(super) fn explain_tls(error: rustls::Error) -> TransportError {
    TransportError::new(kind_of_tls(&error)).with_source(error)
}

/// A reason that the peer gave, or a violation by the peer. Only WebSocket has such reasons.
#[cfg(any(feature = "mqtt-websocket", feature = "x509"))]
#[cfg_attr(not(feature = "mqtt-websocket"), allow(dead_code, reason = "only WebSocket has reasons"))]
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::transport) struct Told(pub(in crate::transport) alloc::string::String);

/// Returns whether the peer hung up without a reason, as on a kept connection that died.
pub(in crate::transport) fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

fn kind_of_io(error: &io::Error) -> Kind {
    // During and after the handshake, rustls wraps its errors in `io::Error`.
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return kind_of_tls(error);
    }
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Kind::TimedOut,
        io::ErrorKind::InvalidData => Kind::AnswerBroken,
        _ if is_hang_up(error) => Kind::AnswerBroken,
        _ => Kind::CannotConnect,
    }
}

fn kind_of_tls(error: &rustls::Error) -> Kind {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Kind::ClockNotSet,
        rustls::Error::InvalidCertificate(_) => Kind::CertificateNotTrusted,
        rustls::Error::AlertReceived(alert) if is_about_certificate(*alert) => Kind::CertificateRefused,
        _ => Kind::Tls,
    }
}

/// Returns whether an alert is about its receiver's certificate. Source: RFC 8446, section 6.2.
fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateRequired
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::UnixTime;

    #[test]
    fn every_failure_of_a_socket_has_its_kind() {
        for (error, expected) in [
            (io::ErrorKind::ConnectionRefused, Kind::CannotConnect),
            (io::ErrorKind::NetworkUnreachable, Kind::CannotConnect),
            (io::ErrorKind::TimedOut, Kind::TimedOut),
            (io::ErrorKind::UnexpectedEof, Kind::AnswerBroken),
            (io::ErrorKind::ConnectionReset, Kind::AnswerBroken),
        ] {
            assert_eq!(explain_io(error.into()).kind(), expected, "{error:?}");
        }
    }

    #[test]
    fn an_alert_about_the_certificate_is_told_apart_from_any_other() {
        let kind = |alert| explain_tls(rustls::Error::AlertReceived(alert)).kind();
        for alert in [
            AlertDescription::BadCertificate,
            AlertDescription::UnsupportedCertificate,
            AlertDescription::CertificateRevoked,
            AlertDescription::CertificateExpired,
            AlertDescription::CertificateUnknown,
            AlertDescription::UnknownCA,
            AlertDescription::CertificateRequired,
        ] {
            assert_eq!(kind(alert), Kind::CertificateRefused, "{alert:?}");
        }
        for alert in
            [AlertDescription::HandshakeFailure, AlertDescription::ProtocolVersion, AlertDescription::InternalError]
        {
            assert_eq!(kind(alert), Kind::Tls, "{alert:?}");
        }
    }

    #[test]
    fn a_certificate_from_the_future_means_that_the_clock_is_wrong() {
        let kind = |error: rustls::Error| {
            let wrapped = explain_io(io::Error::new(io::ErrorKind::InvalidData, error.clone())).kind();
            assert_eq!(explain_tls(error).kind(), wrapped);
            wrapped
        };
        let time = UnixTime::since_unix_epoch(core::time::Duration::ZERO);
        let early = [CertificateError::NotValidYet, CertificateError::NotValidYetContext { time, not_before: time }];
        for error in early {
            assert_eq!(kind(rustls::Error::InvalidCertificate(error)), Kind::ClockNotSet);
        }
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(kind(unknown), Kind::CertificateNotTrusted);
        assert_eq!(kind(rustls::Error::DecryptError), Kind::Tls);
    }
}

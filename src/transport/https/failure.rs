//! Translates the errors of ureq into those of this crate.

use alloc::boxed::Box;
use core::error::Error;
use std::io;

use ureq::Timeout;

use crate::error::{TransportError, TransportErrorKind as Kind};
use crate::transport::net::{explain_io, is_hang_up};

/// Wraps an error of the connector in one of ureq, which returns it unchanged.
pub(super) fn carry(error: TransportError) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

pub(super) fn explain(error: ureq::Error) -> TransportError {
    match error {
        ureq::Error::Io(error) => explain_io(error),
        ureq::Error::Other(error) => match error.downcast::<TransportError>() {
            Ok(error) => *error,
            Err(error) => TransportError::new(Kind::Other).with_source(error),
        },
        error => TransportError::new(kind_of(&error)).with_source(error),
    }
}

/// Returns whether the connection is lost: the peer hung up without an answer, as on a kept
/// connection that died, or it cannot be reached.
pub(super) fn is_lost(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => is_hang_up(error),
        ureq::Error::Other(error) => error.downcast_ref::<TransportError>().is_some_and(|error| {
            let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            error.kind() == Kind::CannotConnect || source.is_some_and(is_hang_up)
        }),
        _ => false,
    }
}

fn kind_of(error: &ureq::Error) -> Kind {
    match error {
        ureq::Error::Timeout(Timeout::Connect) => Kind::CannotConnect,
        ureq::Error::Timeout(_) => Kind::TimedOut,
        ureq::Error::TlsRequired => Kind::Tls,
        ureq::Error::LargeResponseHeader(..) | ureq::Error::BodyExceedsLimit(_) => Kind::AnswerTooLarge,
        ureq::Error::Protocol(_) | ureq::Error::BodyStalled => Kind::AnswerBroken,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: impl Into<ureq::Error>) -> Kind {
        explain(error.into()).kind()
    }

    #[test]
    fn every_failure_of_http_has_its_kind() {
        for (error, expected) in [
            (ureq::Error::Timeout(Timeout::Global), Kind::TimedOut),
            (ureq::Error::Timeout(Timeout::RecvBody), Kind::TimedOut),
            (ureq::Error::TlsRequired, Kind::Tls),
            (ureq::Error::LargeResponseHeader(2, 1), Kind::AnswerTooLarge),
            (ureq::Error::BodyExceedsLimit(1), Kind::AnswerTooLarge),
            (ureq::Error::BadUri("x".into()), Kind::Other),
            (io::Error::from(io::ErrorKind::ConnectionReset).into(), Kind::AnswerBroken),
        ] {
            assert_eq!(kind(error), expected);
        }
    }

    #[test]
    fn an_error_of_the_connector_comes_through_as_it_was() {
        let error = || TransportError::new(Kind::Proxy).with_source("the proxy answered 407");
        let explained = explain(carry(error()));
        assert_eq!(explained.kind(), Kind::Proxy);
        assert_eq!(
            explained.source().map(alloc::string::ToString::to_string).as_deref(),
            Some("the proxy answered 407")
        );
        assert!(!is_lost(&carry(error())) && is_lost(&carry(Kind::CannotConnect.into())));
    }
}

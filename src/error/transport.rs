//! The errors of a transport.

use alloc::boxed::Box;
use alloc::string::ToString;
use core::fmt;
use core::time::Duration;

use crate::time::ceil_secs;

/// The kind of a [`TransportError`].
///
/// ```
/// use azure_iot_dps::error::TransportErrorKind;
///
/// assert!(TransportErrorKind::TimedOut.is_transient());
/// assert!(!TransportErrorKind::CertificateRefused.is_transient());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The host name could not be resolved.
    NameNotResolved,
    /// No connection was established: refused, no route, or no network.
    CannotConnect,
    /// The time limit passed.
    TimedOut,
    /// TLS failed for a reason other than the certificate.
    Tls,
    /// The peer's certificate is not trusted: wrong roots, wrong name, or expired.
    CertificateNotTrusted,
    /// The peer's certificate is not valid yet: the device's clock is wrong.
    ClockNotSet,
    /// The peer refused the client certificate in the handshake, or requires one. Final for the
    /// call.
    ///
    /// See [`Error::retry_after`](crate::Error::retry_after).
    CertificateRefused,
    /// The client certificate belongs to another device. Final.
    WrongCertificate,
    /// The proxy could not be reached, or could not reach the service.
    Proxy,
    /// The proxy refused the connection to the service, or the user name and password. Final for
    /// the call.
    ///
    /// See [`Error::retry_after`](crate::Error::retry_after).
    ProxyRefused,
    /// The service refused the MQTT connection for a reason other than the credentials, such as
    /// being unavailable.
    ConnectionRefused,
    /// TLS has no crypto provider: the feature `ring` is off, and the process has no default
    /// `CryptoProvider`. Final.
    NoCryptoProvider,
    /// The answer is larger than the transport accepts.
    AnswerTooLarge,
    /// The answer broke off or does not follow the protocol.
    AnswerBroken,
    /// The protocol has no such operation, such as a status lookup over MQTT. Final.
    Unsupported,
    /// Another error.
    Other,
}

impl TransportErrorKind {
    /// Returns whether the same request can succeed later. A registration retries transient errors.
    #[must_use]
    pub fn is_transient(self) -> bool {
        !matches!(
            self,
            Self::Unsupported
                | Self::CertificateRefused
                | Self::WrongCertificate
                | Self::ProxyRefused
                | Self::NoCryptoProvider
        )
    }
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameNotResolved => "the host name could not be resolved",
            Self::CannotConnect => "no connection could be made",
            Self::TimedOut => "no complete answer arrived in time",
            Self::Tls => "TLS failed",
            Self::CertificateNotTrusted => "the server's certificate is not trusted",
            Self::ClockNotSet => "the server's certificate is not valid yet: the device's clock is wrong",
            Self::CertificateRefused => "the server refused the client certificate, or requires one",
            Self::WrongCertificate => "the client certificate belongs to another device",
            Self::Proxy => "the proxy failed",
            Self::ProxyRefused => "the proxy refused the connection",
            Self::ConnectionRefused => "the service refused the MQTT connection",
            Self::NoCryptoProvider => "TLS has no crypto provider",
            Self::AnswerTooLarge => "the answer is too large",
            Self::AnswerBroken => "the answer broke off or does not follow the protocol",
            Self::Unsupported => "the transport's protocol has no such operation",
            Self::Other => "the transport failed",
        })
    }
}

/// The error of a transport: no complete answer arrived.
///
/// ```
/// use azure_iot_dps::error::{TransportError, TransportErrorKind};
///
/// // A transport over a modem reports that its AT+HTTPACTION timed out:
/// let error = TransportError::new(TransportErrorKind::TimedOut);
/// let error = error.with_source("+HTTPACTION: 1,601,0");
/// assert_eq!(error.to_string(), "no complete answer arrived in time");
/// ```
#[derive(Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    /// In seconds; 0 means none.
    retry_after: u32,
    source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl TransportError {
    /// Creates an error of this kind.
    #[must_use]
    pub fn new(kind: TransportErrorKind) -> Self {
        Self { kind, retry_after: 0, source: None }
    }

    /// Adds the cause: a driver's error or a text. It must not contain the request's token.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Adds the cause as text, for a type that does not implement [`Error`](core::error::Error).
    ///
    /// Many `no_std` crates have such types. The text must not contain the request's token.
    ///
    /// ```
    /// # #[derive(Debug)] struct SocketError;
    /// # impl core::fmt::Display for SocketError {
    /// #     fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
    /// #         f.write_str("reset")
    /// #     }
    /// # }
    /// use azure_iot_dps::error::{TransportError, TransportErrorKind};
    ///
    /// # let error = SocketError;
    /// let error = TransportError::new(TransportErrorKind::AnswerBroken).with_source_text(error);
    /// # let source = std::error::Error::source(&error).map(ToString::to_string);
    /// # assert_eq!(source.as_deref(), Some("reset"));
    /// ```
    #[must_use]
    pub fn with_source_text(self, source: impl fmt::Display) -> Self {
        self.with_source(source.to_string())
    }

    /// Adds the cause as its `Debug` text, for a type that has no other text.
    ///
    /// The text must not contain the request's token.
    #[must_use]
    pub fn with_source_debug(self, source: impl fmt::Debug) -> Self {
        self.with_source(alloc::format!("{source:?}"))
    }

    /// Changes the kind.
    #[cfg(all(feature = "proxy", any(feature = "https", feature = "mqtt")))]
    pub(crate) fn with_kind(self, kind: TransportErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// Returns the cause alone.
    #[cfg(any(all(feature = "x509", any(feature = "https", feature = "mqtt")), feature = "mqtt-websocket"))]
    pub(crate) fn into_source(self) -> Option<Box<dyn core::error::Error + Send + Sync>> {
        self.source
    }

    /// Sets the wait before the next call.
    pub(crate) fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: u32::try_from(ceil_secs(retry_after)).unwrap_or(u32::MAX), ..self }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        (self.retry_after > 0).then(|| Duration::from_secs(self.retry_after.into()))
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl core::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

impl From<TransportErrorKind> for TransportError {
    fn from(kind: TransportErrorKind) -> Self {
        Self::new(kind)
    }
}

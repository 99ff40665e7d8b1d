//! The remedies: one sentence for each kind of failure that tells a person what to do.

use crate::error::answer::UnexpectedAnswer;
use crate::error::service::{ServiceError, ServiceErrorKind};
use crate::error::transport::TransportErrorKind;

pub(super) const REPAIR: &str =
    "Repair the cause of the refusal, then wait for the time that the error names or forget the refusal.";
pub(super) const WAIT: &str = "Wait for the time that the error names, then call again.";

impl ServiceError {
    /// Returns one sentence that tells a person what to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        if self.clock_fault().is_some() {
            return "Set the device's clock, or let it be corrected by the service's time.";
        }
        if self.is_of_the_allocation() {
            return "Check the provisioning service's linked hubs and its allocation policy, then register again.";
        }
        match self.says() {
            None if self.kind() == ServiceErrorKind::Disabled => {
                "Enable the device's enrollment in the provisioning service."
            }
            None => "Check the provisioning service's linked hubs and its allocation policy, then register again.",
            Some(401) if self.is_by_certificate() => {
                "Check that the certificate's authority is verified in the enrollment, that its intermediates are sent \
                 with it, and that its common name is the registration ID."
            }
            Some(401) => {
                "Check that the key is this device's own (for an enrollment group, the one derived for this registration \
                 ID), the ID scope, and the device's clock; a key that was rolled may be refused for half an hour."
            }
            Some(403) => "Check that the enrollment may be used and that nothing blocks the device's network.",
            Some(404) => "Create an enrollment for this registration ID, or correct the ID scope.",
            Some(409 | 412) => {
                "Make sure that no other process registers this device at the same time, then call again."
            }
            Some(408 | 429) => {
                "Wait for the time that the error names, then call again; for a fleet, spread the first requests."
            }
            Some(500..) => "Wait for the time that the error names; if the error persists, check Azure's status.",
            Some(..=399) => {
                "Check the proxies and gateways between the device and the service: one of them redirects requests."
            }
            Some(_) => "Compare the registration ID, the payload and the endpoint with what the service expects.",
        }
    }
}

impl UnexpectedAnswer {
    /// Returns one sentence that tells a person what to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self.field() {
            Some(_) => {
                "Ask the operator of the provisioning service why it assigns this hub or device ID; quote the request ID."
            }
            None => {
                "Find out what answers instead of the service: a captive portal, a gateway, a proxy, or a wrong endpoint."
            }
        }
    }
}

impl TransportErrorKind {
    /// Returns one sentence that tells a person what to do.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::NameNotResolved => "Check the endpoint's name and the network's DNS.",
            Self::CannotConnect => "Check the network, its route to the service, and that no firewall closes the port.",
            Self::TimedOut => "Check the network's quality, and that no firewall drops the connection silently.",
            Self::Tls => "Check that no gateway on the way breaks TLS, and that the service supports TLS 1.2 or 1.3.",
            Self::CertificateNotTrusted => {
                "Check the trusted certificate authorities, the endpoint's name, and that no proxy inspects TLS."
            }
            Self::ClockNotSet => "Set the device's clock: by its time, the server's certificate is not valid yet.",
            Self::ConnectionRefused => {
                "Try again later; if the error persists, check that the host is a DPS endpoint that supports MQTT."
            }
            Self::CertificateRefused => {
                "Check that the certificate's authority is verified in the enrollment, and that its intermediates are sent with it."
            }
            Self::WrongCertificate => {
                "Use the certificate of this device, or the registration ID that is its common name."
            }
            Self::Proxy => "Check the proxy's address, and that it reaches the service.",
            Self::ProxyRefused => {
                "Check the proxy's user name and password, and that it lets the device connect to this host and port."
            }
            Self::NoCryptoProvider => {
                "Install a rustls crypto provider at the start of the program, or build azure-iot-dps with its feature `ring`."
            }
            Self::AnswerTooLarge => {
                "Find out what answers instead of the service, whose own answers are not that large."
            }
            Self::AnswerBroken => "Check the network, and that the endpoint is that of a provisioning service.",
            Self::Unsupported => "Use a transport whose protocol has this operation, such as HTTPS.",
            Self::Other => "Check the cause that the error names.",
        }
    }
}

//! The remedies: one sentence for each kind of failure that tells a person what to do.

use crate::error::answer::UnexpectedAnswer;
use crate::error::service::{ServiceError, ServiceErrorKind};
use crate::error::transport::TransportErrorKind;

pub(super) const REPAIR: &str = "Repair what the service refused the device for, then wait for the time that the error names or forget the refusal.";
pub(super) const WAIT: &str = "Wait for the time that the error names, then call again.";

impl ServiceError {
    /// Returns one sentence that tells a person what to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        if self.clock_fault().is_some() {
            return "Set the device's clock, or let it be corrected by the service's time.";
        }
        if self.is_of_the_allocation() {
            return "Look at the provisioning service's linked hubs and at its allocation policy, then register again.";
        }
        match self.says() {
            None if self.kind() == ServiceErrorKind::Disabled => {
                "Enable the device's enrollment in the provisioning service."
            }
            None => "Look at the provisioning service's linked hubs and at its allocation policy, then register again.",
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
            Some(500..) => "Wait for the time that the error names; if it persists, look at Azure's status.",
            Some(..=399) => "Check what stands between the device and the service: it redirects requests.",
            Some(_) => "Compare the registration ID, the payload and the endpoint with what the service expects.",
        }
    }
}

impl UnexpectedAnswer {
    /// Returns one sentence that tells a person what to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self.field() {
            Some(_) => "Ask whoever runs the provisioning service why it assigns this; quote the request ID.",
            None => {
                "Look for what answers in the service's place: a captive portal, a gateway, a proxy, or a wrong endpoint."
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
            Self::Tls => "Check for a device between that breaks TLS, and that the service speaks TLS 1.2 or 1.3.",
            Self::CertificateNotTrusted => {
                "Check the trusted certificate authorities, the endpoint's name, and that no proxy inspects TLS."
            }
            Self::ClockNotSet => "Set the device's clock: the server's certificate is not valid yet by it.",
            Self::ConnectionRefused => {
                "Try again later; if it stays, check that the host is a DPS endpoint that speaks MQTT."
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
            Self::AnswerTooLarge => "Look for what answers in the service's place: its own answers are not that large.",
            Self::AnswerBroken => "Check the network, and that the endpoint is that of a provisioning service.",
            Self::Unsupported => "Use a transport whose protocol has this operation, such as HTTPS.",
            Self::Other => "Look at the cause that the error names.",
        }
    }
}

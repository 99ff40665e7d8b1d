//! The result of a registration: the hub, the device ID, and other data from the service.
//!
//! An [`Assignment`] comes from a registration, a status lookup, or a store
//! ([`AssignmentStore`](crate::hub::AssignmentStore)).

mod certificate_info;
mod kinds;
mod payload;
mod serde_form;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

pub use certificate_info::CertificateInfo;
pub use kinds::{ConnectionProfile, Substatus};
use payload::PayloadText;
pub use payload::{JsonError, PayloadError};
use serde::Deserialize;

use crate::attestation::KeySlot;
use crate::encoding::{base64_decode, base64_encode};
use crate::identity::{DeviceId, HubName, NameError, RegistrationId};
use crate::protocol::json::{ObjectWriter, RegistrationState, Text};
use crate::time::{ClockCorrection, Now, UnixTime};

/// A device's assignment to an IoT hub.
///
/// It has the size of one pointer, so that functions which return it need little stack.
///
/// Two assignments are equal if the service's data and the key are. What belongs to one run does
/// not count: [`requests`](Self::requests), [`request_id`](Self::request_id) and
/// [`clock_correction`](Self::clock_correction). Use [`is_same_hub`](Self::is_same_hub) to find out
/// whether a device has moved.
///
#[doc = include_str!("example.md")]
#[derive(Clone, PartialEq, Eq)]
pub struct Assignment(Box<Facts>);

/// The content of an assignment.
#[derive(Clone, PartialEq, Eq)]
struct Facts {
    hub: HubName,
    device_id: DeviceId,
    registration_id: RegistrationId,
    substatus: Option<Substatus>,
    created_at: Option<Box<str>>,
    updated_at: Option<Box<str>>,
    etag: Option<Box<str>>,
    enrollment_group_id: Option<Box<str>>,
    certificate_info: Option<Box<CertificateInfo>>,
    payload: Option<PayloadText>,
    connection_profile: ConnectionProfile,
    certificates: Vec<Box<[u8]>>,
    run: Run,
}

/// What the registration itself learned, in addition to the service's data.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) requests: u32,
    pub(crate) request_id: Option<Box<str>>,
    /// `None` if the device proved its identity with a certificate.
    pub(crate) key_used: Option<KeySlot>,
    pub(crate) clock_correction: Option<ClockCorrection>,
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.key_used == other.key_used
    }
}

impl Eq for Run {}

/// The reason why an assignment by the service cannot be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unusable {
    /// The name of the field in the service's JSON.
    pub(crate) field: &'static str,
    pub(crate) problem: &'static str,
}

impl Assignment {
    /// Accepts any assignment, unless the hub or the device ID is missing or would break a header,
    /// a path or a log line, or a certificate is not base64.
    pub(crate) fn from_json(
        state: &RegistrationState<'_>,
        registration_id: &RegistrationId,
        run: Run,
    ) -> Result<Self, Unusable> {
        const MISSING: &str = "it is missing";
        let text = |field: &Option<Text<'_>>| field.as_ref().map(|text| Box::from(&*text.0));
        let unusable = |field, problem| Unusable { field, problem };
        let name = |field, _: NameError| unusable(field, "it is not a valid name");
        let hub = state.assigned_hub.as_ref().ok_or(unusable("assignedHub", MISSING))?;
        let device_id = state.device_id.as_ref().ok_or(unusable("deviceId", MISSING))?;
        let chain = state.issued_certificate_chain.iter().flatten();
        let certificates = chain.map(|der| base64_decode(&der.0).map(Vec::into_boxed_slice));
        let certificates: Option<Vec<_>> = certificates.collect();
        let profile = state.connection_profile.as_ref();
        let x509 = state.x509.as_ref();
        let of_certificate = x509.map(|x509| &x509.enrollment_group_id);
        let group = state.symmetric_key.as_ref().map(|key| &key.enrollment_group_id).or(of_certificate);
        Ok(Self(Box::new(Facts {
            hub: HubName::new(&*hub.0).map_err(|error| name("assignedHub", error))?,
            device_id: DeviceId::assigned(&device_id.0).map_err(|error| name("deviceId", error))?,
            registration_id: registration_id.clone(),
            substatus: state.substatus.as_ref().map(|text| Substatus::from_json(&text.0)),
            created_at: text(&state.created_date_time_utc),
            updated_at: text(&state.last_updated_date_time_utc),
            etag: text(&state.etag),
            enrollment_group_id: group.and_then(text),
            certificate_info: x509
                .and_then(|x509| x509.certificate_info.as_ref())
                .map(CertificateInfo::from_json)
                .map(Box::new),
            payload: state.payload.map(PayloadText::from),
            connection_profile: profile
                .map_or(ConnectionProfile::Classic, |text| ConnectionProfile::from_json(&text.0)),
            certificates: certificates.ok_or(unusable("issuedCertificateChain", "a certificate is not base64"))?,
            run,
        })))
    }

    /// Writes the JSON fields as the service does.
    pub(crate) fn write(&self, state: &mut ObjectWriter) {
        let Facts { hub, device_id, substatus, payload, connection_profile, certificates, .. } = &*self.0;
        state.text("assignedHub", Some(hub.as_str()));
        state.text("deviceId", Some(device_id.as_str()));
        state.text("status", Some("assigned"));
        state.text("substatus", substatus.as_ref().map(Substatus::as_str));
        state.text("createdDateTimeUtc", self.created_at());
        state.text("lastUpdatedDateTimeUtc", self.updated_at());
        state.text("etag", self.etag());
        // The payload was valid JSON when it was received.
        state.json("payload", payload.as_ref().map(PayloadText::as_str));
        let group = |of: &mut ObjectWriter| of.text("enrollmentGroupId", self.enrollment_group_id());
        match self.certificate_info() {
            Some(info) => state.object("x509", |x509| {
                x509.object("certificateInfo", |certificate| info.write(certificate));
                group(x509);
            }),
            None if self.enrollment_group_id().is_some() => state.object("symmetricKey", group),
            None => {}
        }
        if *connection_profile != ConnectionProfile::Classic {
            state.text("connectionProfile", Some(connection_profile.as_str()));
        }
        if !certificates.is_empty() {
            state.texts("issuedCertificateChain", certificates.iter().map(|der| base64_encode(der)));
        }
    }

    /// Returns the hub that the device is assigned to.
    #[must_use]
    pub fn hub(&self) -> &HubName {
        &self.0.hub
    }

    /// Returns the device's ID in that hub.
    #[must_use]
    pub fn device_id(&self) -> &DeviceId {
        &self.0.device_id
    }

    /// Returns the registration ID that was registered.
    #[must_use]
    pub fn registration_id(&self) -> &RegistrationId {
        &self.0.registration_id
    }

    /// Returns the cause of this assignment, if the service reports it.
    #[must_use]
    pub fn substatus(&self) -> Option<&Substatus> {
        self.0.substatus.as_ref()
    }

    /// Returns the service's time of the registration, such as `2022-08-31T22:02:50.5163352Z`.
    #[must_use]
    pub fn created_at(&self) -> Option<&str> {
        self.0.created_at.as_deref()
    }

    /// Returns the service's time of the last change.
    #[must_use]
    pub fn updated_at(&self) -> Option<&str> {
        self.0.updated_at.as_deref()
    }

    /// Returns the entity tag of the registration record.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.0.etag.as_deref()
    }

    /// Returns the device's enrollment group, if the service reports one.
    #[must_use]
    pub fn enrollment_group_id(&self) -> Option<&str> {
        self.0.enrollment_group_id.as_deref()
    }

    /// Returns the device's certificate, if the service reports one.
    #[must_use]
    pub fn certificate_info(&self) -> Option<&CertificateInfo> {
        self.0.certificate_info.as_deref()
    }

    /// Returns the payload of a custom allocation policy as a `T`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// Returns [`PayloadError::Type`] if the payload does not have the type `T`.
    pub fn payload<'de, T: Deserialize<'de>>(&'de self) -> Result<Option<T>, PayloadError> {
        self.payload_json()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| PayloadError::Type(JsonError::new(&error)))
    }

    /// Returns whether both have the same hub, device ID and key.
    ///
    /// If so, a connection to the hub and its credentials can be kept.
    #[must_use]
    pub fn is_same_hub(&self, other: &Self) -> bool {
        (&self.0.hub, &self.0.device_id, self.0.run.key_used)
            == (&other.0.hub, &other.0.device_id, other.0.run.key_used)
    }

    /// Takes the certificates of a stored assignment, which a lookup does not return.
    pub(crate) fn with_certificates_of(mut self, stored: Self) -> Self {
        if self.0.certificates.is_empty() {
            self.0.certificates = stored.0.certificates;
        }
        self
    }

    /// Returns the issued certificates as DER, leaf first. Empty without a signing request.
    #[must_use]
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.certificates.iter().map(|der| &**der)
    }

    /// Returns the kind of connection that the hub expects. Default: `classic`.
    ///
    /// Source: the device API's preview 2026-11-02.
    #[must_use]
    pub fn connection_profile(&self) -> &ConnectionProfile {
        &self.0.connection_profile
    }

    /// Returns the number of requests that the registration sent.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.0.run.requests
    }

    /// Returns the service's ID of the last request, its `x-ms-request-id`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.run.request_id.as_deref()
    }

    /// Returns the key that the service accepted, or `None` for a certificate.
    #[must_use]
    pub fn key_used(&self) -> Option<KeySlot> {
        self.0.run.key_used
    }

    /// Returns the correction of the device's clock, if that was wrong or missing.
    #[must_use]
    pub fn clock_correction(&self) -> Option<ClockCorrection> {
        self.0.run.clock_correction
    }

    /// Returns the current time, or `None` if it is not known.
    ///
    /// It is the service's time if the registration found the device's clock wrong or missing, and
    /// `now.unix` if not or once the clock is set. `now` must be from the registration's clock.
    #[must_use]
    pub fn time_at(&self, now: Now) -> Option<UnixTime> {
        let correction = self.0.run.clock_correction.filter(|correction| correction.still_holds(now));
        correction.map(|correction| correction.time_at(now.uptime)).or(now.unix)
    }

    /// Returns the payload of a custom allocation policy as JSON text.
    #[must_use]
    pub fn payload_json(&self) -> Option<&str> {
        self.0.payload.as_ref().map(PayloadText::as_str)
    }
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Destructured completely, so that no field is forgotten.
        let Facts {
            hub,
            device_id,
            registration_id,
            substatus,
            created_at,
            updated_at,
            etag,
            enrollment_group_id,
            certificate_info,
            payload,
            connection_profile,
            certificates,
            run,
        } = &*self.0;
        f.debug_struct("Assignment")
            .field("hub", hub)
            .field("device_id", device_id)
            .field("registration_id", registration_id)
            .field("substatus", substatus)
            .field("created_at", created_at)
            .field("updated_at", updated_at)
            .field("etag", etag)
            .field("enrollment_group_id", enrollment_group_id)
            .field("certificate_info", certificate_info)
            .field("payload", payload)
            .field("connection_profile", connection_profile)
            .field("certificates", certificates)
            .field("run", run)
            .finish()
    }
}

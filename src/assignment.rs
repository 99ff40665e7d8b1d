//! What a device gets: its hub, its name there, and what the service tells about it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;

use crate::encoding::{base64_decode, base64_encode};
use crate::identity::{DeviceId, HostName, RegistrationId};
use crate::protocol::wire::{RegistrationState, SymmetricKey, Text};
use crate::time::{ClockCorrection, Now, UnixTime};

/// A device's assignment to an IoT hub.
#[derive(Clone, Debug)]
pub struct Assignment {
    hub: HostName,
    device_id: DeviceId,
    registration_id: RegistrationId,
    substatus: Option<Substatus>,
    created_at: Option<Box<str>>,
    updated_at: Option<Box<str>>,
    etag: Option<Box<str>>,
    enrollment_group_id: Option<Box<str>>,
    payload: Option<Box<str>>,
    certificates: Vec<Box<[u8]>>,
    run: Run,
}

/// What the registration itself learnt, apart from what the service told.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) requests: u32,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) key_used: KeyUsed,
    pub(crate) clock_correction: Option<ClockCorrection>,
}

/// Which of an enrollment's two keys let the device in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyUsed {
    /// The one that was given first.
    #[default]
    Primary,
    /// The other one.
    Secondary,
}

impl KeyUsed {
    /// Of two keys' signers, this one's; the first where there is no second.
    pub(crate) fn of<T>(self, first: T, second: Option<T>) -> T {
        match (self, second) {
            (Self::Secondary, Some(second)) => second,
            _ => first,
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }
}

impl Assignment {
    /// `None` where the hub or the device ID is missing or is no such name, or a certificate is not base64.
    pub(crate) fn from_wire(state: &RegistrationState<'_>, registration_id: &RegistrationId, run: Run) -> Option<Self> {
        let text = |field: &Option<Text<'_>>| field.as_ref().map(|text| Box::from(&*text.0));
        let group = state.symmetric_key.as_ref().and_then(|key| text(&key.enrollment_group_id));
        let chain = state.issued_certificate_chain.iter().flatten();
        let certificates = chain.map(|der| Some(base64_decode(&der.0)?.into())).collect::<Option<Vec<_>>>()?;
        Some(Self {
            hub: HostName::new(&*state.assigned_hub.as_ref()?.0).ok()?,
            device_id: DeviceId::new(&*state.device_id.as_ref()?.0).ok()?,
            registration_id: registration_id.clone(),
            substatus: state.substatus.as_ref().map(|text| Substatus::from_wire(&text.0)),
            created_at: text(&state.created_date_time_utc),
            updated_at: text(&state.last_updated_date_time_utc),
            etag: text(&state.etag),
            enrollment_group_id: group,
            payload: state.payload.map(|json| json.get().into()),
            certificates,
            run,
        })
    }

    /// As the service writes it.
    pub(crate) fn to_wire(&self) -> RegistrationState<'_> {
        let text = |text| Text(Cow::Borrowed(text));
        let certificates = self.certificates.iter().map(|der| Text(base64_encode(der).into()));
        RegistrationState {
            assigned_hub: Some(text(self.hub.as_str())),
            device_id: Some(text(self.device_id.as_str())),
            status: Some(text("assigned")),
            substatus: self.substatus.as_ref().map(|substatus| text(substatus.as_str())),
            created_date_time_utc: self.created_at().map(text),
            last_updated_date_time_utc: self.updated_at().map(text),
            etag: self.etag().map(text),
            // It was JSON when it came.
            payload: self.payload_json().and_then(|json| serde_json::from_str(json).ok()),
            symmetric_key: self.enrollment_group_id().map(|id| SymmetricKey { enrollment_group_id: Some(text(id)) }),
            error_code: None,
            error_message: None,
            issued_certificate_chain: (!self.certificates.is_empty()).then(|| certificates.collect()),
        }
    }

    /// The host name of the hub that the device belongs to from now on.
    #[must_use]
    pub fn hub(&self) -> &HostName {
        &self.hub
    }

    /// The device's name in that hub.
    #[must_use]
    pub fn device_id(&self) -> &DeviceId {
        &self.device_id
    }

    /// The registration ID that was registered.
    #[must_use]
    pub fn registration_id(&self) -> &RegistrationId {
        &self.registration_id
    }

    /// How this assignment came about, where the service tells.
    #[must_use]
    pub fn substatus(&self) -> Option<&Substatus> {
        self.substatus.as_ref()
    }

    /// When the registration was made, as the service writes it, `2022-08-31T22:02:50.5163352Z`.
    #[must_use]
    pub fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    /// When it was last changed, as the service writes it.
    #[must_use]
    pub fn updated_at(&self) -> Option<&str> {
        self.updated_at.as_deref()
    }

    /// The entity tag of the registration record.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// The enrollment group through which the device was let in, where the service tells.
    #[must_use]
    pub fn enrollment_group_id(&self) -> Option<&str> {
        self.enrollment_group_id.as_deref()
    }

    /// What a custom allocation policy had to tell the device, as any type; `None` where it had nothing to tell.
    ///
    /// # Errors
    ///
    /// The payload is not of that type.
    pub fn payload<'de, T: Deserialize<'de>>(&'de self) -> Result<Option<T>, PayloadError> {
        self.payload
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| PayloadError::Type(JsonError(error)))
    }

    /// The certificates that were issued for the device's signing request, as DER, leaf first; none if there was no request.
    #[must_use]
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.certificates.iter().map(|der| &**der)
    }

    /// How many requests it took.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.run.requests
    }

    /// The service's ID of the last request, its `x-ms-request-id`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.run.request_id.as_deref()
    }

    /// Which key let the device in.
    #[must_use]
    pub fn key_used(&self) -> KeyUsed {
        self.run.key_used
    }

    /// What the service told about the time, if the device's clock was wrong or missing: the device may set its clock by it.
    #[must_use]
    pub fn clock_correction(&self) -> Option<ClockCorrection> {
        self.run.clock_correction
    }

    /// What time it is now: by the service's clock, if the device's own was found wrong or missing in this registration and has
    /// not been set since, or else by the device's own. `None` where nobody knows.
    ///
    /// `now` is of the same clock that the registration went by.
    #[must_use]
    pub fn time_at(&self, now: Now) -> Option<UnixTime> {
        let correction = self.run.clock_correction.filter(|correction| correction.still_holds(now));
        correction.map(|correction| correction.time_at(now.uptime)).or(now.unix)
    }

    /// The same payload as JSON text.
    #[must_use]
    pub fn payload_json(&self) -> Option<&str> {
        self.payload.as_deref()
    }
}

/// How an assignment came about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Substatus {
    /// The device was assigned for the first time.
    InitialAssignment,
    /// The device was moved to another hub, and its data was moved with it.
    DeviceDataMigrated,
    /// The device was moved to another hub, and its data was set back to what the enrollment says.
    DeviceDataReset,
    /// The device was moved back to the hub that it was first assigned to.
    ReprovisionedToInitialAssignment,
    /// One that came after this was written.
    Other(Box<str>),
}

impl Substatus {
    fn from_wire(text: &str) -> Self {
        let known = [
            Self::InitialAssignment,
            Self::DeviceDataMigrated,
            Self::DeviceDataReset,
            Self::ReprovisionedToInitialAssignment,
        ];
        known.into_iter().find(|it| it.as_str() == text).unwrap_or_else(|| Self::Other(text.into()))
    }

    /// As the service writes it, `initialAssignment`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::InitialAssignment => "initialAssignment",
            Self::DeviceDataMigrated => "deviceDataMigrated",
            Self::DeviceDataReset => "deviceDataReset",
            Self::ReprovisionedToInitialAssignment => "reprovisionedToInitialAssignment",
            Self::Other(text) => text,
        }
    }
}

impl fmt::Display for Substatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A payload could not be sent, or is not of the type that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The value cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Serialize(#[source] JsonError),
    /// The text is not JSON.
    #[error("the payload is not JSON")]
    Syntax(#[source] JsonError),
    /// The payload is JSON, but not of the type that was asked for.
    #[error("the payload is not of the type that was asked for")]
    Type(#[source] JsonError),
    /// The register request would be larger than the service takes.
    #[error("with this payload the register request has {length} bytes; the service takes {limit}")]
    TooLarge {
        /// The length of the request's body in bytes.
        length: usize,
        /// The most bytes that the service takes.
        limit: usize,
    },
}

/// What is wrong with a piece of JSON, and where.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct JsonError(pub(crate) serde_json::Error);

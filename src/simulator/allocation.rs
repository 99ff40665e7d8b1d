//! Which hub a device gets.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

use crate::assignment::{JsonError, PayloadError};
use crate::identity::{HostName, RegistrationId};

/// What a custom allocation policy is asked.
#[derive(Clone, Copy, Debug)]
pub struct AllocationRequest<'a> {
    pub(super) registration_id: &'a RegistrationId,
    pub(super) payload: Option<&'a RawValue>,
    pub(super) hubs: &'a [HostName],
}

impl<'a> AllocationRequest<'a> {
    /// The device that registers.
    #[must_use]
    pub fn registration_id(&self) -> &'a RegistrationId {
        self.registration_id
    }

    /// What the device had to tell, as JSON text.
    #[must_use]
    pub fn payload_json(&self) -> Option<&'a str> {
        self.payload.map(RawValue::get)
    }

    /// The linked hubs.
    #[must_use]
    pub fn hubs(&self) -> &'a [HostName] {
        self.hubs
    }
}

/// What a custom allocation policy answers.
#[derive(Clone, Debug)]
pub struct Allocation {
    pub(super) outcome: Result<HostName, Failure>,
    pub(super) payload: Option<Box<RawValue>>,
}

/// Why no hub was found for a device.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: u32,
    pub(super) message: String,
}

impl Allocation {
    /// This hub.
    #[must_use]
    pub fn hub(hub: HostName) -> Self {
        Self { outcome: Ok(hub), payload: None }
    }

    /// No hub: the registration ends with the status `failed`, this error code (the service has 400208 and 400209 for a
    /// webhook that fails) and this message.
    #[must_use]
    pub fn failed(code: u32, message: &str) -> Self {
        Self { outcome: Err(Failure { code, message: message.into() }), payload: None }
    }

    /// With something to tell the device.
    ///
    /// # Errors
    ///
    /// The value cannot be written as JSON.
    pub fn payload<T: Serialize + ?Sized>(self, payload: &T) -> Result<Self, PayloadError> {
        let payload = to_raw_value(payload).map_err(|error| PayloadError::Serialize(JsonError::new(&error)))?;
        Ok(Self { payload: Some(payload), ..self })
    }
}

type Webhook = dyn Fn(&AllocationRequest<'_>) -> Allocation + Send + Sync;

/// How devices are spread over the linked hubs.
#[derive(Clone)]
pub(super) enum Policy {
    /// By a stable hash: evenly, and the same for the same device each time.
    Even,
    Custom(Arc<Webhook>),
}

impl Policy {
    pub(super) fn allocate(&self, request: &AllocationRequest<'_>) -> Allocation {
        match self {
            Self::Custom(webhook) => webhook(request),
            Self::Even => {
                let key = request.registration_id.as_str().to_ascii_lowercase();
                let [first, second, ..] = <[u8; 32]>::from(Sha256::digest(key));
                let hub = request.hubs.iter().cycle().nth(usize::from(u16::from_be_bytes([first, second])));
                hub.map_or_else(|| Allocation::failed(400_209, "No hub is linked."), |hub| Allocation::hub(hub.clone()))
            }
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Even => "Even",
            Self::Custom(_) => "Custom",
        })
    }
}

//! The allocation of devices to hubs.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use azure_iot_dps::identity::{HostName, RegistrationId};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

/// The input of a custom allocation policy.
///
/// ```
/// use azure_iot_dps::identity::HostName;
/// use azure_iot_dps_simulator::{Allocation, AllocationRequest, Simulator};
/// # use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId};
///
/// fn allocate(request: &AllocationRequest<'_>) -> Allocation {
///     let is_large = request.payload_json().is_some_and(|json| json.contains("large"));
///     match request.hubs() {
///         [_, large] if is_large => Allocation::hub(large.clone()),
///         [small, ..] => Allocation::hub(small.clone()),
///         [] => Allocation::failed(400_209, "No hub is linked."),
///     }
/// }
///
/// let builder = Simulator::builder().hub(HostName::new("small.example")?);
/// let sim = builder.hub(HostName::new("large.example")?).allocation(allocate).build();
/// # let id = RegistrationId::new("my-device")?;
/// # let key = DeviceKey::from_base64(&sim.device_key(&id).ok_or("no key")?)?;
/// # let client = ProvisioningClient::builder(sim.id_scope(), id, key);
/// let client = client.payload(&serde_json::json!({ "size": "large" }))?;
/// let assignment = client.build_with(sim.transport(), sim.clock()).register()?;
/// assert_eq!(assignment.hub().as_str(), "large.example");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AllocationRequest<'a> {
    pub(crate) registration_id: &'a RegistrationId,
    pub(crate) payload: Option<&'a RawValue>,
    pub(crate) hubs: &'a [HostName],
}

impl<'a> AllocationRequest<'a> {
    /// Returns the registration ID of the device that registers.
    #[must_use]
    pub fn registration_id(&self) -> &'a RegistrationId {
        self.registration_id
    }

    /// Returns the device's payload as JSON text, if it sent one.
    #[must_use]
    pub fn payload_json(&self) -> Option<&'a str> {
        self.payload.map(RawValue::get)
    }

    /// Returns the linked hubs.
    #[must_use]
    pub fn hubs(&self) -> &'a [HostName] {
        self.hubs
    }
}

/// The result of a custom allocation policy: a hub or a failure, and an optional payload.
///
/// ```
/// use azure_iot_dps_simulator::{Allocation, AllocationRequest, Simulator};
/// # use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId};
///
/// let full = |_: &AllocationRequest<'_>| Allocation::failed(400_209, "All hubs are full.");
/// let sim = Simulator::builder().allocation(full).build();
/// # let id = RegistrationId::new("my-device")?;
/// # let key = DeviceKey::from_base64(&sim.device_key(&id).ok_or("no key")?)?;
/// # let builder = ProvisioningClient::builder(sim.id_scope(), id, key);
/// # let mut client = builder.build_with(sim.transport(), sim.clock());
/// let result = client.register();
/// assert!(matches!(result, Err(error) if error.error_code() == Some(400_209)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Allocation {
    pub(crate) outcome: Result<HostName, Failure>,
    pub(crate) payload: Option<Box<RawValue>>,
}

/// The reason why no hub was found for a device.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl Allocation {
    /// Assigns the device to this hub.
    ///
    /// A hub that is not linked makes the registration fail with error code 400209.
    #[must_use]
    pub fn hub(hub: HostName) -> Self {
        Self { outcome: Ok(hub), payload: None }
    }

    /// Fails the registration with this error code and message, and the status `failed`.
    ///
    /// The service uses the codes 400208 and 400209 for a webhook that fails.
    #[must_use]
    pub fn failed(code: u32, message: &str) -> Self {
        Self { outcome: Err(Failure { code, message: message.into() }), payload: None }
    }

    /// Adds a payload, which the device receives with its assignment.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be written as JSON.
    pub fn payload<T: Serialize + ?Sized>(self, payload: &T) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self { payload: Some(to_raw_value(payload)?), ..self })
    }
}

type Webhook = dyn Fn(&AllocationRequest<'_>) -> Allocation + Send + Sync;

/// The policy that spreads devices over the linked hubs.
#[derive(Clone)]
pub(crate) enum Policy {
    /// Spreads devices evenly by a stable hash: a device gets the same hub each time.
    Even,
    Custom(Arc<Webhook>),
}

impl Policy {
    pub(crate) fn allocate(&self, request: &AllocationRequest<'_>) -> Allocation {
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

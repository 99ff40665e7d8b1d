//! The registration of devices.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use azure_iot_dps::identity::{DeviceId, HostName};
use azure_iot_dps::time::UnixTime;
use serde_json::value::RawValue;

use crate::allocation::{AllocationRequest, Failure};
use crate::enrollment::Reprovisioning;
use crate::ids::operation_id;
use crate::journal::Record;
use crate::service::answer::{
    self, Answer, BAD_REQUEST, NO_SUCH_OPERATION, NOT_FOUND, Refused, TOO_LARGE, UNKNOWN_MEMBER,
};
use crate::service::authorize::Caller;
use crate::service::device::{Device, Outcome};
use crate::service::{Question, Service};

/// The first version of the device API with certificate signing requests.
const CSR_API_VERSION: &str = "2026-11-01";
/// The largest request body that the service accepts, in bytes.
const MAX_BODY: usize = 96 * 1024;

/// The members of a request body that the API knows, each as JSON.
#[derive(Default)]
struct Members<'a> {
    registration_id: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    csr: Option<&'a RawValue>,
    tpm: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    /// Parses the body of an MQTT request, which may be empty.
    fn parse_lenient(body: &'a [u8]) -> Result<Self, Refused> {
        if body.trim_ascii().is_empty() { Ok(Self::default()) } else { Self::parse(body) }
    }

    fn parse(body: &'a [u8]) -> Result<Self, Refused> {
        if body.len() > MAX_BODY {
            return Err(Refused::new(TOO_LARGE, "The request is too large."));
        }
        let all: BTreeMap<Cow<'a, str>, &'a RawValue> = serde_json::from_slice(body)
            .map_err(|_| Refused::new(BAD_REQUEST, "The body is not a device registration."))?;
        let mut members = Self::default();
        for (name, value) in all {
            let member = match &*name {
                "registrationId" => &mut members.registration_id,
                "payload" => &mut members.payload,
                "csr" => &mut members.csr,
                "tpm" => &mut members.tpm,
                _ => return Err(Refused::new(UNKNOWN_MEMBER, "The body has a member that is not known.")),
            };
            *member = Some(value).filter(|value| value.get() != "null");
        }
        Ok(members)
    }

    fn check_id(&self, caller: &Caller) -> Result<(), Refused> {
        let id: Option<String> = self.registration_id.and_then(|id| serde_json::from_str(id.get()).ok());
        let id = id.ok_or(Refused::new(BAD_REQUEST, "The body has no registration ID."))?;
        if id.eq_ignore_ascii_case(caller.registration_id.as_str()) {
            return Ok(());
        }
        Err(Refused::new(BAD_REQUEST, "The body's registration ID is not that of the path."))
    }
}

impl Service {
    pub(super) fn register(
        &mut self,
        question: &Question<'_>,
        caller: &Caller,
        api_version: &str,
        now: Duration,
    ) -> Result<Answer, Refused> {
        let body =
            if question.id_in_body { Members::parse(question.body)? } else { Members::parse_lenient(question.body)? };
        if question.id_in_body || body.registration_id.is_some() {
            body.check_id(caller)?;
        }
        if body.tpm.is_some() {
            return Err(Refused::new(BAD_REQUEST, "The enrollment is not one of a TPM."));
        }
        let certificates = match body.csr {
            None => None,
            Some(_) if api_version < CSR_API_VERSION => {
                return Err(Refused::new(BAD_REQUEST, "This api-version knows no certificate signing requests."));
            }
            Some(csr) => {
                let csr: Option<String> = serde_json::from_str(csr.get()).ok();
                let issuer = self.issuer.as_ref().zip(csr);
                let chain = issuer.and_then(|(issuer, csr)| issuer.issue(&csr, &caller.registration_id));
                Some(chain.ok_or(Refused::new(BAD_REQUEST, "The certificate signing request is not valid."))?)
            }
        };
        let previous = self.devices.get(&caller.key);
        let (outcome, payload) = self.assign(caller, previous, body.payload);
        // A device that writes its ID in another case is the same device and keeps its device ID.
        let device_id = previous.map(|device| device.device_id.clone()).or_else(|| caller.device_id.clone());
        let device_id = device_id.or_else(|| DeviceId::new(caller.registration_id.as_str()).ok());
        let device_id = device_id.ok_or(Refused::new(BAD_REQUEST, "No device ID."))?;
        let device = Device {
            registration_id: caller.registration_id.clone(),
            operation_id: operation_id(&caller.key, self.requests),
            earlier_operations: previous.map(Device::operations_to_keep).unwrap_or_default(),
            polls_left: self.settings.assigning_polls,
            created: now,
            updated: now,
            first_hub: previous.and_then(|device| device.first_hub.clone()),
            assigned: previous.and_then(|device| device.assigned.clone()),
            outcome,
            device_id,
            group: caller.group.clone(),
            payload,
            certificates,
            certificate: caller.certificate.clone(),
        };
        let answer = if device.is_enabled() {
            answer::registering(&device, self.settings.retry_after)
        } else {
            answer::ended(&device, &device.operation_id, api_version)
        };
        self.devices.insert(caller.key.clone(), device);
        Ok(answer)
    }

    /// Assigns the device by the settings of its enrollment and by its previous assignment.
    fn assign(
        &self,
        caller: &Caller,
        previous: Option<&Device>,
        payload: Option<&RawValue>,
    ) -> (Outcome, Option<Box<RawValue>>) {
        if caller.terms.disabled {
            return (Outcome::Disabled, None);
        }
        let before = previous.and_then(|device| device.assigned.clone());
        if let (Some((hub, substatus)), Reprovisioning::Never) = (&before, caller.terms.reprovisioning) {
            let outcome = Outcome::Assigned { hub: hub.clone(), substatus };
            return (outcome, previous.and_then(|device| device.payload.clone()));
        }
        let (wanted, payload) = if let Some(hub) = &caller.terms.hub {
            (Ok(hub.clone()), None)
        } else {
            let hubs = &self.settings.hubs[..];
            let request = AllocationRequest { registration_id: &caller.registration_id, payload, hubs };
            let allocation = self.settings.allocation.allocate(&request);
            (allocation.outcome, allocation.payload)
        };
        let linked = |hub: &HostName| self.settings.hubs.contains(hub) || caller.terms.hub.as_ref() == Some(hub);
        let hub = match wanted {
            Ok(hub) if linked(&hub) => hub,
            Ok(_) => {
                let message = "The allocation chose a hub that is not linked.".into();
                return (Outcome::Failed(Failure { code: 400_209, message }), payload);
            }
            Err(failure) => return (Outcome::Failed(failure), payload),
        };
        let first_hub = previous.and_then(|device| device.first_hub.as_ref());
        let substatus = match before {
            Some((old, substatus)) if old == hub => substatus,
            Some(_) if first_hub == Some(&hub) => "reprovisionedToInitialAssignment",
            Some(_) if caller.terms.reprovisioning == Reprovisioning::Reset => "deviceDataReset",
            Some(_) => "deviceDataMigrated",
            None => "initialAssignment",
        };
        (Outcome::Assigned { hub, substatus }, payload)
    }

    pub(super) fn operation_status(
        &mut self,
        operation_id: &str,
        caller: &Caller,
        api_version: &str,
        now: Duration,
    ) -> Result<Answer, Refused> {
        let device = self.devices.get_mut(&caller.key).filter(|device| device.has_operation(operation_id));
        let device = device.ok_or(Refused::new(NO_SUCH_OPERATION, "No registration has this operation ID."))?;
        if let Some(left) = device.polls_left.checked_sub(1) {
            device.polls_left = left;
            device.updated = now;
            return Ok(answer::assigning(device, operation_id, self.settings.retry_after));
        }
        if let Outcome::Assigned { hub, substatus } = &device.outcome {
            device.first_hub.get_or_insert_with(|| hub.clone());
            device.assigned = Some((hub.clone(), substatus));
            self.journal.write(Record::Assigned {
                at: UnixTime::from_secs(now.as_secs()),
                registration_id: device.registration_id.clone(),
                device_id: device.device_id.clone(),
                hub: hub.clone(),
            });
        }
        Ok(answer::ended(device, operation_id, api_version))
    }

    /// Answers a status lookup: the bare result, once there is one.
    pub(super) fn look_up(&self, body: &[u8], caller: &Caller, api_version: &str) -> Result<Answer, Refused> {
        let body = Members::parse(body)?;
        body.check_id(caller)?;
        if body.csr.is_some() {
            return Err(Refused::new(BAD_REQUEST, "A lookup takes no certificate signing request."));
        }
        let none = Refused::new(NOT_FOUND, "The device is not registered.");
        let device = self.devices.get(&caller.key).ok_or(none)?;
        match &device.assigned {
            // While the device registers again, its previous assignment still holds.
            Some((hub, substatus)) => {
                let outcome = Outcome::Assigned { hub: hub.clone(), substatus };
                Ok(answer::result(device, &outcome, api_version))
            }
            None if !device.is_enabled() => Ok(answer::result(device, &device.outcome, api_version)),
            None => Err(Refused::new(NOT_FOUND, "The device is not assigned.")),
        }
    }
}

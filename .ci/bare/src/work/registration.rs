//! A registration by hand, against scripted answers of the service's shape.

use core::hint::black_box;
use core::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::key::Signer;
use azure_iot_dps::protocol::Response;
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::{Assignment, DeviceKey, Error, IdScope, RegistrationId};

use super::{good, measure};
use crate::say;

#[cfg(feature = "client")]
mod client;

const ASSIGNING: &[u8] =
    br#"{"operationId":"5.316aac5bdc130deb.b1e02da8-6b5f-4c4e-bd4b-2d0e4c2f4a1b","status":"assigning"}"#;
const ASSIGNED: &[u8] = br#"{"operationId":"5.316aac5bdc130deb.b1e02da8-6b5f-4c4e-bd4b-2d0e4c2f4a1b","status":"assigned",
"registrationState":{"registrationId":"sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6","createdDateTimeUtc":"2026-11-25T01:00:00.0000000Z",
"assignedHub":"my-hub.azure-devices.net","deviceId":"sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6","status":"assigned",
"substatus":"initialAssignment","lastUpdatedDateTimeUtc":"2026-11-25T01:00:03.0000000Z",
"etag":"IjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwMCI="}}"#;
const HUB: &str = "my-hub.azure-devices.net";

/// Returns the service's answers to a registration: assigning, assigning, assigned.
fn answers() -> impl Iterator<Item = (u16, &'static [u8])> {
    [(202, ASSIGNING), (202, ASSIGNING), (200, ASSIGNED)].into_iter()
}

pub fn run(scope: &IdScope, id: &RegistrationId, key: &DeviceKey) {
    let settings = RegistrationSettings::new(scope.clone(), id.clone());
    let assignment = measure("register by hand", || good(by_hand(&settings, key)));
    assert!(assignment.hub().as_str() == HUB && assignment.requests() == 3);
    say!("assigned: {} {}", assignment.hub(), assignment.device_id());
    #[cfg(feature = "client")]
    client::run(scope, id, key);
}

/// Registers without a client, like an RTOS task or an async executor.
fn by_hand(settings: &RegistrationSettings, key: &DeviceKey) -> Result<Assignment, Error> {
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    let mut answers = answers();
    let mut uptime = Duration::ZERO;
    loop {
        let now = Now { unix: Some(UnixTime::from_secs(1_790_000_000)), uptime };
        match registration.step(now)? {
            Step::Sign(request) => {
                let signature = key.sign(request.message());
                registration.signed(signature);
            }
            Step::Send(request) => {
                black_box(request.http().headers().map(|(name, value)| name.len() + value.len()).sum::<usize>());
                let (status, body) = answers.next().unwrap_or((500, b""));
                let answer = Response::new(status, body).with_header("Retry-After", "3");
                registration.receive(Ok(answer.with_header("Date", "Wed, 25 Nov 2026 01:00:00 GMT")), now);
            }
            Step::Wait(wait) => uptime += wait.duration(),
            Step::Event(_) => {}
            Step::Done(assignment) => return Ok(assignment),
        }
    }
}

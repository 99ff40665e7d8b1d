//! `Serialize` and `Deserialize` of an assignment.

use alloc::string::ToString;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Assignment, JsonError, Run};
use crate::attestation::KeySlot;
use crate::identity::RegistrationId;
use crate::protocol::json::{ObjectWriter, RegistrationState};

const REGISTRATION_ID: &str = "registrationId";
const KEY_USED: &str = "keyUsed";

/// Writes the fields under the names of the device API, such as `assignedHub` and `deviceId`, and
/// in addition `keyUsed`: `primary`, `secondary`, or absent for a certificate.
///
/// A payload that `serde_json::Value` cannot hold, nested deeper than 128 levels or with a number out
/// of range, is an error. What belongs to one run is not written: [`requests`](Assignment::requests),
/// [`request_id`](Assignment::request_id) and [`clock_correction`](Assignment::clock_correction).
impl Serialize for Assignment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key_used = self.key_used().map(|key| match key {
            KeySlot::Primary => "primary",
            KeySlot::Secondary => "secondary",
        });
        let json = ObjectWriter::write(|state| {
            state.text(REGISTRATION_ID, Some(self.registration_id().as_str()));
            self.write(state);
            state.text(KEY_USED, key_used);
        });
        let value: Value = serde_json::from_str(&json)
            .map_err(|error| S::Error::custom(format_args!("the payload: {}", JsonError::new(&error))))?;
        value.serialize(serializer)
    }
}

/// Reads what `Serialize` writes, from a self-describing format such as JSON.
impl<'de> Deserialize<'de> for Assignment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = |field| value.get(field).and_then(Value::as_str);
        let registration_id = text(REGISTRATION_ID).ok_or_else(|| D::Error::missing_field(REGISTRATION_ID))?;
        let registration_id = RegistrationId::new(registration_id).map_err(D::Error::custom)?;
        let key_used = match value.get(KEY_USED) {
            None | Some(Value::Null) => None,
            Some(Value::String(key)) if key == "primary" => Some(KeySlot::Primary),
            Some(Value::String(key)) if key == "secondary" => Some(KeySlot::Secondary),
            Some(_) => return Err(D::Error::custom("keyUsed is neither primary nor secondary")),
        };
        let json = value.to_string();
        let state = RegistrationState::parse(json.as_bytes()).ok_or_else(|| D::Error::custom("not an assignment"))?;
        let run = Run { requests: 0, request_id: None, key_used, clock_correction: None };
        Self::from_json(&state, &registration_id, run)
            .map_err(|unusable| D::Error::custom(format_args!("{}: {}", unusable.field, unusable.problem)))
    }
}

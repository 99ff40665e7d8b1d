//! The conversion of an assignment to a record and back.
//!
//! A record is `azure-iot-dps assignment {checksum} {length}\n{body}`. The checksum is the first 16
//! hex digits of the body's SHA-256. The length is that of the body in bytes. The body is JSON: the
//! number of the format, the identity of the device, and the assignment as the service writes it.
//!
//! All later formats begin like this, and have the number of the format and the identity in a JSON
//! body, so that an earlier version can distinguish a later format from damage.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use sha2::{Digest, Sha256};

use crate::assignment::{Assignment, Run};
use crate::attestation::KeySlot;
use crate::error::StoreError;
use crate::protocol::json::{ObjectWriter, RegistrationState, Slot, read};
use crate::registration::RegistrationSettings;

const FIRST: &str = "azure-iot-dps assignment ";
const FORMAT: u32 = 1;

impl Assignment {
    /// Returns the assignment as a record, for an [`AssignmentStore`](crate::hub::AssignmentStore).
    ///
    /// Use it with a [`Registration`](crate::registration::Registration); a client does this by
    /// itself. The record contains no key.
    ///
    /// ```
    /// use azure_iot_dps::Assignment;
    /// use azure_iot_dps::registration::RegistrationSettings;
    ///
    /// # let assignment: Assignment = serde_json::from_str(
    /// #     r#"{"registrationId":"my-device","assignedHub":"my-hub.azure-devices.net",
    /// #     "deviceId":"my-device","keyUsed":"primary"}"#,
    /// # )?;
    /// let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
    /// let record = assignment.to_record(&settings);
    /// assert_eq!(Assignment::from_record(&record, &settings)?, Some(assignment));
    ///
    /// let other = RegistrationSettings::new("0ne00002193".parse()?, "other".parse()?);
    /// assert_eq!(Assignment::from_record(&record, &other)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_record(&self, settings: &RegistrationSettings) -> Vec<u8> {
        let body = ObjectWriter::write(|body| {
            body.number("format", FORMAT);
            // Endpoint, ID scope and registration ID.
            body.text("identity", Some(&fingerprint(settings)));
            body.flag("second_key", self.key_used() == Some(KeySlot::Secondary));
            if self.key_used().is_none() {
                body.flag("x509", true);
            }
            body.object("assignment", |state| self.write(state));
        });
        let mut record = format!("{FIRST}{} {}\n", hex(body.as_bytes(), 8), body.len());
        record.push_str(&body);
        record.into_bytes()
    }

    /// Returns the assignment in a record, or `None` if there is none for these settings.
    ///
    /// A record is for the endpoint, the ID scope and the registration ID that it was made with.
    /// Memory that is empty or erased (all bytes 0 or all 255) has no record.
    ///
    /// The record does not contain what belongs to one run: [`requests`](Self::requests) returns 0,
    /// and [`request_id`](Self::request_id) and [`clock_correction`](Self::clock_correction) return
    /// `None`.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Damaged`] if the record is cut off, changed or not a record, and
    /// [`StoreError::LaterFormat`] if a later version of this crate wrote it.
    pub fn from_record(record: &[u8], settings: &RegistrationSettings) -> Result<Option<Self>, StoreError> {
        let damaged = |problem| StoreError::Damaged { problem };
        if [0, 0xFF].iter().any(|erased| record.iter().all(|byte| byte == erased)) {
            return Ok(None);
        }
        let body = body_of(record)?;
        let (mut format, mut identity, mut assignment) = (None, None, None);
        let (mut second_key, mut x509) = (false, false);
        let fields = &mut [
            ("format", Slot::Number(&mut format)),
            ("identity", Slot::Text(&mut identity)),
            ("second_key", Slot::Flag(&mut second_key)),
            ("x509", Slot::Flag(&mut x509)),
            ("assignment", Slot::Json(&mut assignment)),
        ];
        read(body, fields).ok_or(damaged("its body is not JSON"))?;
        // Every format has these.
        let (Some(format), Some(identity)) = (format, identity) else {
            return Err(damaged("it has no format or no identity"));
        };
        if identity.0 != fingerprint(settings) {
            return Ok(None);
        }
        match format {
            FORMAT => {}
            0 => return Err(damaged("its format number is 0")),
            found => return Err(StoreError::LaterFormat { found, known: FORMAT }),
        }
        let assignment = assignment.and_then(|json| RegistrationState::parse(json.as_bytes()));
        let assignment = assignment.ok_or(damaged("its assignment is missing or invalid"))?;
        let key = if second_key { KeySlot::Secondary } else { KeySlot::Primary };
        let key_used = (!x509).then_some(key);
        let run = Run { requests: 0, request_id: None, key_used, clock_correction: None };
        let assignment = Self::from_json(&assignment, &settings.registration_id, run);
        assignment.map(Some).map_err(|_| damaged("it has no hub or no device ID"))
    }
}

/// Returns the body if its length and its checksum match.
fn body_of(record: &[u8]) -> Result<&[u8], StoreError> {
    let damaged = |problem| StoreError::Damaged { problem };
    let rest = record.strip_prefix(FIRST.as_bytes()).ok_or(damaged("it does not begin like a record"))?;
    let head = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let fields = core::str::from_utf8(head).ok().and_then(|head| head.split_once(' '));
    let (checksum, length) = fields.ok_or(damaged("its first line is incomplete"))?;
    let length: usize = length.parse().map_err(|_| damaged("its length is not a number"))?;
    let start = head.len().saturating_add(1);
    let body = rest.get(start..start.saturating_add(length)).ok_or(damaged("it is cut off"))?;
    if hex(body, 8) == checksum { Ok(body) } else { Err(damaged("its checksum is wrong")) }
}

/// Returns the device's identity. It is a hash, because a record can get into foreign hands.
fn fingerprint(settings: &RegistrationSettings) -> String {
    let RegistrationSettings { endpoint, id_scope, registration_id, .. } = settings;
    hex(format!("{endpoint}\n{id_scope}\n{registration_id}").as_bytes(), 16)
}

/// Returns the first `length` bytes of the SHA-256, in hex.
fn hex(bytes: &[u8], length: usize) -> String {
    Sha256::digest(bytes).iter().take(length).fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

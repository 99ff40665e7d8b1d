//! Shared access signature (SAS) tokens: what a device shows instead of its key.
//!
//! `SharedAccessSignature sr={resource}&sig={signature}&se={expiry}[&skn={key name}]`, where the signature is the
//! HMAC-SHA256 of `{resource}\n{expiry}` under the device's key, over the resource as it is sent.
//! Source: Microsoft, "Control access to IoT Hub using shared access signatures".

use alloc::string::String;
use core::fmt::{self, Write};
use core::ops::Range;
use core::time::Duration;

use crate::encoding::{MAC, MAC_BASE64, base64_into, decode_mac, percent_decode, percent_encode};
use crate::identity::{DeviceId, HostName, IdScope, ModuleId, RegistrationId};
use crate::key::{DeviceKey, Signer, SignerError};
use crate::time::UnixTime;
use crate::wipe;

/// How long a token is good for, unless another time is chosen.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The least that can be chosen: a clock may be that slow.
pub(crate) const SHORTEST_TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What a token gives access to, and under which key name (`skn`).
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    segments: [Segment<'a>; 5],
    key_name: Segment<'a>,
}

/// A piece of a resource URI.
#[derive(Clone, Copy, Debug)]
enum Segment<'a> {
    None,
    /// Has nothing in it that percent-encoding would change.
    Plain(&'a str),
    Any(&'a str),
}

impl<'a> Segment<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            Self::None => None,
            Self::Plain(text) | Self::Any(text) => Some(text),
        }
    }

    /// At least as long as it is when encoded.
    fn room(self) -> usize {
        match self {
            Self::None => 0,
            Self::Plain(text) => text.len(),
            Self::Any(text) => text.len().saturating_mul(3),
        }
    }

    fn encode_into(self, output: &mut String) {
        match self {
            Self::None => {}
            Self::Plain(text) => output.push_str(text),
            Self::Any(text) => output.extend(percent_encode(text)),
        }
    }
}

impl<'a> Resource<'a> {
    /// A device's registration at DPS: `{idScope}/registrations/{registrationId}`, key name `registration`.
    #[must_use]
    pub fn registration(id_scope: &'a IdScope, registration_id: &'a RegistrationId) -> Self {
        let [id_scope, registrations] = [id_scope.as_str(), "registrations"].map(Segment::Plain);
        let registration_id = Segment::Any(registration_id.as_str());
        let segments = [id_scope, registrations, registration_id, Segment::None, Segment::None];
        Self { segments, key_name: Segment::Plain("registration") }
    }

    /// A device at its hub: `{hub}/devices/{deviceId}`, no key name.
    #[must_use]
    pub fn device(hub: &'a HostName, device_id: &'a DeviceId) -> Self {
        let [hub, devices] = [hub.as_str(), "devices"].map(Segment::Plain);
        let device_id = Segment::Any(device_id.as_str());
        Self { segments: [hub, devices, device_id, Segment::None, Segment::None], key_name: Segment::None }
    }

    /// A module of a device at its hub: `{hub}/devices/{deviceId}/modules/{moduleId}`, no key name.
    #[must_use]
    pub fn module(hub: &'a HostName, device_id: &'a DeviceId, module_id: &'a ModuleId) -> Self {
        let device = Self::device(hub, device_id);
        let [hub, devices, device_id, ..] = device.segments;
        let [modules, module_id] = [Segment::Plain("modules"), Segment::Any(module_id.as_str())];
        Self { segments: [hub, devices, device_id, modules, module_id], ..device }
    }

    /// Any resource URI, not percent-encoded yet, without a key name.
    #[must_use]
    pub fn uri(uri: &'a str) -> Self {
        let none = Segment::None;
        Self { segments: [Segment::Any(uri), none, none, none, none], key_name: none }
    }

    /// The same resource under this key name, the token's `skn`. An empty one is none.
    #[must_use]
    pub fn with_key_name(self, key_name: &'a str) -> Self {
        let key_name = if key_name.is_empty() { Segment::None } else { Segment::Any(key_name) };
        Self { key_name, ..self }
    }

    /// Writes the URI, percent-encoded.
    fn encode_into(&self, output: &mut String) {
        let mut separator = "";
        for segment in self.segments.into_iter().take_while(|segment| !matches!(segment, Segment::None)) {
            output.push_str(separator);
            segment.encode_into(output);
            separator = "%2F";
        }
    }
}

/// The resource URI, not percent-encoded.
impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().filter_map(|segment| segment.text()).enumerate() {
            if index > 0 {
                f.write_char('/')?;
            }
            f.write_str(segment)?;
        }
        Ok(())
    }
}

const SCHEME: &str = "SharedAccessSignature ";
const FIRST_FIELD: &str = "SharedAccessSignature sr=";

/// A SAS token: the value of an `Authorization` header, or the password of an MQTT connection.
///
/// It is a credential for as long as it lives, so `Debug` hides the signature and the memory is wiped when dropped.
///
/// ```
/// use azure_iot_dps::{DeviceKey, IdScope, RegistrationId, Resource, SasToken, UnixTime};
///
/// let key = DeviceKey::from_base64("miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=")?;
/// let (id_scope, registration_id) = (IdScope::new("0ne00002193")?, RegistrationId::new("dev-01")?);
/// let token = SasToken::sign(Resource::registration(&id_scope, &registration_id), &key, UnixTime::from_secs(1_800_000_000))?;
/// assert!(token.as_str().starts_with("SharedAccessSignature sr=0ne00002193%2Fregistrations%2Fdev-01&sig="));
/// assert!(token.as_str().ends_with("&se=1800000000&skn=registration"));
///
/// // Where a 401 is being looked into:
/// let token = SasToken::parse(token.as_str())?;
/// assert_eq!(token.resource_uri(), "0ne00002193/registrations/dev-01");
/// assert!(token.verify(&key));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SasToken {
    text: wipe::Text,
    resource: Range<usize>,
    signature: Range<usize>,
    expiry: Range<usize>,
    key_name: Option<Range<usize>>,
    expires_at: UnixTime,
}

impl SasToken {
    /// Signs a token that is good until `expires_at`.
    ///
    /// # Errors
    ///
    /// The signer failed; a [`DeviceKey`] never does.
    pub fn sign<S: Signer + ?Sized>(
        resource: Resource<'_>,
        signer: &S,
        expires_at: UnixTime,
    ) -> Result<Self, SignerError> {
        let mut text = wipe::Text(String::with_capacity(capacity(&resource)));
        text.push_str(FIRST_FIELD);
        let start = text.len();
        resource.encode_into(&mut text);
        let resource_range = start..text.len();

        // What is signed stands where the signature will: `{resource}\n{expiry}`.
        push(&mut text, format_args!("\n{}", expires_at.as_secs()));
        let mac = wipe::Bytes(signer.sign(text.get(start..).unwrap_or_default().as_bytes())?);
        text.truncate(resource_range.end);

        text.push_str("&sig=");
        let start = text.len();
        text.extend(percent_encode(base64_into(&mac[..], &mut [0; MAC_BASE64])));
        let signature = start..text.len();
        text.push_str("&se=");
        let start = text.len();
        push(&mut text, format_args!("{}", expires_at.as_secs()));
        let expiry = start..text.len();
        let key_name = resource.key_name.text().map(|_| {
            text.push_str("&skn=");
            let start = text.len();
            resource.key_name.encode_into(&mut text);
            start..text.len()
        });
        Ok(Self { text, resource: resource_range, signature, expiry, key_name, expires_at })
    }

    /// Takes a token apart: its fields in any order, percent-encoded in either case or not at all, `skn` there, empty or not.
    ///
    /// # Errors
    ///
    /// What keeps the text from being a token, without any of it.
    pub fn parse(text: &str) -> Result<Self, SasTokenError> {
        let fields = text.strip_prefix(SCHEME).ok_or(SasTokenError::Scheme)?;
        let (mut resource, mut signature, mut expiry, mut key_name) = (None, None, None, None);
        let mut start = SCHEME.len();
        for field in fields.split('&') {
            let end = start.saturating_add(field.len());
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let mut unknown = None;
            let (slot, name) = match name {
                "sr" => (&mut resource, "sr"),
                "sig" => (&mut signature, "sig"),
                "se" => (&mut expiry, "se"),
                "skn" => (&mut key_name, "skn"),
                _ => (&mut unknown, ""),
            };
            if slot.replace(end.saturating_sub(value.len())..end).is_some() {
                return Err(SasTokenError::Repeated { field: name });
            }
            start = end.saturating_add(1);
        }
        let resource = resource.ok_or(SasTokenError::Missing { field: "sr" })?;
        let signature = signature.ok_or(SasTokenError::Missing { field: "sig" })?;
        let expiry = expiry.ok_or(SasTokenError::Missing { field: "se" })?;
        let seconds = text.get(expiry.clone()).unwrap_or_default();
        // `parse` would take a leading plus.
        let digits = seconds.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = seconds.parse().ok().filter(|_| digits).ok_or(SasTokenError::Expiry)?;
        let token = Self {
            text: wipe::Text(text.into()),
            resource,
            signature,
            expiry,
            key_name: key_name.filter(|name| !name.is_empty()),
            expires_at: UnixTime::from_secs(seconds),
        };
        token.mac().ok_or(SasTokenError::Signature)?;
        Ok(token)
    }

    /// The token itself: the value of the `Authorization` header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// From when on the token is of no use.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Whether the token is of no use any more at that time.
    #[must_use]
    pub fn is_expired_at(&self, time: UnixTime) -> bool {
        time >= self.expires_at
    }

    /// The resource URI, decoded; a byte that is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn resource_uri(&self) -> String {
        decode(self.part(&self.resource))
    }

    /// The key name (`skn`), decoded, unless it is missing or empty.
    #[must_use]
    pub fn key_name(&self) -> Option<String> {
        self.key_name.as_ref().map(|range| decode(self.part(range)))
    }

    /// Whether `key` made the signature, over the resource and the expiry as they stand in the token.
    ///
    /// Says nothing about the expiry: see [`SasToken::is_expired_at`].
    #[must_use]
    pub fn verify(&self, key: &DeviceKey) -> bool {
        let message = [self.part(&self.resource).as_bytes(), b"\n", self.part(&self.expiry).as_bytes()];
        self.mac().is_some_and(|mac| key.verify(&message, &mac))
    }

    /// The signature as it stands in the token, so that errors can be searched for it.
    pub(crate) fn signature(&self) -> &str {
        self.part(&self.signature)
    }

    fn part(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn mac(&self) -> Option<[u8; MAC]> {
        let mut base64 = [0; MAC_BASE64];
        let mut symbols = percent_decode(self.signature());
        for symbol in &mut base64 {
            *symbol = symbols.next()?;
        }
        if symbols.next().is_some() { None } else { decode_mac(&base64) }
    }
}

impl fmt::Debug for SasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SasToken")
            .field("resource_uri", &self.resource_uri())
            .field("signature", &format_args!("<hidden>"))
            .field("expires_at", &format_args!("{}", self.expires_at))
            .field("key_name", &self.key_name())
            .finish_non_exhaustive()
    }
}

/// What any token for this resource needs, so that the text never moves and leaves no copy behind.
fn capacity(resource: &Resource<'_>) -> usize {
    const FIXED: usize = FIRST_FIELD.len() + "&sig=&se=&skn=".len() + 3 * MAC_BASE64 + "18446744073709551615".len();
    const SLASHES: usize = 4 * "%2F".len();
    let segments = resource.segments.into_iter().chain([resource.key_name]);
    segments.map(Segment::room).fold(FIXED + SLASHES, usize::saturating_add)
}

fn push(text: &mut String, arguments: fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = text.write_fmt(arguments);
}

fn decode(text: &str) -> String {
    String::from_utf8_lossy(&percent_decode(text).collect::<alloc::vec::Vec<u8>>()).into_owned()
}

/// Why a text is not a SAS token. Tells which field, never what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SasTokenError {
    /// The text does not begin with `SharedAccessSignature` and a space.
    #[error("a SAS token begins with \"SharedAccessSignature \"")]
    Scheme,
    /// A field that every token has is missing.
    #[error("the SAS token has no field \"{field}\"")]
    Missing {
        /// The field's name.
        field: &'static str,
    },
    /// A field is there more than once.
    #[error("the SAS token has the field \"{field}\" twice")]
    Repeated {
        /// The field's name.
        field: &'static str,
    },
    /// `se` is not a number of seconds.
    #[error("the SAS token's expiry (\"se\") is not a number of seconds since 1970")]
    Expiry,
    /// `sig` is not the base64 of 32 bytes.
    #[error("the SAS token's signature (\"sig\") is not the base64 of 32 bytes")]
    Signature,
}

//! The type of SAS tokens, with parsing and verification.

use alloc::string::String;
use core::fmt;
use core::ops::Range;

use crate::encoding::{MAC, MAC_BASE64, decode_mac, percent_decode};
use crate::key::DeviceKey;
use crate::time::UnixTime;
use crate::zeroizing;

const SCHEME: &str = "SharedAccessSignature ";

/// A SAS token, the value of an `Authorization` header or the password of an MQTT connection.
///
/// A token is a credential until it expires. `Debug` hides the signature, and the memory is
/// zeroized when the token is dropped.
///
/// ```
/// use azure_iot_dps::sas::{Resource, SasToken};
/// use azure_iot_dps::time::UnixTime;
/// use azure_iot_dps::{DeviceKey, IdScope, RegistrationId};
///
/// let key = DeviceKey::from_base64("miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=")?;
/// let (id_scope, id) = (IdScope::new("0ne00002193")?, RegistrationId::new("dev-01")?);
/// let resource = Resource::registration(&id_scope, &id);
/// let token = SasToken::sign(resource, &key, UnixTime::from_secs(1_800_000_000))?;
/// let start = "SharedAccessSignature sr=0ne00002193%2Fregistrations%2Fdev-01&sig=";
/// assert!(token.as_str().starts_with(start));
/// assert!(token.as_str().ends_with("&se=1800000000&skn=registration"));
///
/// // To diagnose a 401:
/// let token = SasToken::parse(token.as_str())?;
/// assert_eq!(token.resource_uri(), "0ne00002193/registrations/dev-01");
/// assert!(token.verify(&key));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SasToken {
    pub(super) text: zeroizing::Text,
    pub(super) resource: Range<usize>,
    pub(super) signature: Range<usize>,
    pub(super) expiry: Range<usize>,
    pub(super) key_name: Option<Range<usize>>,
    pub(super) expires_at: UnixTime,
}

impl SasToken {
    /// Parses a token.
    ///
    /// The fields may be in any order, and percent-encoded in upper or lower case or not at all.
    /// `skn` may be missing or empty. Unknown fields are ignored.
    ///
    /// # Errors
    ///
    /// Returns [`SasTokenError`] if the text is not a token. The error contains none of the text.
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
            text: zeroizing::Text(text.into()),
            resource,
            signature,
            expiry,
            key_name: key_name.filter(|name| !name.is_empty()),
            expires_at: UnixTime::from_secs(seconds),
        };
        token.mac().ok_or(SasTokenError::Signature)?;
        Ok(token)
    }

    /// Returns the token, the value of the `Authorization` header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the time at which the token expires.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Returns whether the token has expired at this time.
    #[must_use]
    pub fn is_expired_at(&self, time: UnixTime) -> bool {
        time >= self.expires_at
    }

    /// Returns the resource URI, percent-decoded. Invalid UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn resource_uri(&self) -> String {
        decode(self.part(&self.resource))
    }

    /// Returns the key name (`skn`), percent-decoded, or `None` if it is missing or empty.
    #[must_use]
    pub fn key_name(&self) -> Option<String> {
        self.key_name.as_ref().map(|range| decode(self.part(range)))
    }

    /// Returns whether the signature was made with `key`.
    ///
    /// The signed message is the resource and the expiry as they are written in the token. The
    /// expiry itself is not checked: see [`SasToken::is_expired_at`].
    #[must_use]
    pub fn verify(&self, key: &DeviceKey) -> bool {
        let message = [self.part(&self.resource).as_bytes(), b"\n", self.part(&self.expiry).as_bytes()];
        self.mac().is_some_and(|mac| key.verify(&message, &mac))
    }

    /// Returns the signature as it is written in the token, so that errors can be searched for it.
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

fn decode(text: &str) -> String {
    String::from_utf8_lossy(&percent_decode(text).collect::<alloc::vec::Vec<u8>>()).into_owned()
}

/// The reason why a text is not a SAS token.
///
/// It names the field at fault, but never its value.
///
/// ```
/// use azure_iot_dps::sas::{SasToken, SasTokenError};
///
/// match SasToken::parse("SharedAccessSignature sr=0ne00002193&se=1800000000") {
///     Err(SasTokenError::Missing { field }) => assert_eq!(field, "sig"),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SasTokenError {
    /// The text does not begin with `SharedAccessSignature` and a space.
    #[error("a SAS token must begin with \"SharedAccessSignature \"")]
    Scheme,
    /// A required field is missing.
    #[error("the SAS token has no field \"{field}\"")]
    Missing {
        /// The name of the field.
        field: &'static str,
    },
    /// A field occurs more than once.
    #[error("the SAS token has the field \"{field}\" more than once")]
    Repeated {
        /// The name of the field.
        field: &'static str,
    },
    /// `se` is not a number of seconds.
    #[error("the SAS token's expiry (\"se\") is not a number of seconds since 1970")]
    Expiry,
    /// `sig` is not the base64 of 32 bytes.
    #[error("the SAS token's signature (\"sig\") is not the base64 of 32 bytes")]
    Signature,
}

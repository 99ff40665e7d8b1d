//! The signing of tokens, in one step or in two.

use alloc::string::String;
use core::fmt;
use core::ops::Range;

use crate::encoding::{MAC, MAC_BASE64, base64_into, percent_encode};
use crate::key::{Signer, SignerError};
use crate::sas::resource::{Resource, Segment};
use crate::sas::token::SasToken;
use crate::time::UnixTime;
use crate::zeroizing;

const FIRST_FIELD: &str = "SharedAccessSignature sr=";

impl SasToken {
    /// Signs a token that is valid until `expires_at`.
    ///
    /// # Errors
    ///
    /// Returns [`SignerError`] if the signer fails. A [`DeviceKey`](crate::DeviceKey) never fails.
    pub fn sign<S: Signer + ?Sized>(
        resource: Resource<'_>,
        signer: &S,
        expires_at: UnixTime,
    ) -> Result<Self, SignerError> {
        let token = Self::prepare(resource, expires_at);
        let signature = zeroizing::Bytes(signer.sign(token.message())?);
        Ok(token.finish_with(&signature))
    }

    /// Prepares a token that is valid until `expires_at`, for a key that signs asynchronously.
    ///
    /// ```
    /// use azure_iot_dps::key::{Signer, SignerError};
    /// use azure_iot_dps::sas::{Resource, SasToken};
    /// use azure_iot_dps::time::UnixTime;
    ///
    /// # struct Chip(azure_iot_dps::DeviceKey);
    /// # impl Chip {
    /// #     async fn hmac(&mut self, message: &[u8]) -> Result<[u8; 32], SignerError> {
    /// #         self.0.sign(message)
    /// #     }
    /// # }
    /// async fn token(chip: &mut Chip, expires_at: UnixTime) -> Result<SasToken, SignerError> {
    ///     let token = SasToken::prepare(Resource::uri("a/b"), expires_at);
    ///     let signature = chip.hmac(token.message()).await?;
    ///     Ok(token.finish(signature))
    /// }
    /// # let key = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
    /// # let key = azure_iot_dps::DeviceKey::from_base64(key)?;
    /// # let token = pollster::block_on(token(&mut Chip(key.clone()), UnixTime::EPOCH))?;
    /// # let at_once = SasToken::sign(Resource::uri("a/b"), &key, UnixTime::EPOCH)?;
    /// # assert_eq!(token.as_str(), at_once.as_str());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn prepare(resource: Resource<'_>, expires_at: UnixTime) -> UnsignedToken<'_> {
        UnsignedToken::new(resource, expires_at)
    }
}

/// A token that is not signed yet, created by [`SasToken::prepare`].
///
/// It holds the message to sign and has room for the signature.
///
/// ```
/// use azure_iot_dps::key::{DeviceKey, Signer};
/// use azure_iot_dps::sas::{Resource, SasToken};
/// use azure_iot_dps::time::UnixTime;
///
/// let key = DeviceKey::from_base64("miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=")?;
/// let unsigned = SasToken::prepare(Resource::uri("a/b"), UnixTime::from_secs(1_800_000_000));
/// assert_eq!(unsigned.message(), b"a%2Fb\n1800000000");
/// let signature = key.sign(unsigned.message())?;
/// assert!(unsigned.finish(signature).verify(&key));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnsignedToken<'a> {
    // Holds the message, `{resource}\n{expiry}`. The resource is already at its place in the token.
    text: zeroizing::Text,
    resource: Range<usize>,
    key_name: Segment<'a>,
    expires_at: UnixTime,
}

impl<'a> UnsignedToken<'a> {
    fn new(resource: Resource<'a>, expires_at: UnixTime) -> Self {
        let mut text = zeroizing::Text(String::with_capacity(capacity(&resource)));
        text.push_str(FIRST_FIELD);
        let start = text.len();
        resource.encode_into(&mut text);
        let end = text.len();
        text.push('\n');
        text.push_str(itoa::Buffer::new().format(expires_at.as_secs()));
        Self { text, resource: start..end, key_name: resource.key_name(), expires_at }
    }

    /// Returns the message to sign with HMAC-SHA256 under the device's key.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.text.get(self.resource.start..).unwrap_or_default().as_bytes()
    }

    /// Returns the time at which the token expires.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Creates the token from the signature of its [`message`](Self::message).
    #[must_use]
    pub fn finish(self, signature: [u8; 32]) -> SasToken {
        self.finish_with(&zeroizing::Bytes(signature))
    }

    fn finish_with(self, signature: &[u8; MAC]) -> SasToken {
        let Self { mut text, resource, key_name, expires_at } = self;
        text.truncate(resource.end);
        text.push_str("&sig=");
        let start = text.len();
        text.extend(percent_encode(base64_into(signature, &mut [0; MAC_BASE64])));
        let signature = start..text.len();
        text.push_str("&se=");
        let start = text.len();
        text.push_str(itoa::Buffer::new().format(expires_at.as_secs()));
        let expiry = start..text.len();
        let key_name = key_name.text().map(|_| {
            text.push_str("&skn=");
            let start = text.len();
            key_name.encode_into(&mut text);
            start..text.len()
        });
        SasToken { text, resource, signature, expiry, key_name, expires_at }
    }
}

impl fmt::Debug for UnsignedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.text.get(self.resource.clone()).unwrap_or_default();
        f.debug_struct("UnsignedToken")
            .field("resource", &resource)
            .field("expires_at", &format_args!("{}", self.expires_at))
            .finish_non_exhaustive()
    }
}

/// Returns a capacity that fits any token for this resource.
///
/// The text is thus never reallocated, which would leave a copy behind.
fn capacity(resource: &Resource<'_>) -> usize {
    const FIXED: usize = FIRST_FIELD.len() + "&sig=&se=&skn=".len() + 3 * MAC_BASE64 + "18446744073709551615".len();
    resource.max_encoded_len().saturating_add(FIXED)
}

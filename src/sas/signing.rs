//! Signing a token, in one step or in two.

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
    /// Signs a token that is good until `expires_at`.
    ///
    /// # Errors
    ///
    /// The signer failed; a [`DeviceKey`](crate::DeviceKey) never does.
    pub fn sign<S: Signer + ?Sized>(
        resource: Resource<'_>,
        signer: &S,
        expires_at: UnixTime,
    ) -> Result<Self, SignerError> {
        let token = Self::prepare(resource, expires_at);
        let signature = zeroizing::Bytes(signer.sign(token.message())?);
        Ok(token.finish_with(&signature))
    }

    /// Prepares a token that is good until `expires_at`, for a key that cannot sign at once.
    ///
    /// ```
    /// use azure_iot_dps::key::{Signer, SignerError};
    /// use azure_iot_dps::sas::{Resource, SasToken};
    /// use azure_iot_dps::time::UnixTime;
    ///
    /// # struct Chip(azure_iot_dps::DeviceKey);
    /// # impl Chip { async fn hmac(&mut self, message: &[u8]) -> Result<[u8; 32], SignerError> { self.0.sign(message) } }
    /// async fn token(chip: &mut Chip, uri: &str, expires_at: UnixTime) -> Result<SasToken, SignerError> {
    ///     let token = SasToken::prepare(Resource::uri(uri), expires_at);
    ///     let signature = chip.hmac(token.message()).await?;
    ///     Ok(token.finish(signature))
    /// }
    /// # let key: azure_iot_dps::DeviceKey = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=".parse().unwrap();
    /// # let token = pollster::block_on(token(&mut Chip(key.clone()), "a/b", UnixTime::EPOCH)).unwrap();
    /// # assert_eq!(token.as_str(), SasToken::sign(Resource::uri("a/b"), &key, UnixTime::EPOCH).unwrap().as_str());
    /// ```
    #[must_use]
    pub fn prepare(resource: Resource<'_>, expires_at: UnixTime) -> UnsignedToken<'_> {
        UnsignedToken::new(resource, expires_at)
    }
}

/// A token that has yet to be signed: the message to sign, and room for the signature. Made by [`SasToken::prepare`].
pub struct UnsignedToken<'a> {
    // What is signed, `{resource}\n{expiry}`, stands where it and the signature will stand in the token.
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

    /// The message to sign, with HMAC-SHA256 under the device's key.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.text.get(self.resource.start..).unwrap_or_default().as_bytes()
    }

    /// When the token expires.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Makes the token, with the signature of its [`message`](Self::message).
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

/// What any token for this resource needs, so that the text never moves and leaves no copy behind.
fn capacity(resource: &Resource<'_>) -> usize {
    const FIXED: usize = FIRST_FIELD.len() + "&sig=&se=&skn=".len() + 3 * MAC_BASE64 + "18446744073709551615".len();
    resource.max_encoded_len().saturating_add(FIXED)
}

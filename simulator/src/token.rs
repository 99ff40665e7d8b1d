//! SAS tokens, checked on their text as sent.
//!
//! Source: Microsoft, "Control access to the IoT Hub Device Provisioning Service".

use std::collections::BTreeMap;

use hmac::Mac;

use crate::key::SymmetricKey;
use crate::wire::{base64_decode, percent_decode};

/// A token whose signature is not checked yet.
pub(crate) struct Token<'a> {
    /// The fields `sr` and `se` as sent: the signature is over these texts.
    resource: &'a str,
    expiry: &'a str,
    signature: Vec<u8>,
    /// The key name (`skn`), decoded; empty if there is none.
    key_name: String,
    /// The expiry in seconds since 1970.
    pub(crate) expires_at: u64,
}

impl<'a> Token<'a> {
    /// Parses a token. Its fields can be in any order.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut fields = BTreeMap::new();
        for field in text.strip_prefix("SharedAccessSignature ")?.split('&') {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            // A field that is there twice would leave open which one is signed.
            if fields.insert(name, value).is_some() {
                return None;
            }
        }
        let (resource, expiry) = (*fields.get("sr")?, *fields.get("se")?);
        let digits = expiry.bytes().all(|byte| byte.is_ascii_digit());
        let expires_at = expiry.parse().ok().filter(|_| digits)?;
        let signature = base64_decode(&percent_decode(fields.get("sig")?))?;
        let key_name = fields.get("skn").map(|name| percent_decode(name)).unwrap_or_default();
        Some(Self { resource, expiry, signature, key_name, expires_at })
    }

    /// Returns the resource URI, decoded.
    pub(crate) fn resource(&self) -> String {
        percent_decode(self.resource)
    }

    pub(crate) fn key_name(&self) -> &str {
        &self.key_name
    }

    pub(crate) fn is_signed_with(&self, key: &SymmetricKey) -> bool {
        let mac = key.hmac(&[self.resource, "\n", self.expiry]);
        mac.is_some_and(|mac| mac.verify_slice(&self.signature).is_ok())
    }
}

//! AES-128-GCM on the records of TLS 1.2 (RFC 5288) and TLS 1.3 (RFC 8446, section 5.2).

use alloc::boxed::Box;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm as Cipher, Nonce as GcmNonce, Tag};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter, MessageEncrypter,
    NONCE_LEN, Nonce, OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls12AeadAlgorithm,
    Tls13AeadAlgorithm, UnsupportedOperationError, make_tls12_aad, make_tls13_aad,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

const KEY: usize = 16;
const TAG: usize = 16;
/// The length of the part of a TLS 1.2 nonce that the handshake agrees on.
const SALT: usize = 4;
/// The length of the part that each record carries.
const EXPLICIT: usize = NONCE_LEN - SALT;
const MAX_PLAIN: usize = 16 * 1024;

pub(super) struct Aes128Gcm;

/// One direction of a connection.
struct Direction {
    cipher: Box<Cipher>,
    iv: Iv,
}

/// The records of TLS 1.2.
struct Tls12(Direction);

/// The records of TLS 1.3.
struct Tls13(Direction);

impl Direction {
    fn new(key: &AeadKey, iv: Iv) -> Self {
        let Ok(cipher) = Cipher::new_from_slice(key.as_ref()) else {
            unreachable!("rustls cuts keys to the length that it was told");
        };
        Self { cipher: Box::new(cipher), iv }
    }

    fn seal(&self, nonce: Nonce, aad: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG], Error> {
        let tag = self.cipher.encrypt_inout_detached(&GcmNonce::from(nonce.0), aad, InOutBuf::from(bytes));
        tag.map(Into::into).map_err(|_| Error::EncryptError)
    }

    fn open(&self, nonce: Nonce, aad: &[u8], bytes: &mut [u8], tag: [u8; TAG]) -> Result<(), Error> {
        let tag = Tag::from(tag);
        let opened = self.cipher.decrypt_inout_detached(&GcmNonce::from(nonce.0), aad, InOutBuf::from(bytes), &tag);
        opened.map_err(|_| Error::DecryptError)
    }
}

/// Joins the two parts of a nonce.
fn joined(salt: &[u8], explicit: &[u8]) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce.iter_mut().zip(salt.iter().chain(explicit)).for_each(|(to, from)| *to = *from);
    nonce
}

impl Tls12AeadAlgorithm for Aes128Gcm {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        // rustls combines the explicit part from the handshake with the sequence number.
        Box::new(Tls12(Direction::new(&key, Iv::new(joined(iv, extra)))))
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Tls12(Direction::new(&key, Iv::new(joined(iv, &[])))))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        KeyBlockShape { enc_key_len: KEY, fixed_iv_len: SALT, explicit_nonce_len: EXPLICIT }
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: &[u8],
        explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Ok(ConnectionTrafficSecrets::Aes128Gcm { key, iv: Iv::new(joined(iv, explicit)) })
    }
}

impl MessageEncrypter for Tls12 {
    fn encrypt(&mut self, message: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        let length = message.payload.len();
        let nonce = Nonce::new(&self.0.iv, seq);
        let mut payload = PrefixedPayload::with_capacity(self.encrypted_payload_len(length));
        payload.extend_from_slice(nonce.0.last_chunk::<EXPLICIT>().ok_or(Error::EncryptError)?);
        payload.extend_from_chunks(&message.payload);
        let aad = make_tls12_aad(seq, message.typ, message.version, length);
        let plain = payload.as_mut().get_mut(EXPLICIT..).ok_or(Error::EncryptError)?;
        let tag = self.0.seal(nonce, &aad, plain)?;
        payload.extend_from_slice(&tag);
        Ok(OutboundOpaqueMessage::new(message.typ, message.version, payload))
    }

    fn encrypted_payload_len(&self, length: usize) -> usize {
        EXPLICIT + length + TAG
    }
}

impl MessageDecrypter for Tls12 {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let (typ, version) = (message.typ, message.version);
        let payload = &mut *message.payload;
        let (explicit, rest) = payload.split_at_mut_checked(EXPLICIT).ok_or(Error::DecryptError)?;
        let (bytes, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(Error::DecryptError)?;
        let length = bytes.len();
        if length > MAX_PLAIN {
            return Err(Error::PeerSentOversizedRecord);
        }
        let salt = self.0.iv.as_ref().get(..SALT).unwrap_or_default();
        let nonce = Nonce(joined(salt, explicit));
        self.0.open(nonce, &make_tls12_aad(seq, typ, version, length), bytes, *tag)?;
        payload.copy_within(EXPLICIT..EXPLICIT + length, 0);
        message.payload.truncate(length);
        Ok(message.into_plain_message())
    }
}

impl Tls13AeadAlgorithm for Aes128Gcm {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Tls13(Direction::new(&key, iv)))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Tls13(Direction::new(&key, iv)))
    }

    fn key_len(&self) -> usize {
        KEY
    }

    fn extract_keys(&self, key: AeadKey, iv: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Ok(ConnectionTrafficSecrets::Aes128Gcm { key, iv })
    }
}

impl MessageEncrypter for Tls13 {
    fn encrypt(&mut self, message: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        let total = self.encrypted_payload_len(message.payload.len());
        let mut payload = PrefixedPayload::with_capacity(total);
        payload.extend_from_chunks(&message.payload);
        payload.extend_from_slice(&message.typ.to_array());
        let tag = self.0.seal(Nonce::new(&self.0.iv, seq), &make_tls13_aad(total), payload.as_mut())?;
        payload.extend_from_slice(&tag);
        // All encrypted records of TLS 1.3 have this type and this version.
        Ok(OutboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, payload))
    }

    fn encrypted_payload_len(&self, length: usize) -> usize {
        length + 1 + TAG
    }
}

impl MessageDecrypter for Tls13 {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let aad = make_tls13_aad(message.payload.len());
        let (bytes, tag) = message.payload.split_last_chunk_mut::<TAG>().ok_or(Error::DecryptError)?;
        self.0.open(Nonce::new(&self.0.iv, seq), &aad, bytes, *tag)?;
        let length = bytes.len();
        message.payload.truncate(length);
        message.into_tls13_unpadded_message()
    }
}

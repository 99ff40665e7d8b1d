//! ECDHE on P-256.

use alloc::boxed::Box;

use p256::ecdh::EphemeralSecret;
use p256::elliptic_curve::Generate;
use p256::{PublicKey, Sec1Point};
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};

use super::random::BoardRng;

#[derive(Debug)]
pub(super) struct P256;

impl SupportedKxGroup for P256 {
    fn name(&self) -> NamedGroup {
        NamedGroup::secp256r1
    }

    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = EphemeralSecret::try_generate_from_rng(&mut BoardRng).map_err(|_| GetRandomFailed)?;
        let public = Sec1Point::from(secret.public_key());
        Ok(Box::new(Exchange { secret, public }))
    }
}

struct Exchange {
    secret: EphemeralSecret,
    public: Sec1Point,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        // TLS allows only the uncompressed form (RFC 8446, section 4.2.8.2).
        let point = Some(peer).filter(|peer| peer.first() == Some(&4));
        let peer = point.and_then(|point| PublicKey::from_sec1_bytes(point).ok());
        let peer = peer.ok_or(PeerMisbehaved::InvalidKeyShare)?;
        Ok(self.secret.diffie_hellman(&peer).raw_secret_bytes().as_slice().into())
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp256r1
    }
}

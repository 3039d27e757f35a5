//! Encryption of stored responses, with a key derived from the caller's credential. Responses contain device tokens and
//! presigned URLs, and the table contains hashes of credentials only, so nobody who reads the table can use them.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use capstan_domain::{Error, Seed};

/// What is derived from a caller's credential for one request.
pub(crate) struct Seal {
    key: [u8; 32],
    secret_bits: [u8; 32],
}

impl Seal {
    /// The seal of this credential, for the request with this seed.
    pub(crate) fn of(credential: &str, seed: Seed) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, credential.as_bytes());
        Self { key: derive(&key, seed, b"answer"), secret_bits: derive(&key, seed, b"new credential") }
    }

    /// Bits for a new credential. A replay by the same caller derives the same bits.
    pub(crate) fn secret_bits(&self) -> [u8; 32] {
        self.secret_bits
    }

    /// Encrypts a text.
    pub(crate) fn close(&self, text: &str) -> Result<String, Error> {
        let mut bytes = text.as_bytes().to_vec();
        self.cipher()?.seal_in_place_append_tag(nonce(), Aad::empty(), &mut bytes).map_err(Error::internal)?;
        Ok(STANDARD_NO_PAD.encode(bytes))
    }

    /// Decrypts a text. `None` when it was encrypted with another credential.
    pub(crate) fn open(&self, sealed: &str) -> Result<Option<String>, Error> {
        let mut bytes = STANDARD_NO_PAD.decode(sealed).map_err(Error::internal)?;
        let opened = self.cipher()?.open_in_place(nonce(), Aad::empty(), &mut bytes);
        opened.ok().map(|text| String::from_utf8(text.to_vec()).map_err(Error::internal)).transpose()
    }

    fn cipher(&self) -> Result<LessSafeKey, Error> {
        UnboundKey::new(&AES_256_GCM_SIV, &self.key).map(LessSafeKey::new).map_err(Error::internal)
    }
}

fn derive(key: &hmac::Key, seed: Seed, purpose: &[u8]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    context.update(&seed.0.to_be_bytes());
    context.update(purpose);
    let mut bits = [0; 32];
    bits.copy_from_slice(context.sign().as_ref());
    bits
}

/// Each key encrypts one response. If a resumed attempt encrypts a second one, the cipher withstands the repeated nonce (RFC
/// 8452).
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decrypts_with_the_same_credential_and_request_only() {
        let seal = Seal::of("sk_live_a", Seed(1));
        let sealed = seal.close("dtok_secret").unwrap();
        assert!(!sealed.contains("dtok_"));
        assert_eq!(seal.open(&sealed).unwrap().unwrap(), "dtok_secret");
        assert_eq!(Seal::of("sk_live_b", Seed(1)).open(&sealed).unwrap(), None);
        assert_eq!(Seal::of("sk_live_a", Seed(2)).open(&sealed).unwrap(), None);
    }

    #[test]
    fn derives_the_same_new_credential_for_the_same_caller_only() {
        let drawn = |credential, seed| Seal::of(credential, Seed(seed)).secret_bits();
        assert_eq!(drawn("sk_live_a", 1), drawn("sk_live_a", 1));
        assert_ne!(drawn("sk_live_a", 1), drawn("sk_live_b", 1));
        assert_ne!(drawn("sk_live_a", 1), drawn("sk_live_a", 2));
    }
}

//! Answers that are kept for a repeat, sealed by the caller's own credential: they hold device tokens and signed URLs, and
//! the table holds only hashes of credentials, so whoever reads the table learns neither.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use capstan_domain::{Error, Seed};

/// What one caller draws from its credential for one call.
pub(crate) struct Seal {
    key: [u8; 32],
    secret_bits: [u8; 32],
}

impl Seal {
    /// The seal of whoever shows this credential, for the call of this seed.
    pub(crate) fn of(credential: &str, seed: Seed) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, credential.as_bytes());
        Self { key: draw(&key, seed, b"answer"), secret_bits: draw(&key, seed, b"new credential") }
    }

    /// Bits for a new credential that the same caller draws again when it makes the same call again.
    pub(crate) fn secret_bits(&self) -> [u8; 32] {
        self.secret_bits
    }

    /// Seals a text.
    pub(crate) fn close(&self, text: &str) -> Result<String, Error> {
        let mut bytes = text.as_bytes().to_vec();
        self.cipher()?.seal_in_place_append_tag(nonce(), Aad::empty(), &mut bytes).map_err(Error::internal)?;
        Ok(STANDARD_NO_PAD.encode(bytes))
    }

    /// Opens what was sealed. `None` when another credential sealed it.
    pub(crate) fn open(&self, sealed: &str) -> Result<Option<String>, Error> {
        let mut bytes = STANDARD_NO_PAD.decode(sealed).map_err(Error::internal)?;
        let opened = self.cipher()?.open_in_place(nonce(), Aad::empty(), &mut bytes);
        opened.ok().map(|text| String::from_utf8(text.to_vec()).map_err(Error::internal)).transpose()
    }

    fn cipher(&self) -> Result<LessSafeKey, Error> {
        UnboundKey::new(&AES_256_GCM_SIV, &self.key).map(LessSafeKey::new).map_err(Error::internal)
    }
}

fn draw(key: &hmac::Key, seed: Seed, purpose: &[u8]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    context.update(&seed.0.to_be_bytes());
    context.update(purpose);
    let mut bits = [0; 32];
    bits.copy_from_slice(context.sign().as_ref());
    bits
}

/// Each key seals one answer. Should an attempt that was taken over seal a second one, the cipher withstands a repeated
/// nonce (RFC 8452).
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_credential_that_sealed_an_answer_opens_it_and_only_for_that_call() {
        let seal = Seal::of("sk_live_a", Seed(1));
        let sealed = seal.close("dtok_secret").unwrap();
        assert!(!sealed.contains("dtok_"));
        assert_eq!(seal.open(&sealed).unwrap().unwrap(), "dtok_secret");
        assert_eq!(Seal::of("sk_live_b", Seed(1)).open(&sealed).unwrap(), None);
        assert_eq!(Seal::of("sk_live_a", Seed(2)).open(&sealed).unwrap(), None);
    }

    #[test]
    fn a_new_credential_is_drawn_again_by_the_same_caller_alone() {
        let drawn = |credential, seed| Seal::of(credential, Seed(seed)).secret_bits();
        assert_eq!(drawn("sk_live_a", 1), drawn("sk_live_a", 1));
        assert_ne!(drawn("sk_live_a", 1), drawn("sk_live_b", 1));
        assert_ne!(drawn("sk_live_a", 1), drawn("sk_live_a", 2));
    }
}

//! Personal data in the log, sealed under a key of the user's own: ChaCha20-Poly1305 (RFC 8439), the user's id as
//! associated data, so that one user's data never opens as another's.

use aggregates::{Sealed, UserId};
use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    ChaCha20Poly1305,
    aead::{Aead, Key, KeyInit, Nonce, Payload},
};

/// Bytes of the nonce before the ciphertext.
const NONCE_BYTES: usize = 12;

pub(super) fn seal(key: &[u8; 32], user: UserId, text: &str) -> Sealed {
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let payload = Payload { msg: text.as_bytes(), aad: user.0.as_bytes() };
    let sealed = cipher(key)
        .encrypt(&Nonce::<ChaCha20Poly1305>::from(nonce), payload)
        .unwrap_or_else(|_| unreachable!("only texts beyond 256 GiB cannot be sealed"));
    Sealed(STANDARD.encode([&nonce[..], &sealed].concat()))
}

/// The text, if it was sealed for this user under this key.
pub(super) fn open(key: &[u8; 32], user: UserId, sealed: &Sealed) -> Option<String> {
    let bytes = STANDARD.decode(&sealed.0).ok()?;
    let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload { msg: ciphertext, aad: user.0.as_bytes() };
    let text = cipher(key).decrypt(&Nonce::<ChaCha20Poly1305>::from(*nonce), payload).ok()?;
    String::from_utf8(text).ok()
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::<ChaCha20Poly1305>::from(*key))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_the_users_own_key_opens_it_and_only_as_theirs() {
        let (user, other) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let sealed = seal(&[7; 32], user, "김민지");
        assert!(!sealed.0.contains("김민지"));
        assert_eq!(open(&[7; 32], user, &sealed).as_deref(), Some("김민지"));
        assert_eq!(open(&[8; 32], user, &sealed), None);
        assert_eq!(open(&[7; 32], other, &sealed), None);
        assert_eq!(open(&[7; 32], user, &Sealed("AAAA".to_owned())), None);
        assert_ne!(seal(&[7; 32], user, "김민지"), sealed, "the same text never looks the same");
    }
}

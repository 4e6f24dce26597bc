//! Keys in the format of signed notes: `NAME+ID+BASE64`, where the name is the log's origin.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey as Ed25519;
use signed_note::{NoteError, Signer as _, StandardSigner, StandardVerifier, Verifier as _};

/// What stands before a key: the number of the algorithm, Ed25519.
const ED25519: u8 = 1;
/// What a private key begins with.
const PRIVATE: &str = "PRIVATE+KEY+";

/// A private key, and the public one that goes with it.
#[derive(Clone)]
pub struct SigningKey {
    /// `PRIVATE+KEY+NAME+ID+BASE64`.
    text: String,
    pub(crate) signer: StandardSigner,
    verifier: VerifierKey,
}

/// A public key, by which anybody can check.
#[derive(Clone)]
pub struct VerifierKey {
    /// `NAME+ID+BASE64`.
    text: String,
    pub(crate) verifier: StandardVerifier,
}

impl SigningKey {
    /// A new one for the log `origin`, at random. `None` where that is no name of a log.
    pub fn random(origin: &str) -> Option<Self> {
        let secret: [u8; 32] = rand::random();
        let public = signed_note::new_ed25519_verifier_key(origin, &Ed25519::from_bytes(&secret).verifying_key());
        let id = public.strip_prefix(origin)?.strip_prefix('+')?.split('+').next()?;
        let secret = STANDARD.encode([&[ED25519][..], &secret].concat());
        Self::parse(&format!("{PRIVATE}{origin}+{id}+{secret}"))
    }

    /// From its text; `None` where it is no such key.
    pub fn parse(text: &str) -> Option<Self> {
        let signer = StandardSigner::new(text).ok()?;
        // Base64 has pluses of its own.
        let secret = STANDARD.decode(text.splitn(5, '+').nth(4)?).ok()?;
        let secret: [u8; 32] = secret.strip_prefix(&[ED25519])?.try_into().ok()?;
        let public =
            signed_note::new_ed25519_verifier_key(signer.name(), &Ed25519::from_bytes(&secret).verifying_key());
        Some(Self { text: text.to_owned(), verifier: VerifierKey::parse(&public)?, signer })
    }

    /// As it stands in its file. Secret.
    pub(crate) fn secret_text(&self) -> &str {
        &self.text
    }

    /// The public key.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(crate) fn sign(&self, note: &mut signed_note::Note) -> Result<(), NoteError> {
        note.add_sigs(&[&self.signer])
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier)
    }
}

impl VerifierKey {
    /// From `NAME+ID+BASE64`; `None` where it is no such key of Ed25519, or its id is not that of name and key.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Some(Self { text: text.to_owned(), verifier: StandardVerifier::new(text).ok()? })
    }

    /// The log it is for.
    pub fn origin(&self) -> &str {
        self.verifier.name()
    }

    /// What tells it from other keys of the log.
    pub fn id(&self) -> u32 {
        self.verifier.key_id()
    }

    /// `NAME+ID+BASE64`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for VerifierKey {}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

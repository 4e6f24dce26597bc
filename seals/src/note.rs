//! Checkpoints of C2SP tlog-checkpoint: the log, the tree's size and its root, as a signed note.

use signed_note::{Note, VerifierList};
use thiserror::Error;

use crate::{
    hash::Hash,
    keys::{SigningKey, VerifierKey},
};

/// Bytes that are read as a checkpoint, at most. Ours have some hundred.
const NOTE_BYTES_MAX: usize = 64 * 1024;

/// What is signed: a log had this many entries, and they hash to this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, the first line.
    pub origin: String,
    /// How many entries it had: the positions 1 to this.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

/// Why a text is no checkpoint to rely on.
#[derive(Debug, Error)]
pub enum NoteError {
    /// It is not a signed note at all.
    #[error("it is not a signed note: {0}")]
    Malformed(#[from] signed_note::NoteError),
    /// It is a signed note of something else.
    #[error("it is a signed note, but not of a checkpoint: {0}")]
    NotACheckpoint(&'static str),
    /// None of the keys that are known here signed it.
    #[error("none of the known keys signed it: it is signed by {found}, known is {known}")]
    UnknownKey {
        /// Names and ids of those that did.
        found: String,
        /// Names and ids of those that are known.
        known: String,
    },
    /// A known key's signature does not fit the text.
    #[error("the signature of {key} is not over this text: text or signature were changed")]
    WrongSignature {
        /// Its name and id.
        key: String,
    },
    /// The key is of another log than the text speaks of.
    #[error("it speaks of the log {found}, but the key is of {expected}")]
    OtherLog {
        /// The key's log.
        expected: String,
        /// The text's.
        found: String,
    },
}

impl Checkpoint {
    /// The text that is signed.
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// The signed note, signed by each of the keys.
    pub fn sign(&self, keys: &[SigningKey]) -> Result<String, NoteError> {
        let mut note = Note::new(self.text().as_bytes(), &[])?;
        for key in keys {
            key.sign(&mut note)?;
        }
        String::from_utf8(note.to_bytes()).map_err(|_| NoteError::NotACheckpoint("it is not UTF-8"))
    }

    /// What a note says, whoever signed it.
    pub fn read_unverified(note: &str) -> Result<Self, NoteError> {
        Self::of(&read(note)?)
    }

    /// What a note says that one of `keys` signed; every signature by one of them must be right. The log that it speaks of
    /// must be that of the key.
    pub fn verify(note: &str, keys: &[VerifierKey]) -> Result<Self, NoteError> {
        let note = read(note)?;
        let known = VerifierList::new(keys.iter().map(|key| Box::new(key.verifier.clone()) as Box<_>).collect());
        let (verified, unknown) = match note.verify(&known) {
            Ok(signatures) => signatures,
            Err(signed_note::NoteError::InvalidSignature { name, id }) => {
                return Err(NoteError::WrongSignature { key: format!("{name}+{id:08x}") });
            }
            Err(signed_note::NoteError::UnverifiedNote) => {
                let known = keys.iter().map(|key| format!("{}+{:08x}", key.origin(), key.id())).collect::<Vec<_>>();
                return Err(NoteError::UnknownKey { found: signers(&note), known: listed(&known) });
            }
            Err(error) => return Err(error.into()),
        };
        drop(unknown);
        let checkpoint = Self::of(&note)?;
        match verified.iter().find(|signature| signature.name() != checkpoint.origin) {
            Some(other) => Err(NoteError::OtherLog { expected: other.name().to_owned(), found: checkpoint.origin }),
            None => Ok(checkpoint),
        }
    }

    fn of(note: &Note) -> Result<Self, NoteError> {
        let wrong = NoteError::NotACheckpoint;
        let text = std::str::from_utf8(note.text()).map_err(|_| wrong("it is not UTF-8"))?;
        let mut lines = text.lines();
        let origin = lines.next().filter(|origin| !origin.is_empty()).ok_or(wrong("it names no log"))?;
        let size = lines.next().and_then(|line| Some((line, line.parse::<u64>().ok()?)));
        let (_, size) = size.filter(|(line, size)| size.to_string() == *line).ok_or(wrong("the tree has no size"))?;
        let root = lines.next().and_then(Hash::from_base64).ok_or(wrong("the tree has no root"))?;
        if lines.any(str::is_empty) {
            return Err(wrong("a further line is empty"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

fn read(note: &str) -> Result<Note, NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::NotACheckpoint("it is too long"));
    }
    Ok(Note::from_bytes(note.as_bytes())?)
}

/// Who signed, by the lines of the note itself.
fn signers(note: &Note) -> String {
    let bytes = note.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.rsplit("\n\n").next().unwrap_or_default().lines();
    let signatures = lines.filter_map(|line| signed_note::Signature::from_bytes(line.as_bytes()).ok());
    listed(&signatures.map(|signature| format!("{}+{:08x}", signature.name(), signature.id())).collect::<Vec<_>>())
}

fn listed(keys: &[String]) -> String {
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "boxoffice/x".to_owned(), size: 12, root: leaf_hash(b"root") }
    }

    #[test]
    fn what_is_signed_is_read_again_and_by_another_implementation_too() {
        let (key, next) = (SigningKey::random("boxoffice/x").unwrap(), SigningKey::random("boxoffice/x").unwrap());
        let note = checkpoint().sign(&[key.clone(), next.clone()]).unwrap();
        for known in [
            &[key.verifier().clone()][..],
            &[next.verifier().clone()],
            &[key.verifier().clone(), next.verifier().clone()],
        ] {
            assert_eq!(Checkpoint::verify(&note, known).unwrap(), checkpoint());
        }
        let (text, _) = note.split_once("\n\n").unwrap();
        let theirs = tlog_tiles::Checkpoint::from_bytes(format!("{text}\n").as_bytes()).unwrap();
        assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), ("boxoffice/x", 12, checkpoint().root.0));
    }

    #[test]
    fn each_forgery_is_called_by_its_name() {
        let key = SigningKey::random("boxoffice/x").unwrap();
        let known = [key.verifier().clone()];
        let note = checkpoint().sign(std::slice::from_ref(&key)).unwrap();
        let said = |note: &str, keys: &[VerifierKey]| Checkpoint::verify(note, keys).unwrap_err().to_string();
        assert!(said(&note.replace("\n12\n", "\n13\n"), &known).contains("not over this text"));
        let other = SigningKey::random("boxoffice/x").unwrap();
        assert!(said(&note, &[other.verifier().clone()]).contains("none of the known keys"));
        let elsewhere = SigningKey::random("boxoffice/y").unwrap();
        let foreign = checkpoint().sign(std::slice::from_ref(&elsewhere)).unwrap();
        assert!(said(&foreign, &[elsewhere.verifier().clone()]).contains("the log boxoffice/x"));
        assert!(said("hello\n", &known).contains("not a signed note"));
        for text in
            ["\n1\nx\n", "boxoffice/x\n01\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n", "boxoffice/x\n1\nTszz\n"]
        {
            let mut note = Note::new(text.as_bytes(), &[]).unwrap();
            key.sign(&mut note).unwrap();
            let note = String::from_utf8(note.to_bytes()).unwrap();
            assert!(said(&note, &known).contains("not of a checkpoint"), "{text}");
        }
    }

    #[test]
    fn a_key_survives_its_text_and_shows_only_its_public_half() {
        // Many of them: half have a plus in their Base64.
        for _ in 0..50 {
            let key = SigningKey::random("boxoffice/x").unwrap();
            assert_eq!(SigningKey::parse(key.secret_text()).unwrap().verifier(), key.verifier());
        }
        let key = SigningKey::random("boxoffice/x").unwrap();
        let again = SigningKey::parse(key.secret_text()).unwrap();
        assert_eq!(again.verifier(), key.verifier());
        assert_eq!(VerifierKey::parse(key.verifier().as_str()).as_ref(), Some(key.verifier()));
        assert!(!format!("{key:?}").contains("PRIVATE"));
        assert!(SigningKey::random("two words").is_none() && SigningKey::parse("PRIVATE+KEY+x").is_none());
        assert!(VerifierKey::parse(&key.verifier().as_str().replace("boxoffice", "b0xoffice")).is_none());
    }
}

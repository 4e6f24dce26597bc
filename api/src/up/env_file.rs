//! `env`: shell assignments for whoever wants to look in. Passwords in it are made once a data directory.

use std::{fmt::Write as _, fs, io::Write as _, os::unix::fs::OpenOptionsExt, path::Path};

/// An e-mail and a password to sign in with.
pub(super) struct Login {
    pub email: String,
    pub password: String,
}

/// What the file holds beside addresses.
pub(super) struct Env {
    pub organizer: Login,
    pub fan: Login,
}

const ORGANIZER_EMAIL: &str = "organizer@boxoffice.example";
const FAN_EMAIL: &str = "fan@boxoffice.example";
/// Bytes of randomness in a password.
const PASSWORD_BYTES: usize = 12;

impl Env {
    /// Writes the file anew with these addresses, and with the passwords it held before.
    pub fn kept_in(file: &Path, addresses: &[(&str, String)]) -> std::io::Result<Self> {
        let before = fs::read_to_string(file).unwrap_or_default();
        let login = |name: &str, email: &str| Login {
            email: email.to_owned(),
            password: value(&before, &format!("{name}_PASSWORD")).unwrap_or_else(password),
        };
        let env = Self { organizer: login("ORGANIZER", ORGANIZER_EMAIL), fan: login("FAN", FAN_EMAIL) };
        let mut text = String::new();
        let logins = [("ORGANIZER", &env.organizer), ("FAN", &env.fan)];
        let of_logins = logins.into_iter().flat_map(|(name, login)| {
            [(format!("{name}_EMAIL"), login.email.clone()), (format!("{name}_PASSWORD"), login.password.clone())]
        });
        let of_addresses = addresses.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        for (name, value) in of_addresses.chain(of_logins) {
            // Writing to a string cannot fail.
            let _infallible = writeln!(text, "{name}='{}'", value.replace('\'', r"'\''"));
        }
        let unfinished = file.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(unfinished, file)?;
        Ok(env)
    }
}

/// The value of `name` in the text of such a file.
pub(crate) fn value(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    let value = line.strip_prefix('\'').and_then(|line| line.strip_suffix('\'')).unwrap_or(line);
    (!value.is_empty()).then(|| value.replace(r"'\''", "'"))
}

fn password() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes: [u8; PASSWORD_BYTES] = rand::random();
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_made_once_and_addresses_every_time() {
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let file = dir.path().join("env");
        let keep = |url: &str| {
            let env = Env::kept_in(&file, &[("BOXOFFICE_URL", url.to_owned())]);
            env.map_or_else(|error| panic!("{error}"), |env| (env.organizer.password, env.fan.password))
        };
        let first = keep("http://127.0.0.1:1");
        assert_eq!(keep("http://127.0.0.1:2"), first);
        assert_ne!(first.0, first.1);
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(value(&text, "BOXOFFICE_URL").as_deref(), Some("http://127.0.0.1:2"));
    }
}

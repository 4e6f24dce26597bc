use std::path::{Path, PathBuf};

use super::{NatsOptions, SyncInterval};
use crate::Error;
use crate::secret::{kept_in, write_private};

/// The requests `reader` may make: look at streams, get messages, run pull consumers, acknowledge.
/// Absent, and so denied, is every request that creates, changes, purges or deletes a stream or deletes a message.
const READER_REQUESTS: [&str; 8] = [
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.DIRECT.GET.>",
    "$JS.API.CONSUMER.>",
    "$JS.ACK.>",
];

/// What everybody who is let in may follow.
const EVENTS: &str = "boxoffice.events.>";
/// The signed checkpoints, likewise.
const CHECKPOINTS: &str = "boxoffice.checkpoints";

/// The directory of a nats-server and what goes into its configuration file.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) dir: PathBuf,
    pub(crate) relay_password: String,
    pub(crate) reader_password: String,
    options: NatsOptions,
}

impl Config {
    /// `dir` is canonical, and ours.
    pub(crate) fn open(dir: PathBuf, options: NatsOptions) -> Result<Self, Error> {
        let relay_password = kept_in(&dir.join("relay-password"))?;
        let reader_password = kept_in(&dir.join("reader-password"))?;
        Ok(Self { dir, relay_password, reader_password, options })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("nats.conf")
    }

    pub(crate) fn store_dir(&self) -> PathBuf {
        self.dir.join("jetstream")
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.dir.join("nats.pid")
    }

    /// Writes the configuration file for this port.
    pub(crate) fn write(&self, port: u16) -> Result<(), Error> {
        let pid_file = quoted("the directory", &self.pid_file())?;
        let store_dir = quoted("the directory", &self.store_dir())?;
        let sync_interval = match self.options.sync_interval {
            SyncInterval::Always => "always".to_owned(),
            SyncInterval::Every(interval) => format!("\"{}ms\"", interval.as_millis()),
        };
        let lines = |line: &dyn Fn(&str) -> String| READER_REQUESTS.map(line).join("\n");
        // A pull consumer answers one request with many messages.
        let exports = lines(&|subject| format!("      {{ service: \"{subject}\", response: stream }}"));
        let imports = lines(&|subject| format!("      {{ service {{ account: EVENTS, subject: \"{subject}\" }} }}"));
        let text = format!(
            r#"# Written at every start by boxoffice.
listen: "127.0.0.1:{port}"
server_name: boxoffice
pid_file: {pid_file}
max_payload: {max_payload_bytes}
jetstream {{
  store_dir: {store_dir}
  sync_interval: {sync_interval}
}}
# Two accounts, because permissions alone do not keep a reader from writing: whoever may make a request also names the
# subject for the answer, and the server would publish it there, into the stream. Answers to another account are sent
# through a subject of the server's own choice.
accounts {{
  EVENTS {{
    jetstream: enabled
    users: [ {{ user: relay, password: "{relay_password}" }} ]
    exports: [
      {{ stream: "{EVENTS}" }}
      {{ stream: "{CHECKPOINTS}" }}
{exports}
    ]
  }}
  READERS {{
    users: [ {{
      user: reader, password: "{reader_password}"
      permissions {{
        publish {{ allow: {READER_REQUESTS:?} }}
        subscribe {{ allow: ["{EVENTS}", "{CHECKPOINTS}", "_INBOX.>"] }}
      }}
    }} ]
    imports: [
      {{ stream {{ account: EVENTS, subject: "{EVENTS}" }} }}
      {{ stream {{ account: EVENTS, subject: "{CHECKPOINTS}" }} }}
{imports}
    ]
  }}
}}
{extra_config}
"#,
            max_payload_bytes = self.options.max_payload_bytes,
            relay_password = self.relay_password,
            reader_password = self.reader_password,
            extra_config = self.options.extra_config,
        );
        write_private(&self.path(), &text)
    }
}

/// A path as a string of nats-server's configuration language, which has no way to write some characters.
fn quoted(name: &'static str, path: &Path) -> Result<String, Error> {
    let text = path.display().to_string();
    if text.contains(['"', '\\', '\n']) {
        return Err(Error::Setting { name, value: text });
    }
    Ok(format!("\"{text}\""))
}

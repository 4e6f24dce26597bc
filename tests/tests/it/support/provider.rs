//! The provider's simulator as a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use super::command;

/// What it says once it listens.
const READY: &str = "ready ";

/// `boxoffice provider`. Dropping it kills it.
pub struct Provider {
    process: Child,
    url: String,
}

impl Provider {
    /// One that answers, on a port of its own.
    pub async fn start(arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(["provider", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = process.stdout.take().unwrap();
        let reading = tokio::task::spawn_blocking(move || BufReader::new(stdout).lines().next());
        let first = reading.await.unwrap().expect("a line before stdout closes").unwrap();
        let url = first.strip_prefix(READY).unwrap_or_else(|| panic!("not ready: {first}")).trim_end_matches('/');
        Self { process, url: url.to_owned() }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

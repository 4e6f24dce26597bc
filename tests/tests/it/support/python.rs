//! Programs in Python, which use libraries that know nothing of us.

use std::{
    path::Path,
    process::{Command, Output},
};

/// The exit code of a program that lacks a library.
const NO_LIBRARY: i32 = 3;

/// Runs a program to its end. Libraries that it lacks are installed for it from its list of requirements, and forgotten
/// afterwards. Fails, with the reason, where that is impossible here.
pub async fn python(
    program: &'static str,
    requirements: &'static str,
    arguments: Vec<String>,
) -> Result<Output, String> {
    let running = tokio::task::spawn_blocking(move || {
        let packages = tempfile::tempdir().map_err(|error| error.to_string())?;
        let output = run(program, &arguments, packages.path())?;
        if output.status.code() != Some(NO_LIBRARY) {
            return Ok(output);
        }
        install(requirements, packages.path())?;
        run(program, &arguments, packages.path())
    });
    running.await.unwrap()
}

/// Names the variable of the environment that allows tests to be skipped which need libraries from a package index.
pub const MAY_SKIP: &str = "BOXOFFICE_SKIP_CLIENT_LIBRARIES";

/// What such a program has said; nothing where it could not be run, which is a failure unless [`MAY_SKIP`] is set: a test
/// that is never run looks like one that passes.
pub async fn python_unless_skipped(
    program: &'static str,
    requirements: &'static str,
    arguments: Vec<String>,
) -> Option<Output> {
    match python(program, requirements, arguments).await {
        Ok(output) => Some(output),
        Err(why) if std::env::var_os(MAY_SKIP).is_some() => {
            eprintln!("SKIPPED, as {MAY_SKIP} allows: {why}");
            None
        }
        Err(why) => panic!("there are no client libraries here: {why}; {MAY_SKIP}=1 skips what needs them"),
    }
}

fn run(program: &str, arguments: &[String], packages: &Path) -> Result<Output, String> {
    Command::new("python3")
        .arg(program)
        .args(arguments)
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // What it speaks to is on this machine.
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .map_err(|error| format!("python3: {error}"))
}

fn install(requirements: &str, packages: &Path) -> Result<(), String> {
    let pip = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"])
        .args(["--only-binary=:all:", "--target"])
        .arg(packages)
        .args(["-r", requirements])
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    if pip.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&pip.stderr).into_owned()) }
}

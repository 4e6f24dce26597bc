//! The file `env` of a data directory: shell assignments for whoever wants to look in.

use std::{collections::HashMap, fs, path::Path};

/// What a system tells about itself.
#[derive(Debug, Default)]
pub struct Settings(HashMap<String, String>);

impl Settings {
    /// Reads the file; every line is an assignment, a comment, or empty.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let assignments = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            assignments.map(|line| assignment(line).unwrap_or_else(|| panic!("not an assignment: {line:?}"))).collect(),
        )
    }

    /// A value that must be there.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("env has no {name}, only {:?}", self.0.keys()))
    }
}

fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let unquoted = ['\'', '"'].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let is_name = name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
    is_name.then(|| (name.to_owned(), unquoted.unwrap_or(value).to_owned()))
}

//! What came out, for people and for scripts.

mod cpu;
mod figures;
mod table;

use std::{collections::BTreeMap, fs, path::Path};

pub(crate) use cpu::Cpu;
pub(crate) use figures::{Figures, Millis, RoundFigures};
use serde::Serialize;
pub(crate) use table::print;

use crate::{
    error::{Doing as _, Error},
    machine::Machine,
    scenarios::{Check, Name},
};

/// Everything about one run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub machine: Machine,
    pub settings: RunSettings,
    pub scenarios: BTreeMap<Name, Figures>,
    pub memory: Memory,
    pub checks: Vec<Check>,
    /// Warnings and errors in the product's log.
    pub complaints: Vec<String>,
}

/// How it was run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunSettings {
    pub connections: usize,
    pub rounds: u32,
    pub round_seconds: f64,
    pub warm_ups: u32,
    pub quick: bool,
}

/// Memory at the end of the run, with every booking of it made, in megabytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    /// Resident when everything was ready, before the first booking.
    pub product_at_start_mb: Option<f64>,
    pub product_mb: Option<f64>,
    /// Shared buffers included, counted once.
    pub postgres_mb: Option<f64>,
    pub nats_mb: Option<f64>,
    pub generator_mb: Option<f64>,
    /// Events in the journal by then.
    pub events: u64,
}

impl Report {
    /// Whether what was measured is worth anything.
    pub fn is_sound(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// Writes it as JSON.
pub(crate) fn write_json(report: &Report, file: &Path) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(report)
        .unwrap_or_else(|error| unreachable!("a report has string keys and finite numbers: {error}"));
    fs::write(file, text + "\n").doing(format!("writing {}", file.display()))
}

//! What came out, for people and for scripts.

mod cpu;
mod figures;
mod plots;
mod table;
mod targets;

use std::{collections::BTreeMap, fs, path::Path};

pub(crate) use cpu::Cpu;
pub(crate) use figures::{Entry, Figures, Millis, RoundFigures, median};
pub(crate) use plots::draw;
use serde::Serialize;
pub(crate) use table::print;
pub(crate) use targets::{Target, targets};

use crate::{
    error::{Doing as _, Error},
    machine::Machine,
    processes::{memory_mb_of_tree, resident_mb},
    scenarios::{Check, Name, Size, Stage},
};

/// Everything about one run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub machine: Machine,
    pub settings: RunSettings,
    pub scenarios: BTreeMap<Name, Entry>,
    pub targets: Vec<Target>,
    /// By product: `fresh` began empty, `grown` has a long past.
    pub memory: BTreeMap<&'static str, Memory>,
    /// The most that the load generator had.
    pub generator_mb: Option<f64>,
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
    pub size: Size,
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
    /// Events in the journal by then.
    pub events: u64,
}

impl Memory {
    /// Of a product, now.
    pub async fn of(stage: &mut Stage, product_at_start_mb: Option<f64>) -> Result<Self, Error> {
        let product = &stage.product;
        Ok(Self {
            product_at_start_mb,
            product_mb: resident_mb(product.pid()),
            postgres_mb: product.postgres_pid().and_then(memory_mb_of_tree),
            nats_mb: product.nats_pid().and_then(resident_mb),
            events: stage.office.readiness().await?.journal,
        })
    }
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

//! The machine that the figures come from.

use std::{fs, thread};

use serde::Serialize;

/// What it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    memory_mb: u64,
    system: String,
    /// Mean number of running tasks in the minute before the run.
    load_before: f64,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let line = |text: &str, field: &str| {
            let value = text.lines().find(|line| line.starts_with(field)).and_then(|line| line.split_once(':'));
            value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
        };
        let memory = line(&read("/proc/meminfo"), "MemTotal");
        Self {
            cores: thread::available_parallelism().map_or(1, Into::into),
            processor: line(&read("/proc/cpuinfo"), "model name"),
            memory_mb: memory.split(' ').next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1_024,
            system: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            load_before: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    /// In one line.
    pub fn describe(&self) -> String {
        let Self { cores, processor, memory_mb, system, load_before } = self;
        format!("{cores} cores of {processor}, {memory_mb} MB, {system}; load before the run {load_before:.2}")
    }
}

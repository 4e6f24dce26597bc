//! Who used the processor.

use serde::Serialize;

use crate::{
    processes::{Pid, cpu_seconds, cpu_seconds_of_machine, cpu_seconds_of_tree},
    product::Product,
};

/// Processor time in seconds. Where it is not known it is 0, everywhere.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cpu {
    pub generator: f64,
    pub product: f64,
    pub postgres: f64,
    pub nats: f64,
    /// The server of a limit.
    pub limit: f64,
    /// Everybody else on the machine: what disturbed the measurement. The kernel's own part is in it.
    pub others: f64,
}

impl Cpu {
    /// As of now, since each began.
    pub fn now(product: &Product, limit: Option<Pid>) -> Self {
        let of = |seconds: Option<f64>| seconds.unwrap_or(0.0);
        let mut now = Self {
            generator: of(cpu_seconds(std::process::id())),
            product: of(cpu_seconds(product.pid())),
            postgres: of(product.postgres_pid().and_then(cpu_seconds_of_tree)),
            nats: of(product.nats_pid().and_then(cpu_seconds)),
            limit: of(limit.and_then(cpu_seconds)),
            others: 0.0,
        };
        now.others = of(cpu_seconds_of_machine()) - now.generator - now.server();
        now
    }

    /// What was used since `before`.
    pub fn since(self, before: Self) -> Self {
        let less = |now: f64, before: f64| (now - before).max(0.0);
        Self {
            generator: less(self.generator, before.generator),
            product: less(self.product, before.product),
            postgres: less(self.postgres, before.postgres),
            nats: less(self.nats, before.nats),
            limit: less(self.limit, before.limit),
            others: less(self.others, before.others),
        }
    }

    /// Together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            generator: self.generator + other.generator,
            product: self.product + other.product,
            postgres: self.postgres + other.postgres,
            nats: self.nats + other.nats,
            limit: self.limit + other.limit,
            others: self.others + other.others,
        }
    }

    /// All that serves.
    pub fn server(&self) -> f64 {
        self.product + self.postgres + self.nats + self.limit
    }
}

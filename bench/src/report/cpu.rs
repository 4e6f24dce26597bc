//! Who used the processor.

use serde::Serialize;

use crate::{
    processes::{Pid, cpu_seconds, cpu_seconds_of_machine, cpu_seconds_of_tree},
    product::Product,
    scenarios::Used,
};

/// Processor time in seconds. Where it is not known it is 0, everywhere.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cpu {
    pub generator: f64,
    pub product: f64,
    pub postgres: f64,
    pub nats: f64,
    /// The server of a limit or of a peer with its provider, or the command that was measured.
    pub own: f64,
    /// Everybody else on the machine: what disturbed the measurement. The kernel's own part is in it.
    pub others: f64,
}

impl Cpu {
    /// As of now, since each began.
    pub fn now(product: &Product, own: &[Pid]) -> Self {
        let of = |seconds: Option<f64>| seconds.unwrap_or(0.0);
        let mut now = Self {
            generator: of(cpu_seconds(std::process::id())),
            product: of(cpu_seconds(product.pid())),
            postgres: of(product.postgres_pid().and_then(cpu_seconds_of_tree)),
            nats: of(product.nats_pid().and_then(cpu_seconds)),
            own: own.iter().map(|pid| of(cpu_seconds(*pid))).sum(),
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
            own: less(self.own, before.own),
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
            own: self.own + other.own,
            others: self.others + other.others,
        }
    }

    /// With what a process used that has ended by now, which was nobody's before.
    pub fn with(self, used: Option<Used>) -> Self {
        let seconds = used.map_or(0.0, |used| used.cpu_seconds);
        Self { own: self.own + seconds, others: (self.others - seconds).max(0.0), ..self }
    }

    /// The generator's part of all that was used, the others' included; `None` where nothing is known.
    pub fn generator_share(&self) -> Option<f64> {
        let all = self.generator + self.server() + self.others;
        (all > 0.0).then(|| self.generator / all)
    }

    /// All that serves.
    pub fn server(&self) -> f64 {
        self.product + self.postgres + self.nats + self.own
    }
}

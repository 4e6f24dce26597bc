//! One run: every scenario takes its turn in every round, so that what disturbs one disturbs all.

use std::{collections::BTreeMap, path::PathBuf, process, time::Duration};

use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use crate::{
    cli::Cli,
    error::{Doing as _, Error},
    load::{Latency, Load, Pace},
    machine::Machine,
    processes::{forget_peak, memory_mb_of_tree, peak_resident_mb, resident_mb},
    product::Product,
    report::{Cpu, Figures, Memory, Millis, Report, RoundFigures, RunSettings},
    scenarios::{Check, Name, Office, Scenario, Stage},
};

/// The part of its maximum rate at which a scenario's latencies are measured.
const LATENCY_RATE: f64 = 0.5;

/// A scenario under way.
struct Running {
    name: Name,
    scenario: Box<dyn Scenario>,
    rounds: Vec<RoundFigures>,
    latency: Latency,
    failures: BTreeMap<String, u64>,
}

/// Runs what the command line asks for.
pub(crate) async fn run(cli: &Cli) -> Result<Report, Error> {
    let machine = Machine::here();
    let temp = tempfile::Builder::new().prefix("boxoffice-bench-").tempdir().doing("creating a directory")?;
    let data: PathBuf = cli.data.clone().unwrap_or_else(|| temp.path().join("data"));
    say("starting the product");
    let product = Product::start(&data)?;
    let office = Office::open(&product).await?;
    let product_at_start_mb = resident_mb(product.pid());
    let mut stage = Stage { product, office, connections: cli.connections };
    let mut all = Vec::new();
    for name in cli.names() {
        let scenario = name.prepare(&mut stage).await?;
        let (rounds, latency, failures) = (Vec::new(), Latency::default(), BTreeMap::new());
        all.push(Running { name, scenario, rounds, latency, failures });
    }
    let load = Load { pace: Pace::Closed, lasts: cli.round() };
    for warm_up in 1..=cli.warm_ups() {
        for running in &mut all {
            say(&format!("warm-up {warm_up}: {}", running.name.as_str()));
            running.scenario.round(&mut stage, load).await?;
        }
    }
    for round in 1..=cli.rounds() {
        for running in &mut all {
            running.measure(&mut stage, load).await?;
            let rate = running.rounds.last().map_or(0.0, |round| round.per_second);
            say(&format!("round {round}: {} {rate:.0} {} a second", running.name.as_str(), running.name.counts()));
        }
    }
    let mut scenarios = BTreeMap::new();
    let mut checks = Vec::new();
    for mut running in all {
        let figures = running.figures(&mut stage, cli.round()).await?;
        checks.extend(running.scenario.checks(&mut stage).await?);
        scenarios.insert(running.name, figures);
    }
    checks.extend(of_log(&mut stage).await?);
    let memory = memory(&mut stage, product_at_start_mb).await?;
    let complaints = stage.product.complaints();
    stage.product.stop()?;
    let settings = RunSettings {
        connections: cli.connections,
        rounds: cli.rounds(),
        round_seconds: cli.round().as_secs_f64(),
        warm_ups: cli.warm_ups(),
        quick: cli.quick,
    };
    Ok(Report { machine, settings, scenarios, memory, checks, complaints })
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}

impl Running {
    #[expect(clippy::cast_precision_loss, reason = "counts of a round are far below 2^52")]
    async fn measure(&mut self, stage: &mut Stage, load: Load) -> Result<(), Error> {
        let before = stage.office.settled().await?;
        let server = self.scenario.server().unwrap_or_else(|| stage.product.pid());
        forget_peak(server);
        let cpu = Cpu::now(&stage.product, self.scenario.server());
        let begin = Instant::now();
        let round = self.scenario.round(stage, load).await?;
        let took = begin.elapsed();
        let lag = stage.office.readiness().await?.lag();
        let answered = Instant::now();
        let after = stage.office.settled().await?;
        let done = round.outcome.done;
        let per_second = round.outcome.in_time as f64 / load.lasts.as_secs_f64();
        let events_each = match self.name {
            Name::HttpLimit => None,
            Name::JournalLimit => Some(1.0),
            Name::Book | Name::Accept | Name::Lifecycle => {
                Some((after.journal - before.journal) as f64 / done.max(1) as f64)
            }
        };
        let rss_mb = match self.name {
            Name::JournalLimit => stage.product.postgres_pid().and_then(memory_mb_of_tree),
            Name::HttpLimit | Name::Book | Name::Accept | Name::Lifecycle => peak_resident_mb(server),
        };
        self.rounds.push(RoundFigures {
            per_second,
            events_per_second: events_each.map(|each| each * per_second),
            done,
            failed: round.outcome.failed(),
            drain_seconds: round.drain.map(|drain| drain.as_secs_f64()),
            per_second_drained: round.drain.map(|_| done as f64 / took.as_secs_f64()),
            lag,
            settle_seconds: answered.elapsed().as_secs_f64(),
            cpu: Cpu::now(&stage.product, self.scenario.server()).since(cpu),
            rss_mb,
        });
        self.latency.add(&round.outcome.latency);
        self.note(round.outcome.failures);
        Ok(())
    }

    fn note(&mut self, failures: BTreeMap<String, u64>) {
        for (failure, times) in failures {
            *self.failures.entry(failure).or_default() += times;
        }
    }

    /// The figures, with the latencies at half of the maximum rate.
    async fn figures(&mut self, stage: &mut Stage, lasts: Duration) -> Result<Figures, Error> {
        let mut figures = Figures::of(self.name.counts(), std::mem::take(&mut self.rounds), &self.latency);
        let per_second = figures.per_second * LATENCY_RATE;
        if self.name.has_open_loop() && per_second > 0.0 {
            say(&format!("latency: {} at {per_second:.0} a second", self.name.as_str()));
            stage.office.settled().await?;
            let load = Load { pace: Pace::Open { per_second }, lasts };
            let round = self.scenario.round(stage, load).await?;
            figures.latency = Millis::of(&round.outcome.latency);
            figures.latency_at_per_second = Some(per_second);
            self.note(round.outcome.failures);
        }
        figures.failures = std::mem::take(&mut self.failures);
        Ok(figures)
    }
}

/// The log has no hole, and the mirror has all of it.
async fn of_log(stage: &mut Stage) -> Result<Vec<Check>, Error> {
    let readiness = stage.office.settled().await?;
    let mut connection = PgConnection::connect(stage.product.setting("DATABASE_URL")?).await?;
    let (count, last): (i64, i64) =
        sqlx::query_as("SELECT count(*), max(position) FROM events").fetch_one(&mut connection).await?;
    connection.close().await?;
    let (count, last) = (count.cast_unsigned(), last.cast_unsigned());
    Ok(vec![
        Check::equal("journal: last position is the number of events", count, last),
        Check::equal("journal: readiness knows its end", last, readiness.journal),
        Check::equal("mirror: its last sequence", last, readiness.relay),
    ])
}

async fn memory(stage: &mut Stage, product_at_start_mb: Option<f64>) -> Result<Memory, Error> {
    let product = &stage.product;
    Ok(Memory {
        product_at_start_mb,
        product_mb: resident_mb(product.pid()),
        postgres_mb: product.postgres_pid().and_then(memory_mb_of_tree),
        nats_mb: product.nats_pid().and_then(resident_mb),
        generator_mb: peak_resident_mb(process::id()),
        events: stage.office.readiness().await?.journal,
    })
}

//! One run: every scenario takes its turn in every round, so that what disturbs one disturbs all, and each figure is
//! measured beside what it is compared with.

use std::{collections::BTreeMap, path::PathBuf, process, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    cli::Cli,
    error::{Doing as _, Error},
    grown::{self, Past, Plan},
    load::{Latency, Load, Pace},
    log,
    machine::Machine,
    processes::{forget_peak, memory_mb_of_tree, peak_resident_mb, resident_mb},
    product::Product,
    report::{Cpu, Entry, Figures, Memory, Millis, Report, RoundFigures, RunSettings, median, targets},
    scenarios::{Check, Events, MemoryOf, Name, Office, Place, Round, Scenario, Stage, prepare, run_command},
    used,
};

/// The part of its maximum rate at which a scenario's latencies are measured.
const LATENCY_RATE: f64 = 0.5;
/// Rounds at that rate, at most.
const LATENCY_ROUNDS_MAX: u32 = 3;

/// A scenario under way.
struct Running {
    name: Name,
    scenario: Box<dyn Scenario>,
    rounds: Vec<RoundFigures>,
    latency: Latency,
    /// At half of the maximum rate.
    open: Option<Open>,
    failures: BTreeMap<String, u64>,
}

/// What was measured at a fixed rate.
struct Open {
    per_second: f64,
    latency: Latency,
    cpu: Cpu,
}

/// The products that there are.
struct Stages {
    fresh: Stage,
    grown: Option<(Stage, Past)>,
}

impl Stages {
    fn of(&mut self, name: Name) -> &mut Stage {
        match (name.place(), &mut self.grown) {
            (Place::Grown, Some((stage, _))) => stage,
            (Place::Fresh | Place::Grown, _) => &mut self.fresh,
        }
    }

    fn all(&mut self) -> impl Iterator<Item = (&'static str, &mut Stage)> {
        let grown = self.grown.iter_mut().map(|(stage, _)| ("grown", stage));
        std::iter::once(("fresh", &mut self.fresh)).chain(grown)
    }
}

/// Runs what the command line asks for.
pub(crate) async fn run(cli: &Cli) -> Result<Report, Error> {
    let machine = Machine::here();
    let temp = tempfile::Builder::new().prefix("boxoffice-bench-").tempdir().doing("creating a directory")?;
    let data: PathBuf = cli.data.clone().unwrap_or_else(|| temp.path().join("data"));
    let (names, size) = (cli.names(), cli.size());
    let grown = if names.iter().any(|name| name.place() == Place::Grown) {
        say(&format!("making a log of {} events", size.events));
        let begin = Instant::now();
        let grown = grown::make(&data.join("grown"), &Plan { events: size.events }, cli.connections).await?;
        say(&format!("the product has caught up with it; that took {:.0} s", begin.elapsed().as_secs_f64()));
        Some(grown)
    } else {
        None
    };
    say("starting the product");
    let product = Product::start(&data.join("fresh"))?;
    if !cli.quick {
        used::fill(&product).await?;
    }
    let office = Office::open(&product).await?;
    let mut stages = Stages { fresh: Stage { product, office, connections: cli.connections }, grown };
    let at_start: Vec<_> = stages.all().map(|(_, stage)| resident_mb(stage.product.pid())).collect();

    let mut scenarios = BTreeMap::new();
    let mut all = Vec::new();
    for name in names {
        let past = stages.grown.as_ref().map(|(_, past)| *past);
        match prepare(name, stages.of(name), past, size).await? {
            Ok(scenario) => {
                all.push(Running::new(name, scenario));
            }
            Err(why) => {
                say(&format!("{}: not there ({why})", name.as_str()));
                scenarios.insert(name, Entry::not_there(why));
            }
        }
    }
    let load = Load { pace: Pace::Closed, lasts: cli.round(), times: None };
    for warm_up in 1..=cli.warm_ups() {
        for running in &mut all {
            say(&format!("warm-up {warm_up}: {}", running.name.as_str()));
            running.scenario.round(stages.of(running.name), load).await?;
        }
    }
    for round in 1..=cli.rounds() {
        for running in &mut all {
            running.measure(stages.of(running.name), load).await?;
            let rate = running.rounds.last().map_or(0.0, |round| round.per_second);
            say(&format!("round {round}: {} {rate:.0} {} a second", running.name.as_str(), running.name.counts()));
        }
    }
    for round in 1..=cli.rounds().min(LATENCY_ROUNDS_MAX) {
        for running in all.iter_mut().filter(|running| running.name.has_open_loop()) {
            say(&format!("latencies {round}: {}", running.name.as_str()));
            running.measure_open(stages.of(running.name), cli.round()).await?;
        }
    }
    let mut checks = Vec::new();
    for running in all {
        checks.extend(running.scenario.checks(stages.of(running.name)).await?);
        scenarios.insert(running.name, Entry::Measured(Box::new(running.figures())));
    }
    let (mut memory, mut complaints) = (BTreeMap::new(), Vec::new());
    for ((which, stage), at_start) in stages.all().zip(at_start) {
        checks.extend(log::check(which, stage).await?);
        checks.extend(audit(which, stage).await?);
        memory.insert(which, Memory::of(stage, at_start).await?);
        complaints.extend(stage.product.complaints());
    }
    stages.fresh.product.stop()?;
    if let Some((stage, _)) = stages.grown {
        stage.product.stop()?;
    }
    let settings = RunSettings {
        connections: cli.connections,
        rounds: cli.rounds(),
        round_seconds: cli.round().as_secs_f64(),
        warm_ups: cli.warm_ups(),
        quick: cli.quick,
        size,
    };
    let generator_mb = peak_resident_mb(process::id());
    let targets = targets(&scenarios);
    Ok(Report { machine, settings, scenarios, targets, memory, generator_mb, checks, complaints })
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}

/// `audit verify` on what the benchmark has left, where the product has it; it ends the run when it finds something.
async fn audit(which: &str, stage: &Stage) -> Result<Vec<Check>, Error> {
    const VERIFY: [&str; 2] = ["audit", "verify"];
    if run_command(&stage.product, &[VERIFY[0], VERIFY[1], "--help"]).await.is_err() {
        return Ok(Vec::new());
    }
    say(&format!("audit verify: {which}"));
    let verdict = run_command(&stage.product, &VERIFY).await;
    let (holds, found) = match verdict {
        Ok(_) => (true, "passes".to_owned()),
        Err(error) => (false, error.to_string()),
    };
    Ok(vec![Check { what: format!("{which}: audit verify"), expected: "passes".to_owned(), found, holds }])
}

impl Running {
    fn new(name: Name, scenario: Box<dyn Scenario>) -> Self {
        let (rounds, latency, failures) = (Vec::new(), Latency::default(), BTreeMap::new());
        Self { name, scenario, rounds, latency, open: None, failures }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a round are far below 2^52")]
    async fn measure(&mut self, stage: &mut Stage, load: Load) -> Result<(), Error> {
        let before = stage.office.settled().await?;
        let server = self.scenario.servers().first().copied().unwrap_or_else(|| stage.product.pid());
        forget_peak(server);
        let rss_start_mb = resident_mb(server);
        let cpu = Cpu::now(&stage.product, &self.scenario.servers());
        let half = async {
            sleep(load.lasts / 2).await;
            resident_mb(server)
        };
        let begin = Instant::now();
        let (round, rss_middle_mb) = {
            // Where a round ends before its half, what it had at the end is as good.
            let mut half = std::pin::pin!(half);
            let mut round = self.scenario.round(stage, load);
            tokio::select! {
                round = &mut round => (round?, resident_mb(server)),
                middle = &mut half => (round.await?, middle),
            }
        };
        let took = begin.elapsed();
        let rss_end_mb = resident_mb(server);
        let lag = stage.office.readiness().await?.lag();
        let answered = Instant::now();
        let after = stage.office.settled().await?;
        let Round { outcome, drain, took: of_its_own, used } = round;
        let done = outcome.done;
        let per_second = match of_its_own {
            Some(took) => done as f64 / took.as_secs_f64(),
            None => outcome.in_time as f64 / load.lasts.as_secs_f64(),
        };
        let events_each = match self.name.events() {
            Events::None => None,
            Events::One => Some(1.0),
            Events::Counted => Some((after.journal - before.journal) as f64 / done.max(1) as f64),
        };
        let rss_mb = match self.name.memory_of() {
            MemoryOf::Postgres => stage.product.postgres_pid().and_then(memory_mb_of_tree),
            MemoryOf::Command => used.and_then(|used| used.rss_mb),
            MemoryOf::Server => peak_resident_mb(server),
        };
        self.rounds.push(RoundFigures {
            per_second,
            events_per_second: events_each.map(|each| each * per_second),
            done,
            failed: outcome.failed(),
            seconds: of_its_own.map(|took| took.as_secs_f64()),
            drain_seconds: drain.map(|drain| drain.as_secs_f64()),
            per_second_drained: drain.map(|_| done as f64 / took.as_secs_f64()),
            journal_before: before.journal,
            lag,
            settle_seconds: answered.elapsed().as_secs_f64(),
            cpu: Cpu::now(&stage.product, &self.scenario.servers()).since(cpu).with(used),
            rss_mb,
            rss_start_mb,
            rss_middle_mb,
            rss_end_mb,
        });
        self.latency.add(&outcome.latency);
        self.note(outcome.failures);
        Ok(())
    }

    fn note(&mut self, failures: BTreeMap<String, u64>) {
        for (failure, times) in failures {
            *self.failures.entry(failure).or_default() += times;
        }
    }

    /// A round at half of the maximum rate.
    async fn measure_open(&mut self, stage: &mut Stage, lasts: Duration) -> Result<(), Error> {
        let maximum = median(self.rounds.iter().map(|round| round.per_second)).unwrap_or(0.0);
        let open = self.open.get_or_insert_with(|| Open {
            per_second: maximum * LATENCY_RATE,
            latency: Latency::default(),
            cpu: Cpu::default(),
        });
        if open.per_second <= 0.0 {
            return Ok(());
        }
        stage.office.settled().await?;
        let load = Load { pace: Pace::Open { per_second: open.per_second }, lasts, times: None };
        let cpu = Cpu::now(&stage.product, &self.scenario.servers());
        let round = self.scenario.round(stage, load).await?;
        open.cpu = open.cpu.plus(Cpu::now(&stage.product, &self.scenario.servers()).since(cpu));
        open.latency.add(&round.outcome.latency);
        self.note(round.outcome.failures);
        Ok(())
    }

    /// What came out.
    fn figures(self) -> Figures {
        let mut figures = Figures::of(self.name.counts(), self.rounds, &self.latency);
        if let Some(open) = self.open {
            figures.latency = Millis::of(&open.latency);
            figures.histogram = open.latency;
            figures.latency_at_per_second = Some(open.per_second);
            figures.generator_share_open = open.cpu.generator_share();
        }
        figures.failures = self.failures;
        figures
    }
}

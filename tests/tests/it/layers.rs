//! The allowed direction of dependency. What a crate may not see, it cannot come to need.

use std::{env, fmt, process::Command};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Every room of the house, and the rooms it may look into.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("aggregates", &[]),
    ("stack", &[]),
    ("journal", &["aggregates"]),
    ("seals", &["aggregates", "journal"]),
    ("nats", &["aggregates", "journal"]),
    ("payments", &["aggregates", "journal"]),
    ("saga", &["aggregates", "journal"]),
    // It may use the envelope of `nats`.
    ("projections", &["aggregates", "journal", "nats"]),
    // It looks at what the saga and payments wrote; they themselves make the logs of its tests.
    ("audit", &["aggregates", "journal", "nats", "projections", "seals", "saga", "payments"]),
    ("api", &["aggregates", "journal", "nats", "payments", "projections", "saga", "seals", "audit", "stack"]),
    // The real stack is there for its tests; the proof itself is in memory.
    ("proof", &["aggregates", "payments", "journal", "saga"]),
    ("bench", &["aggregates", "journal", "nats", "payments", "projections", "saga", "stack", "api"]),
    ("tests", &["aggregates", "journal", "nats", "payments", "projections", "saga", "stack", "api"]),
];

/// Starts real servers, which is what tests are made with; so every room may, for its tests only.
const FOR_TESTS: &str = "stack";

/// What the domain never names: I/O of any kind.
const NOT_IN_THE_DOMAIN: [&str; 8] =
    ["sqlx", "axum", "async-nats", "tokio", "reqwest", "rusqlite", "hyper", "postgres-es"];

/// Brought in by cqrs-es (for its event sink's lock); the domain itself may not name it.
const BY_WAY_OF_OTHERS: &str = "tokio";

/// One crate of ours that depends on another of ours.
struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    kind: DependencyKind,
}

impl fmt::Display for Edge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} ({:?} dependency)", self.from, self.to, self.kind)
    }
}

impl Edge<'_> {
    fn is_allowed(&self) -> bool {
        let into = ALLOWED.iter().find(|(room, _)| *room == self.from).map_or(&[] as &[&str], |(_, into)| into);
        into.contains(&self.to) || (self.kind == DependencyKind::Development && self.to == FOR_TESTS)
    }
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap()
}

#[test]
fn no_crate_depends_on_one_it_may_not_see() {
    let metadata = metadata();
    let ours: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let edges = metadata.packages.iter().flat_map(|package| {
        let into_ours = package.dependencies.iter().filter(|dependency| ours.contains(&dependency.name.as_str()));
        into_ours.map(|to| Edge { from: package.name.as_str(), to: &to.name, kind: to.kind })
    });
    let forbidden: Vec<String> = edges.filter(|edge| !edge.is_allowed()).map(|edge| edge.to_string()).collect();
    assert!(forbidden.is_empty(), "against the direction of dependency: {}", forbidden.join(", "));
}

#[test]
fn every_crate_has_its_place() {
    let metadata = metadata();
    let places = ALLOWED.map(|(room, _)| room);
    let lost: Vec<_> = metadata.packages.iter().filter(|package| !places.contains(&package.name.as_str())).collect();
    assert!(lost.is_empty(), "no rule says what these may depend on: {lost:?}");
}

#[test]
fn an_edge_against_the_direction_is_found_and_named() {
    let edge = |from, to, kind| Edge { from, to, kind };
    for forbidden in [
        edge("journal", "nats", DependencyKind::Normal),
        edge("saga", "payments", DependencyKind::Development),
        edge("journal", "stack", DependencyKind::Normal),
        edge("aggregates", "journal", DependencyKind::Development),
        edge("stack", "aggregates", DependencyKind::Development),
        edge("payments", "api", DependencyKind::Build),
        edge("somewhere", "aggregates", DependencyKind::Normal),
    ] {
        assert!(!forbidden.is_allowed(), "{forbidden}");
    }
    assert!(edge("api", "stack", DependencyKind::Normal).is_allowed());
    assert!(edge("journal", "stack", DependencyKind::Development).is_allowed());
    let named = edge("journal", "nats", DependencyKind::Normal).to_string();
    assert_eq!(named, "journal -> nats (Normal dependency)");
}

#[test]
fn the_domain_does_no_io() {
    let metadata = metadata();
    let domain = metadata.packages.iter().find(|package| package.name.as_str() == "aggregates").unwrap();
    let named = domain.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    let io: Vec<&str> = named.map(|to| to.name.as_str()).filter(|to| NOT_IN_THE_DOMAIN.contains(to)).collect();
    assert!(io.is_empty(), "aggregates -> {io:?}");
}

#[test]
fn the_domain_does_no_io_by_way_of_others() {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let tree = Command::new(cargo)
        .args(["tree", "--offline", "-p", "aggregates", "--edges", "normal", "--prefix", "none"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"cqrs-es"), "{names:?}");
    let io: Vec<_> =
        names.iter().filter(|name| NOT_IN_THE_DOMAIN.contains(name) && **name != BY_WAY_OF_OTHERS).collect();
    assert!(io.is_empty(), "aggregates depends, by way of others, on {io:?}");
}

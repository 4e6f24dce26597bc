//! Logs on standard error, numbers for Prometheus.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Upper bounds of the histograms of durations, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds of the histograms of counts.
const COUNTS: [f64; 9] = [1.0, 4.0, 16.0, 64.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0];

/// Logs what `RUST_LOG` asks for; warnings, and what the product does, where it is not set.
pub(crate) fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("warn,api=info,journal=info,nats=info,saga=info,projections=info,payments=info,stack=info")
    });
    let json = std::env::var("BOXOFFICE_LOG").is_ok_and(|format| format == "json");
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second initialisation in the same process, as tests do, changes nothing.
    let _already = if json { logs.json().try_init() } else { logs.try_init() };
}

/// Starts counting. Only the first call of a process installs a recorder; later ones render their own, empty one.
pub(crate) fn metrics() -> PrometheusHandle {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), &COUNTS))
        .unwrap_or_else(|error| unreachable!("the buckets are not empty: {error}"));
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::debug!("metrics are counted by an earlier recorder");
    }
    handle
}

//! Numbers that other rooms count for Prometheus, picked out of what Prometheus would read.

/// The values of the gauges `names`, which have no labels; `None` where one was never set.
pub(super) fn pick<const N: usize>(rendered: &str, names: [&str; N]) -> [Option<f64>; N] {
    let mut values = [None; N];
    for (name, value) in rendered.lines().filter_map(|line| line.split_once(' ')) {
        if let Some(nth) = names.iter().position(|wanted| *wanted == name) {
            values[nth] = value.trim().parse().ok();
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::pick;

    #[test]
    fn a_gauge_is_found_by_its_whole_name_and_nothing_is_made_up() {
        let rendered = "# TYPE holds_due gauge\nholds_due 12\n\nholds_due_seconds 9\nholds{a=\"b\"} 3\nrelay_lag 0.5\n";
        assert_eq!(
            pick(rendered, ["holds_due", "holds", "relay_lag", "holds_waiting"]),
            [Some(12.0), None, Some(0.5), None]
        );
    }

    #[test]
    fn what_the_recorder_renders_is_understood() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || metrics::gauge!("holds_waiting").set(50_000.0));
        assert_eq!(pick(&recorder.handle().render(), ["holds_waiting"]), [Some(50_000.0)]);
    }
}

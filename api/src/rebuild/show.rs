//! What was found and done, for people and for scripts.

use projections::{
    CopyState, Parked, Retried,
    rebuild::{FieldDifference, Outcome},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::status::{
    figures::{count, duration, several},
    table::aligned,
};

/// A document on standard output.
pub(super) fn json(document: &impl Serialize) {
    match serde_json::to_string_pretty(document) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("boxoffice: {error}"),
    }
}

/// How a rebuild ended.
pub(super) fn outcome(outcome: &Outcome) {
    println!("{}", lines(outcome).join("\n"));
}

fn lines(outcome: &Outcome) -> Vec<String> {
    let Outcome { projection, generation, position, rows, events, seconds, differences, shown, switched } = outcome;
    let verdict = if *switched { "is live now" } else { "was only built to compare" };
    let before = match differences {
        0 => "equal, row by row, to the copy that is live".to_owned(),
        differences => format!("the live copy differs in {}", several(*differences, "row")),
    };
    let before = if *switched {
        before.replace("that is live", "before it").replace("the live copy differs", "the copy before it differed")
    } else {
        before
    };
    let mut lines = vec![format!(
        "{projection}: generation {generation} {verdict}, {} at position {}; {before}",
        several(*rows, "row"),
        count(position.0)
    )];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rate")]
    let rate = (*events as f64 / seconds.max(0.001)) as u64;
    lines.push(format!("  {} in {}, {}/s", several(*events, "event"), duration(*seconds), count(rate)));
    for difference in shown {
        let fields: Vec<_> = difference.fields.iter().map(field).collect();
        lines.push(format!("  {}: {}", difference.row, fields.join(", ")));
    }
    let hidden = differences.saturating_sub(shown.len() as u64);
    if hidden > 0 {
        lines.push(format!("  and {} more", several(hidden, "row")));
    }
    lines
}

fn field(difference: &FieldDifference) -> String {
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
    format!("{} was {}, is {}", difference.field, value(&difference.live), value(&difference.rebuilt))
}

/// What was dropped.
pub(super) fn dropped(dropped: &[(&'static str, u64)], as_json: bool) {
    if as_json {
        let counts: serde_json::Map<String, Value> =
            dropped.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
        return json(&counts);
    }
    for (name, count) in dropped {
        println!("{name}: {} dropped", several(*count, "old generation"));
    }
}

/// What there is of the projections.
pub(super) fn states(states: &[CopyState]) {
    let heading = ["projection", "version", "generation", "kept", "position", "parked"].map(str::to_owned).to_vec();
    let mut rows = vec![heading];
    rows.extend(states.iter().map(|state| {
        let outdated = if state.is_outdated() { format!(" (of {})", state.current) } else { String::new() };
        vec![
            state.name.to_owned(),
            format!("{}{outdated}", state.version),
            state.generation.to_string(),
            state.old.to_string(),
            count(state.position.0),
            state.parked.len().to_string(),
        ]
    }));
    println!("{}", aligned(&rows, &[2, 3, 4, 5]).join("\n"));
    for state in states {
        for parked in &state.parked {
            println!("{}: {}", state.name, one(parked));
        }
    }
}

fn one(parked: &Parked) -> String {
    let Parked { position, aggregate, aggregate_id, event_type, error, attempts, waiting, parked_at } = parked;
    format!(
        "{event_type} at position {position}, of {aggregate} {aggregate_id}, since {}, {}, {} behind it: {error}",
        parked_at.format("%F %T UTC"),
        several((*attempts).into(), "attempt"),
        several(*waiting, "event")
    )
}

/// What became of what was parked.
pub(super) fn retried(name: &str, retried: &[Retried]) {
    if retried.is_empty() {
        println!("{name}: nothing is parked");
    }
    for Retried { was, left, applied } in retried {
        match left {
            None => println!(
                "{name}: {} {} has caught up: {} applied from position {} on",
                was.aggregate,
                was.aggregate_id,
                several(*applied, "event"),
                was.position
            ),
            Some(left) => println!("{name}: still parked: {}", one(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use journal::Position;
    use projections::rebuild::Difference;

    use super::*;

    #[test]
    fn what_differed_is_told_row_by_row() {
        let outcome = Outcome {
            projection: "mypage",
            generation: 2,
            position: Position(1_234),
            rows: 300,
            events: 1_234,
            seconds: 0.5,
            differences: 2,
            shown: vec![Difference {
                row: "booking b".to_owned(),
                fields: vec![FieldDifference { field: "qty".to_owned(), live: Some(json!(1)), rebuilt: None }],
            }],
            switched: true,
        };
        assert_eq!(
            lines(&outcome),
            [
                "mypage: generation 2 is live now, 300 rows at position 1,234; the copy before it differed in 2 rows",
                "  1,234 events in 0.5 s, 2,468/s",
                "  booking b: qty was 1, is nothing",
                "  and 1 row more",
            ]
        );
    }
}

//! What a rebuild has found and done.

use journal::Position;
use serde::Serialize;
use serde_json::{Map, Value};

use super::DIFFERENCES_SHOWN_MAX;

/// The end of a rebuild.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Of which projection.
    pub projection: &'static str,
    /// The number of the new copy.
    pub generation: u32,
    /// Where both copies were when they were compared.
    pub position: Position,
    /// Rows of the new copy.
    pub rows: u64,
    /// Events of the log that this run has gone through.
    pub events: u64,
    /// What that took, without the wait for the live copy.
    pub seconds: f64,
    /// Rows in which the live copy was another.
    pub differences: u64,
    /// The first of these.
    pub shown: Vec<Difference>,
    /// Whether the new copy is the live one now.
    pub switched: bool,
}

/// A row in which two copies differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The concert, or the booking.
    pub row: String,
    /// In what.
    pub fields: Vec<FieldDifference>,
}

/// A field in which two rows differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldDifference {
    /// Its name.
    pub field: String,
    /// What the live copy had; nothing where it had no such row.
    pub live: Option<Value>,
    /// What it is by the log; nothing where there is no such row.
    pub rebuilt: Option<Value>,
}

/// Counts them all and keeps the first.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub count: u64,
    pub shown: Vec<Difference>,
}

impl Differences {
    pub fn add(&mut self, difference: impl FnOnce() -> Difference) {
        self.count += 1;
        if self.shown.len() < DIFFERENCES_SHOWN_MAX {
            self.shown.push(difference());
        }
    }
}

/// In which fields two rows of the same shape differ, either of which may not be there.
pub(crate) fn differing(
    live: Option<&Map<String, Value>>,
    rebuilt: Option<&Map<String, Value>>,
) -> Vec<FieldDifference> {
    let mut fields: Vec<_> = live.or(rebuilt).into_iter().flat_map(Map::keys).collect();
    fields.sort_unstable();
    let of = |row: Option<&Map<String, Value>>, field: &str| row.and_then(|row| row.get(field)).cloned();
    let pairs = fields.into_iter().map(|field| (field, of(live, field), of(rebuilt, field)));
    pairs
        .filter(|(_, live, rebuilt)| live != rebuilt)
        .map(|(field, live, rebuilt)| FieldDifference { field: field.clone(), live, rebuilt })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_that_is_missing_differs_in_all_fields() {
        let row = json!({"held": 1, "sold": 2});
        let other = json!({"held": 1, "sold": 3});
        let (row, other) = (row.as_object(), other.as_object());
        let fields = |live, rebuilt| differing(live, rebuilt).into_iter().map(|found| found.field).collect::<Vec<_>>();
        assert_eq!(fields(row, other), ["sold"]);
        assert_eq!(fields(None, row), ["held", "sold"]);
        assert_eq!(fields(row, None), ["held", "sold"]);
        assert!(fields(row, row).is_empty());
    }
}

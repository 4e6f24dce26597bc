//! The faults on demand: their setting, checked by hand so that a complaint names the field, and their dice.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::Refusal;

/// The longest latency that can be set, in milliseconds.
pub const LATENCY_MS_MAX: u64 = 10_000;

/// The most repetitions of each webhook that can be set.
pub const DUPLICATE_WEBHOOKS_MAX: u64 = 10;

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Faults {
    /// How long each answer takes, in milliseconds: least and most, evenly spread.
    pub latency_ms: [u64; 2],
    /// The share of calls answered with 500, before any effect; 0 to 1.
    pub fail_rate: f64,
    /// The share of confirmations declined; 0 to 1.
    pub decline_rate: f64,
    /// The share of confirmations and cancellations that are carried out, but whose connection is then dropped without an
    /// answer; 0 to 1.
    pub lose_answer_rate: f64,
    /// The share of confirmations and cancellations that are carried out only at the end of their latency, whether their
    /// caller still waits or not; the others are carried out at once, and the latency is their answer's. 0 to 1.
    pub late_effect_rate: f64,
    /// How many times more each webhook is sent.
    pub duplicate_webhooks: u64,
    /// Each webhook is held back for a while that differs, so that they arrive in another order.
    pub reorder_webhooks: bool,
    /// Every call is answered with 503, without any effect.
    pub down: bool,
}

/// What befalls one call.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    /// How long the answer takes.
    pub latency: Duration,
    /// The fault that meets the call before any effect.
    pub fault: Option<Refusal>,
    /// The card company says no, where one is asked.
    pub declines: bool,
    /// The answer is dropped, where an effect is behind it.
    pub loses_answer: bool,
    /// The effect comes after the latency, where there is one.
    pub comes_late: bool,
}

impl Faults {
    /// These faults with those of `change` in their place; all of them or, where one is no fault, none. The error is for a
    /// human and names the field.
    pub(super) fn changed(self, change: &Map<String, Value>) -> Result<Self, String> {
        change.iter().try_fold(self, |faults, (name, value)| {
            Ok(match name.as_str() {
                "latencyMs" => Self { latency_ms: latency(name, value)?, ..faults },
                "failRate" => Self { fail_rate: rate(name, value)?, ..faults },
                "declineRate" => Self { decline_rate: rate(name, value)?, ..faults },
                "loseAnswerRate" => Self { lose_answer_rate: rate(name, value)?, ..faults },
                "lateEffectRate" => Self { late_effect_rate: rate(name, value)?, ..faults },
                "duplicateWebhooks" => Self { duplicate_webhooks: duplicates(name, value)?, ..faults },
                "reorderWebhooks" => Self { reorder_webhooks: switch(name, value)?, ..faults },
                "down" => Self { down: switch(name, value)?, ..faults },
                other => return Err(format!("unknown field: {other}")),
            })
        })
    }

    /// All of them, as a change.
    pub(super) fn to_map(self) -> Map<String, Value> {
        match json!(self) {
            Value::Object(map) => map,
            other => unreachable!("a struct with named fields is an object: {other}"),
        }
    }

    /// Throws the dice for one call.
    pub(super) fn draw(&self) -> Fate {
        let [least, most] = self.latency_ms;
        let fault =
            if self.down { Some(Refusal::Down) } else { rand::random_bool(self.fail_rate).then_some(Refusal::Fault) };
        Fate {
            latency: Duration::from_millis(rand::random_range(least..=most)),
            fault,
            declines: rand::random_bool(self.decline_rate),
            loses_answer: rand::random_bool(self.lose_answer_rate),
            comes_late: rand::random_bool(self.late_effect_rate),
        }
    }
}

fn rate(name: &str, value: &Value) -> Result<f64, String> {
    value
        .as_f64()
        .filter(|rate| (0.0..=1.0).contains(rate))
        .ok_or_else(|| format!("{name} must be a number from 0 to 1"))
}

fn switch(name: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{name} must be a boolean"))
}

fn duplicates(name: &str, value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .filter(|count| *count <= DUPLICATE_WEBHOOKS_MAX)
        .ok_or_else(|| format!("{name} must be an integer from 0 to {DUPLICATE_WEBHOOKS_MAX}"))
}

fn latency(name: &str, value: &Value) -> Result<[u64; 2], String> {
    let bounds = match value.as_array().map(Vec::as_slice) {
        Some([least, most]) => least.as_u64().zip(most.as_u64()),
        Some(_) | None => None,
    };
    bounds
        .filter(|(least, most)| least <= most && *most <= LATENCY_MS_MAX)
        .map(|(least, most)| [least, most])
        .ok_or_else(|| format!("{name} must be [least, most], integers from 0 to {LATENCY_MS_MAX}, in order"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(change: &Value) -> Result<Faults, String> {
        Faults::default().changed(change.as_object().unwrap())
    }

    #[test]
    fn any_subset_is_a_change() {
        let faults = changed(&json!({"latencyMs": [400, 620], "failRate": 1, "down": true})).unwrap();
        assert_eq!(faults, Faults { latency_ms: [400, 620], fail_rate: 1.0, down: true, ..Faults::default() });
        assert_eq!(changed(&json!({})), Ok(Faults::default()));
    }

    #[test]
    fn all_of_them_are_a_change_to_themselves() {
        let change = json!({
            "latencyMs": [1, 2], "failRate": 0.1, "declineRate": 0.2, "loseAnswerRate": 0.3, "lateEffectRate": 0.4,
            "duplicateWebhooks": 5, "reorderWebhooks": true, "down": true,
        });
        let faults = changed(&change).unwrap();
        assert_eq!(Value::Object(faults.to_map()), change);
        assert_eq!(Faults::default().changed(&faults.to_map()), Ok(faults));
    }

    #[test]
    fn what_is_no_fault_is_named() {
        for (change, name) in [
            (json!({"latencyMs": 5}), "latencyMs"),
            (json!({"latencyMs": [5]}), "latencyMs"),
            (json!({"latencyMs": [9, 5]}), "latencyMs"),
            (json!({"latencyMs": [0, 10_001]}), "latencyMs"),
            (json!({"failRate": "1"}), "failRate"),
            (json!({"declineRate": 1.1}), "declineRate"),
            (json!({"loseAnswerRate": -0.1}), "loseAnswerRate"),
            (json!({"lateEffectRate": 2}), "lateEffectRate"),
            (json!({"duplicateWebhooks": 1.5}), "duplicateWebhooks"),
            (json!({"reorderWebhooks": 1}), "reorderWebhooks"),
            (json!({"down": 1}), "down"),
            (json!({"down": null}), "down"),
            (json!({"failrate": 1}), "failrate"),
        ] {
            assert!(changed(&change).unwrap_err().contains(name), "{change}");
        }
    }
}

//! Who did it, why, and in what connection.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

/// What an event says about its own making. A flat map of strings in the journal, as cqrs-es wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who: `user:<id>`, `saga`, `payments`, `system`.
    pub actor: Arc<str>,
    /// The request at the beginning of it all; the same for everything that followed from it.
    pub correlation: Arc<str>,
    /// What it follows from directly: `request:<id>` or `event:<position>`.
    pub causation: Arc<str>,
    /// The W3C trace it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traceparent: Option<Arc<str>>,
}

impl Metadata {
    /// Of a command from outside: `request` begins a new chain.
    pub fn of_request(actor: impl Into<Arc<str>>, request: &str) -> Self {
        Self {
            actor: actor.into(),
            correlation: request.into(),
            causation: format!("request:{request}").into(),
            traceparent: None,
        }
    }

    /// Of a command that follows from `event`, made by `actor`: the chain goes on.
    pub fn following(actor: &Arc<str>, event: &crate::RecordedEvent) -> Self {
        let cause: Option<Self> = serde_json::from_str(&event.metadata).ok();
        let (correlation, traceparent) = match cause {
            Some(cause) => (cause.correlation, cause.traceparent),
            None => (Arc::from("unknown"), None),
        };
        Self {
            actor: Arc::clone(actor),
            correlation,
            causation: format!("event:{}", event.position).into(),
            traceparent,
        }
    }

    /// The stored text; `unit` names the unit of work, so that its own rows can be told from any others'.
    pub(crate) fn to_json(&self, unit: &str) -> String {
        #[derive(Serialize)]
        struct Stored<'a> {
            #[serde(flatten)]
            metadata: &'a Metadata,
            unit: &'a str,
        }
        serde_json::to_string(&Stored { metadata: self, unit })
            .unwrap_or_else(|error| unreachable!("a map of strings is JSON: {error}"))
    }

    pub(crate) fn from_map(map: &HashMap<String, String>) -> Self {
        let get = |key: &str, default: &str| Arc::from(map.get(key).map_or(default, String::as_str));
        Self {
            actor: get("actor", "system"),
            correlation: get("correlation", "unknown"),
            causation: get("causation", "unknown"),
            traceparent: map.get("traceparent").map(|text| Arc::from(text.as_str())),
        }
    }
}

//! Server-sent events, read as the bytes they are.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::timeout;

use super::{Client, SOON};

/// A live stream of a concert's counts.
pub struct Live {
    response: Response,
    read: String,
}

impl Live {
    /// Opens `GET /concerts/{id}/tickets/live`, as anybody may.
    pub async fn open(client: &Client, concert: &str) -> Self {
        let request = client.request(Method::GET, &format!("/concerts/{concert}/tickets/live"));
        let response = request.timeout(Duration::from_mins(10)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, read: String::new() }
    }

    /// The data of the next event; `None` when the stream ends. Comments, which keep it open, are skipped.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.read.find("\n\n") {
                let event: String = self.read.drain(..end + 2).collect();
                let data: Vec<&str> =
                    event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect();
                let data = data.join("\n");
                if !data.is_empty() {
                    return Some(serde_json::from_str(&data).unwrap_or_else(|_| panic!("not JSON: {data}")));
                }
            }
            let chunk = timeout(SOON, self.response.chunk()).await.expect("the next count, or a sign of life");
            self.read.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The counts of the next event: capacity, held, sold, available.
    pub async fn counts(&mut self) -> [u64; 4] {
        let event = self.next().await.expect("the stream goes on");
        let tickets = event.get("tickets").unwrap_or(&event);
        ["capacity", "held", "sold", "available"]
            .map(|name| tickets[name].as_u64().unwrap_or_else(|| panic!("no {name} in {event}")))
    }

    /// Reads on until the counts are these; what comes in between must add up.
    pub async fn until(&mut self, wanted: [u64; 4]) {
        let wait = async {
            loop {
                let counts = self.counts().await;
                let [capacity, held, sold, available] = counts;
                assert_eq!(held + sold + available, capacity, "{counts:?}");
                if counts == wanted {
                    return;
                }
            }
        };
        timeout(SOON, wait).await.unwrap_or_else(|_| panic!("waited for the live counts {wanted:?}, in vain"));
    }
}

//! Callbacks one by one, each with its whole answer.

use axum::body::to_bytes;
use reqwest::Client;
use sluice::{
    documents::{Container, Documents},
    ledger::records::STATUS_ID,
};

use crate::support::{config, receipt, twilio_request};

/// Bytes beyond the claim check's limit: the body goes to a blob.
const LARGE: usize = 250 * 1024;

pub struct Door {
    client: Client,
    url: String,
    public_url: String,
}

impl Door {
    pub fn new(url: &str) -> Self {
        Self { client: Client::new(), url: url.to_owned(), public_url: config(&[]).public_url.to_string() }
    }

    /// A delivery receipt. Tells whether it was accepted; a refusal must be one that makes vendors try again.
    pub async fn knock(&self, sid: &str, large: bool) -> bool {
        let path = "/incoming/twilio/sms/status";
        let text = "x".repeat(LARGE);
        let mut parameters = receipt(sid, "delivered").to_vec();
        if large {
            parameters.push(("Note", &text));
        }
        let (parts, body) = twilio_request(&self.public_url, path, &parameters).into_parts();
        let request = self.client.post(format!("{}{path}", self.url)).headers(parts.headers);
        let answer = request.body(to_bytes(body, 1 << 20).await.unwrap()).send().await.unwrap();
        if answer.status().is_success() {
            answer.bytes().await.unwrap();
            return true;
        }
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let wait: u32 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!(wait > 0);
        assert!(answer.text().await.unwrap().contains("\"status\":503"));
        false
    }
}

/// Every message has its status. Waits for those that are still on their way.
pub async fn are_applied(documents: &dyn Documents, sids: &[String]) {
    let began = std::time::Instant::now();
    for sid in sids {
        let key = format!("twilio:{sid}");
        while documents.read(Container::Ledger, &key, STATUS_ID).await.unwrap().is_none() {
            assert!(began.elapsed().as_secs() < 90, "{key} was acknowledged and is not there");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    println!("{} callbacks accepted one by one, all applied", sids.len());
}

/// No trouble is told more often than somebody would read it.
pub fn assert_few_lines(log: &str, few: usize) {
    let mut told = std::collections::BTreeMap::<&str, usize>::new();
    for line in log.lines() {
        // What is before the first field is the same in all lines of a kind, but for the time.
        let text = line.split_once(' ').map_or(line, |(_, text)| text);
        let kind = text.split(['=', '{']).next().unwrap_or(text);
        *told.entry(kind).or_default() += 1;
    }
    println!("log: {} lines, {told:?}", log.lines().count());
    assert!(told.values().all(|count| *count < few), "{told:?}\n{log}");
}

//! What happened to one record, in order: for whoever looks into a failed run, and no longer than that takes.

use std::{fmt::Write, time::Instant};

use sluice::{
    documents::{Container, Document, Query, query_all},
    simulate::Outcome,
};

use crate::{oracle::Finding, world::World};

/// Tells the story of the record that a finding names: its requests with their answers, the faults that met it, and every
/// document that is about it. Without a record there is nothing to tell.
pub async fn of(world: &World, outcome: &Outcome, finding: &Finding, began: Instant) -> String {
    let Some(key) = &finding.key else { return String::new() };
    let mut moments: Vec<(Instant, String)> = Vec::new();
    let mut text = format!("timeline of {key}\n");
    for number in 0..world.plan.stories() {
        let (generator, story) = world.plan.story(number);
        for (callback, facts) in world.plan.callbacks_of(number).zip(&story.steps) {
            let about = facts.iter().filter(|fact| format!("{}:{}", generator.vendor(), fact.message_id) == *key);
            let about: Vec<&str> = about.map(|fact| fact.status.as_str()).collect();
            if about.is_empty() {
                continue;
            }
            let (standing, said) = (outcome.obligations.standing(callback), about.join(", "));
            let _ = writeln!(text, "  callback {callback} ({said}): {standing:?}");
            // Its path and body tell a request; headers hold the time of signing.
            let sent = world.plan.build(callback, world.plan.shape().started);
            for visit in world.door.visits() {
                if visit.body == sent.body && visit.path == sent.path {
                    moments.push((visit.came, format!("callback {callback} came, by the clock at {}", visit.clock)));
                    moments.push((visit.answered, format!("callback {callback} was answered {}", visit.status)));
                }
            }
        }
    }
    for fault in world.faults.log() {
        // The callbacks' messages are named by the vendor's id alone.
        let ours = !fault.about.is_empty() && key.ends_with(&fault.about);
        if ours || matches!(fault.method, "clock" | "wire") {
            moments.push((fault.at, format!("fault: {} {}: {}", fault.method, fault.of, fault.what)));
        }
    }
    moments.sort_by_key(|(at, _)| *at);
    for (at, what) in moments {
        let _ = writeln!(text, "  {:>8.3} s  {what}", at.duration_since(began).as_secs_f64());
    }
    documents(world, key, &mut text).await;
    text
}

/// Every document about the record, one line each.
async fn documents(world: &World, key: &str, text: &mut String) {
    let documents = world.store();
    for container in [Container::Ledger, Container::Deliveries] {
        for document in query_all(documents, container, Query::partition(key)).await.unwrap_or_default() {
            line(container, &document, text);
        }
    }
    for container in [Container::Retries, Container::Spool, Container::Parked] {
        for document in query_all(documents, container, Query::all().page_size(1000)).await.unwrap_or_default() {
            // The id alone, not the vendor's name, is in a spooled message.
            if document.body.contains(key.split_once(':').map_or(key, |(_, id)| id)) {
                line(container, &document, text);
            }
        }
    }
}

/// The members of a document that tell its story.
fn line(container: Container, document: &Document, text: &mut String) {
    const TOLD: [&str; 15] = [
        "envelope_id",
        "received_at",
        "applied_at",
        "created_at",
        "updated_at",
        "writer",
        "status",
        "decided_by",
        "events",
        "state",
        "attempted",
        "attempt",
        "due_at",
        "reason",
        "last_error",
    ];
    let body: serde_json::Value = document.parse().unwrap_or_default();
    let told = TOLD.iter().filter(|name| !body[**name].is_null()).map(|name| format!("{name}={}", body[*name]));
    let told: Vec<String> = told.collect();
    let _ = writeln!(text, "  {}/{}: {}", container.name(), document.id, told.join(" "));
}

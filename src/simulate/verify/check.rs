//! Checks one story against the ledger, message by message.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{
    clock::Timestamp,
    documents::{Container, Document, Documents, DocumentsError, Query, query_all},
    event::EventType,
    ledger::records::{EVENT_PREFIX, EventRecord, STATUS_ID, StatusRecord, event_id},
    simulate::{
        load::{Obligations, Standing},
        model,
        plan::Plan,
    },
};

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Lost,
    AppliedTwice,
    NotSentByUs,
    EventWrong,
    StatusWrong,
}

/// What was found out about one story.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub messages: u64,
    pub owed: u64,
    pub found: u64,
    /// From received to applied, of each event as it should be.
    pub applied_after: Vec<Duration>,
    /// Each with where, and in what way.
    pub damages: Vec<(Damage, String)>,
}

impl Checked {
    /// Whether time may mend it: what is missing can come, and the status with it.
    pub fn may_heal(&self) -> bool {
        self.damages.iter().any(|(damage, _)| matches!(damage, Damage::Lost | Damage::StatusWrong))
    }

    fn damage(&mut self, damage: Damage, sample: String) {
        self.damages.push((damage, sample));
    }
}

/// An event that was sent.
struct Sent {
    dedupe_key: String,
    event_type: EventType,
    at: Option<Timestamp>,
    /// Whether the target acknowledged it.
    owed: bool,
}

/// The events that were sent of each message, by message key.
fn sent(plan: &Plan, obligations: &Obligations, number: u32) -> BTreeMap<String, Vec<Sent>> {
    let callbacks = plan.callbacks_of(number);
    if callbacks.clone().all(|callback| obligations.standing(callback) == Standing::Unsent) {
        return BTreeMap::new();
    }
    let (generator, story) = plan.story(number);
    let mut messages: BTreeMap<String, Vec<Sent>> = BTreeMap::new();
    for (callback, facts) in callbacks.zip(story.steps) {
        let standing = obligations.standing(callback);
        if standing == Standing::Unsent {
            continue;
        }
        for fact in facts {
            messages.entry(format!("{}:{}", generator.vendor(), fact.message_id)).or_default().push(Sent {
                dedupe_key: fact.dedupe_key,
                event_type: fact.event_type,
                at: fact.at,
                owed: standing == Standing::Acked,
            });
        }
    }
    messages
}

/// Compares what was sent of a story with what the ledger has.
///
/// # Errors
/// The store could not be read.
pub(super) async fn check(
    plan: &Plan,
    obligations: &Obligations,
    documents: &dyn Documents,
    story: u32,
) -> Result<Checked, DocumentsError> {
    let mut checked = Checked::default();
    for (key, sent) in sent(plan, obligations, story) {
        let found = query_all(documents, Container::Ledger, Query::partition(&key).page_size(1000)).await?;
        check_message(&mut checked, &key, &sent, &found);
    }
    Ok(checked)
}

fn check_message(checked: &mut Checked, key: &str, sent: &[Sent], found: &[Document]) {
    let mut events: HashMap<&str, &Document> = found
        .iter()
        .filter(|found| found.id.starts_with(EVENT_PREFIX))
        .map(|found| (found.id.as_str(), found))
        .collect();
    let count = events.len() as u64;
    checked.messages += 1;
    checked.owed += sent.iter().filter(|sent| sent.owed).count() as u64;
    checked.found += count;

    let mut deciding = Vec::new();
    let (mut opens, mut clicks) = (0, 0);
    for sent in sent {
        let document = events.remove(event_id(&sent.dedupe_key).as_str());
        if document.is_some() || sent.owed {
            deciding.push((sent.event_type, sent.at));
        }
        let Some(document) = document else {
            if sent.owed {
                checked.damage(Damage::Lost, format!("{key}: {} {}", sent.event_type, sent.dedupe_key));
            }
            continue;
        };
        opens += u64::from(sent.event_type == EventType::MessageOpened);
        clicks += u64::from(sent.event_type == EventType::MessageClicked);
        let wrong = |what| (Damage::EventWrong, format!("{key}: {} {what}", sent.dedupe_key));
        match document.parse::<EventRecord>() {
            Err(error) => checked.damages.push(wrong(format!("is unreadable: {error}"))),
            Ok(record) if record.event.event_type != sent.event_type => {
                let (is, should) = (record.event.event_type, sent.event_type);
                checked.damages.push(wrong(format!("is {is}, not {should}")));
            }
            Ok(record) if record.event.dedupe_key != sent.dedupe_key || record.event.message_key() != key => {
                checked.damages.push(wrong(format!("holds {}", record.event.dedupe_key)));
            }
            // A clock that was set back in between makes no negative time.
            Ok(record) => {
                checked.applied_after.push((record.applied_at - record.received_at).to_std().unwrap_or_default())
            }
        }
    }
    // What is left was not sent, or is the same once more under another id.
    let mut others: Vec<_> = events.into_values().collect();
    others.sort_by(|a, b| a.id.cmp(&b.id));
    for other in others {
        let said = other.parse::<EventRecord>().map(|record| record.event.dedupe_key).unwrap_or_default();
        let known = sent.iter().any(|sent| sent.dedupe_key == said);
        let damage = if known { Damage::AppliedTwice } else { Damage::NotSentByUs };
        checked.damage(damage, format!("{key}: {}", other.id));
    }
    let status = found.iter().find(|found| found.id == STATUS_ID);
    check_status(checked, key, status, &deciding, Counters { events: count, opens, clicks });
}

/// How many event documents there are.
struct Counters {
    events: u64,
    opens: u64,
    clicks: u64,
}

fn check_status(
    checked: &mut Checked,
    key: &str,
    status: Option<&Document>,
    deciding: &[(EventType, Option<Timestamp>)],
    documents: Counters,
) {
    let possible = model::possible_statuses(deciding);
    let wrong = |what: String| (Damage::StatusWrong, format!("{key}: {what}"));
    let Some(status) = status else {
        // Without any event the loss is told already.
        if documents.events > 0 {
            checked.damages.push(wrong("there is no status".into()));
        }
        return;
    };
    let record = match status.parse::<StatusRecord>() {
        Ok(record) => record,
        Err(error) => return checked.damages.push(wrong(format!("unreadable: {error}"))),
    };
    if !possible.contains(&record.status) {
        let names: Vec<_> = possible.iter().map(|status| status.name()).collect();
        checked.damages.push(wrong(format!("{}, not {}", record.status, names.join(" or "))));
    }
    let counters = [
        ("events", record.events, documents.events),
        ("opens", record.opens, documents.opens),
        ("clicks", record.clicks, documents.clicks),
    ];
    for (name, counted, there) in counters {
        let what = format!("{name} counts {counted} and there are {there}");
        if counted > there {
            checked.damage(Damage::AppliedTwice, format!("{key}: {what}"));
        } else if counted < there {
            checked.damages.push(wrong(what));
        }
    }
}

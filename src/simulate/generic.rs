//! Any vendor whose payload is described by a mapping: the body is built from it, backwards.

use bytes::Bytes;
use chrono::{SecondsFormat, TimeDelta};
use http::{HeaderMap, HeaderName, HeaderValue, header as names};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    config::{Mapping, VendorConfig},
    event::{Channel, EventType},
};

use super::{
    fact::{Fact, Generator, SignedRequest, Story, hex_text, mail_address, path, phone_number, pick, story_start},
    model,
    pointer::place,
    sign::{StandardKey, header},
};

/// Where the id of an event is when the mapping does not say.
const EVENT_ID: &str = "header:webhook-id";

pub(super) struct Generic {
    vendor: String,
    /// `None` for a vendor that signs nothing.
    key: Option<StandardKey>,
    mapping: Mapping,
    /// Services, each with the statuses that make sense on its channel.
    services: Vec<(String, Channel, Words)>,
}

/// The vendor's words for the statuses of one channel, by the part they play in a life.
#[derive(Default)]
struct Words {
    /// On the way, by rank.
    passing: Vec<Vec<(String, EventType)>>,
    terminal: Vec<(String, EventType)>,
    /// After delivery.
    read: Vec<(String, EventType)>,
    /// Counted beside.
    beside: Vec<(String, EventType)>,
}

const TERMINAL: u8 = 6;

impl Words {
    fn new(mapping: &Mapping, channel: Channel) -> Self {
        let mut words = Self::default();
        for (word, &event_type) in &mapping.statuses {
            let of_a_call = event_type.name().starts_with("call.");
            if event_type == EventType::Unknown || of_a_call != (channel == Channel::Voice) {
                continue;
            }
            let entry = (word.clone(), event_type);
            match model::rank(event_type) {
                None => words.beside.push(entry),
                Some(TERMINAL) => words.terminal.push(entry),
                Some(rank) if rank > TERMINAL => words.read.push(entry),
                Some(rank) => {
                    let rank = usize::from(rank);
                    words.passing.resize(words.passing.len().max(rank + 1), Vec::new());
                    words.passing[rank].push(entry);
                }
            }
        }
        words
    }

    fn is_empty(&self) -> bool {
        let Self { passing, terminal, read, beside } = self;
        passing.iter().all(Vec::is_empty) && terminal.is_empty() && read.is_empty() && beside.is_empty()
    }

    /// One message's life: at most one word of each rank, exactly one end.
    fn life(&self, random: &mut StdRng) -> Vec<(String, EventType)> {
        use EventType::{CallCompleted, MessageDelivered, MessageReceived};
        let good: Vec<_> =
            self.terminal.iter().filter(|(_, end)| matches!(end, MessageDelivered | CallCompleted)).cloned().collect();
        let end = match random.random_range(0..100) < 75 && !good.is_empty() {
            true => Some(pick(random, &good).clone()),
            false if self.terminal.is_empty() => None,
            false => Some(pick(random, &self.terminal).clone()),
        };
        let mut life = Vec::new();
        let inbound = end.as_ref().is_some_and(|(_, end)| *end == MessageReceived);
        for words in self.passing.iter().filter(|words| !words.is_empty() && !inbound) {
            if random.random_range(0..100) < 85 {
                life.push(pick(random, words).clone());
            }
        }
        let arrived = end.as_ref().is_none_or(|(_, end)| *end == MessageDelivered);
        life.extend(end);
        if arrived && !self.read.is_empty() && random.random_range(0..100) < 40 {
            life.push(pick(random, &self.read).clone());
        }
        if arrived {
            for word in &self.beside {
                if random.random_range(0..100) < 30 {
                    life.push(word.clone());
                }
            }
        }
        if life.is_empty() {
            let all: Vec<_> =
                self.passing.iter().flatten().chain(&self.terminal).chain(&self.read).chain(&self.beside).collect();
            life.push((*pick(random, &all)).clone());
        }
        life
    }
}

impl Generic {
    /// # Errors
    /// The mapping's statuses fit none of the services, or its pointers contradict each other.
    pub fn new(name: &str, vendor: &VendorConfig, key: Option<StandardKey>) -> Result<Self, String> {
        let mapping = vendor.mapping.clone().ok_or("it has no mapping")?;
        let services: Vec<_> = vendor
            .services
            .iter()
            .map(|(service, &channel)| (service.clone(), channel, Words::new(&mapping, channel)))
            .filter(|(_, _, words)| !words.is_empty())
            .collect();
        if services.is_empty() {
            return Err("its mapping has no status that fits the channels of its services".into());
        }
        let generic = Self { vendor: name.to_owned(), key, mapping, services };
        // One payload with every optional part in it shows whether there can be any.
        let story = generic.story(&mut StdRng::seed_from_u64(0), Timestamp::UNIX_EPOCH);
        let fact = Fact { event_type: EventType::MessageFailed, ..story.steps[0][0].clone() };
        let story = Story { steps: vec![vec![fact]], ..story };
        generic.payload(&story, 0).map_err(|problem| format!("no payload fits its mapping: {problem}"))?;
        Ok(generic)
    }

    fn event_id(&self) -> &str {
        self.mapping.event_id.as_deref().unwrap_or(EVENT_ID)
    }

    /// What the dedupe key adds to the event's id. A header names a whole callback, so within `each` the ledger's key
    /// says which element it was; here that is always the first.
    fn element(&self) -> &'static str {
        if self.mapping.each.is_some() && self.event_id().starts_with("header:") { ":0" } else { "" }
    }

    /// The event's id as the vendor writes it.
    fn id_of<'a>(&self, fact: &'a Fact) -> &'a str {
        fact.dedupe_key[self.vendor.len() + 1..].trim_end_matches(self.element())
    }

    /// Whether a body may hold several events: each needs its own id in the body, not one in the headers for all.
    fn batches(&self) -> bool {
        self.mapping.each.is_some()
            && [self.event_id(), &self.mapping.message_id, &self.mapping.status]
                .iter()
                .all(|place| !place.starts_with("header:"))
    }

    fn payload(&self, story: &Story, step: usize) -> Result<(HeaderMap, Value), String> {
        let mut headers = HeaderMap::with_capacity(8);
        let mut elements = Vec::new();
        for fact in &story.steps[step] {
            let mut element = Value::Null;
            for (place, value) in self.values(story, fact) {
                put(&mut headers, &mut element, place, value)?;
            }
            // Where the mapping reads headers only, the body is still an object.
            elements.push(if element.is_null() { json!({}) } else { element });
        }
        let Some(each) = &self.mapping.each else {
            return Ok((headers, elements.pop().expect("a step has at least one fact")));
        };
        let mut body = Value::Null;
        place(&mut body, each, Value::Array(elements))?;
        Ok((headers, body))
    }

    /// What goes where.
    fn values<'a>(&'a self, story: &Story, fact: &Fact) -> Vec<(&'a str, String)> {
        let Mapping { message_id, status, occurred_at, recipient, sender, reason_code, reason, .. } = &self.mapping;
        let event_id = self.event_id();
        let mut values = vec![
            (message_id.as_str(), fact.message_id.clone()),
            (status.as_str(), fact.status.clone()),
            (event_id, self.id_of(fact).to_owned()),
        ];
        let mut optional = |place: &'a Option<String>, value: String| {
            values.extend(place.as_deref().map(|place| (place, value)));
        };
        if let Some(at) = fact.at {
            optional(occurred_at, at.to_rfc3339_opts(SecondsFormat::Millis, true));
        }
        optional(recipient, fact.recipient.clone());
        optional(sender, story.sender.clone());
        let went_wrong = ["failed", "bounced", "undelivered", "rejected", "expired"];
        if went_wrong.iter().any(|end| fact.event_type.name().ends_with(end)) {
            optional(reason_code, "550".into());
            optional(reason, "The recipient's server refused the message".into());
        }
        values
    }
}

impl Generator for Generic {
    fn vendor(&self) -> &str {
        &self.vendor
    }

    fn story(&self, random: &mut StdRng, started: Timestamp) -> Story {
        let (service, channel, words) = pick(random, &self.services);
        let messages = if self.batches() { random.random_range(1..=5) } else { 1 };
        let mut facts = Vec::new();
        for _ in 0..messages {
            let message_id = uuid::Builder::from_random_bytes(random.random()).into_uuid().to_string();
            let recipient = if *channel == Channel::Email { mail_address(random) } else { phone_number(random) };
            let mut at = story_start(random, started);
            for (status, event_type) in words.life(random) {
                at += TimeDelta::milliseconds(random.random_range(1..60_000));
                facts.push(Fact {
                    message_id: message_id.clone(),
                    status,
                    event_type,
                    dedupe_key: format!("{}:msg_{}{}", self.vendor, hex_text(random, 26), self.element()),
                    at: self.mapping.occurred_at.as_ref().map(|_| at),
                    recipient: recipient.clone(),
                    salt: random.random(),
                });
            }
        }
        facts.sort_by_key(|fact| fact.at);
        let mut steps = Vec::new();
        while !facts.is_empty() {
            let size = if self.batches() { random.random_range(1..=5).min(facts.len()) } else { 1 };
            let rest = facts.split_off(size);
            steps.push(std::mem::replace(&mut facts, rest));
        }
        let sender = match channel {
            Channel::Email => "orders@example.org".to_owned(),
            Channel::Sms | Channel::Voice => "+15017122661".to_owned(),
        };
        Story { service: service.clone(), channel: *channel, request_type: "events", sender, steps }
    }

    fn request(&self, story: &Story, step: usize, _started: Timestamp, now: Timestamp) -> SignedRequest {
        let (mut headers, body) = self.payload(story, step).expect("the mapping was tried when it was taken on");
        let body = Bytes::from(body.to_string());
        headers.insert(names::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &self.key {
            // The event's own id: where the mapping takes the id from the body, both name the same thing.
            let id = self.id_of(&story.steps[step][0]);
            let timestamp = now.timestamp().to_string();
            headers.insert("webhook-signature", header(&key.sign(id, &timestamp, &body)));
            headers.insert("webhook-id", header(id));
            headers.insert("webhook-timestamp", header(&timestamp));
        }
        SignedRequest { path: path(&self.vendor, story), headers, body }
    }
}

fn put(headers: &mut HeaderMap, element: &mut Value, to: &str, value: String) -> Result<(), String> {
    let Some(name) = to.strip_prefix("header:") else {
        return place(element, to, Value::String(value));
    };
    let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header's name"))?;
    let value = HeaderValue::from_str(&value).map_err(|_| format!("header {name} cannot hold `{value}`"))?;
    headers.insert(name, value);
    Ok(())
}

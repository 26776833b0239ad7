//! `/manage/parked`, `/manage/retries`, `/manage/dead-letters`: what failed and waits. Looking changes nothing; what
//! changes something is a job (`replays.rs`).

use std::time::Duration;

use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Call, Operation, Operator, Refusal, Resource,
    describe::{in_path, in_query},
    operation::does,
};
use crate::{
    app::App,
    audit,
    openapi::shape,
    recovery::{
        Filter, Record, RecoveryError, Source,
        record::Summary,
        search::{Page, Search},
    },
    retry::records::StoredMessage,
};

/// Records in one answer, unless asked otherwise.
const LIMIT: usize = 50;
const HIGHEST_LIMIT: usize = 500;
/// How long one request may look. What it has found until then is its answer, and where to go on.
const PATIENCE: Duration = Duration::from_secs(5);
/// Records read at once.
const PAGE: usize = 200;
/// Records that a count shows.
const SAMPLE: usize = 5;

/// The operations of a source.
macro_rules! operations {
    ($name:literal, $source:expr) => {
        &[
            Operation {
                method: Method::POST,
                path: concat!($name, "/search"),
                summary: "Records that match, in the order of time; an answer takes 5 s at the most, and says where to go on",
                parameters: &[],
                operator: Operator::Optional,
                refused: &[],
                does: does!(search[$source](Question) -> OK Found),
            },
            Operation {
                method: Method::POST,
                path: concat!($name, "/count"),
                summary: "How many match, and some of them; an answer takes 5 s at the most, and says where to go on",
                parameters: &[],
                operator: Operator::Optional,
                refused: &[],
                does: does!(count[$source](Question) -> OK Counted),
            },
            Operation {
                method: Method::GET,
                path: concat!($name, "/{id}"),
                summary: "A record with its history, and with its message where it is asked for",
                parameters: &[
                    in_path("id", "The record's id."),
                    in_query("reveal", "`true` shows the message, which holds personal data; that is written down.", shape::<bool>),
                ],
                operator: Operator::Optional,
                refused: &[
                    (StatusCode::NOT_FOUND, "There is no such record."),
                    (StatusCode::CONFLICT, "Somebody else was faster: look again."),
                ],
                does: does!(show[$source]() -> OK Shown),
            },
        ]
    };
}

pub(super) const PARKED: Resource = Resource {
    name: "parked",
    summary: "what was given up on, with reason and history",
    operations: operations!("parked", Source::Parked),
};

pub(super) const RETRIES: Resource = Resource {
    name: "retries",
    summary: "what will be tried again by itself",
    operations: operations!("retries", Source::Retries),
};

pub(super) const DEAD_LETTERS: Resource = Resource {
    name: "dead-letters",
    summary: "what the broker gave up on",
    operations: operations!("dead-letters", Source::DeadLetters),
};

/// A filter may name a person, so that it does not stand in a URL, which hosts log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    filter: Filter,
    /// Records in the answer: 1 to 500, by default 50. Counts have no limit.
    #[serde(default)]
    limit: Option<usize>,
    /// Where the answer before this one ended.
    #[serde(default)]
    continuation: Option<String>,
}

/// What a search found.
#[derive(Serialize, JsonSchema)]
struct Found {
    records: Vec<Summary>,
    /// How many were looked at.
    scanned: u64,
    /// How many this version of the program cannot read. They stay where they are.
    unreadable: u64,
    /// Asks for what follows; null at the end.
    continuation: Option<String>,
}

/// How many match.
#[derive(Serialize, JsonSchema)]
struct Counted {
    matched: u64,
    /// How many were looked at.
    scanned: u64,
    /// Some of them.
    sample: Vec<Summary>,
    /// Goes on counting; null at the end.
    continuation: Option<String>,
}

/// One record.
#[derive(Serialize, JsonSchema)]
struct Shown {
    record: Summary,
    /// Null unless it was asked for.
    message: Option<StoredMessage>,
}

async fn search(app: &App, _: &Call, source: Source, question: Question) -> Result<Found, Refusal> {
    let Question { filter, limit, mut continuation } = question;
    let limit = limit.unwrap_or(LIMIT).clamp(1, HIGHEST_LIMIT);
    let search = Search { source, filter, made_until: None };
    let until = Instant::now() + PATIENCE;
    let (mut records, mut scanned, mut unreadable) = (Vec::new(), 0, 0);
    loop {
        let Page { mut found, scanned: more, unreadable: bad, position } =
            search.page(app, continuation.as_deref(), PAGE).await?;
        (scanned, unreadable, continuation) = (scanned + more, unreadable + bad, position);
        let room = limit - records.len();
        if found.len() > room {
            found.truncate(room);
            continuation = found.last().map(|(_, behind)| behind.clone());
        }
        records.extend(found.into_iter().map(|(record, _)| record.summary));
        if continuation.is_none() || records.len() == limit || Instant::now() >= until {
            break;
        }
    }
    Ok(Found { records, scanned, unreadable, continuation })
}

/// With a continuation it goes on counting: the numbers are those of this request alone.
async fn count(app: &App, _: &Call, source: Source, question: Question) -> Result<Counted, Refusal> {
    let Question { filter, limit: _, mut continuation } = question;
    let search = Search { source, filter, made_until: None };
    let is_first = continuation.is_none();
    let until = Instant::now() + PATIENCE;
    let (mut sample, mut matched, mut scanned) = (Vec::new(), 0, 0);
    let known = if is_first { search.count(app).await? } else { None };
    loop {
        let page = search.page(app, continuation.as_deref(), PAGE).await?;
        matched += page.found.len() as u64;
        scanned += page.scanned;
        continuation = page.position;
        let room = if is_first { SAMPLE - sample.len() } else { 0 };
        sample.extend(page.found.into_iter().take(room).map(|(record, _)| record.summary));
        if let Some(known) = known {
            (matched, continuation) = (known, None);
        }
        if continuation.is_none() || Instant::now() >= until {
            break;
        }
    }
    Ok(Counted { matched, scanned, sample, continuation })
}

async fn show(app: &App, call: &Call, source: Source) -> Result<Shown, Refusal> {
    let id = call.segment("id");
    let filter = Filter { id: Some(id.to_owned()), ..Filter::default() };
    let page = Search { source, filter, made_until: None }.page(app, None, 1).await?;
    let Some((record, _)) = page.found.into_iter().next() else {
        return Err(Refusal::NotFound(format!("nothing of {} has the id {id}", source.name())));
    };
    let Record { summary, mut message, .. } = record;
    let mut revealed = None;
    if call.parameter("reveal").is_some_and(|reveal| reveal == "true") {
        // Whoever reads what a person wrote leaves a trace.
        let (documents, now) = (app.documents.as_ref(), app.clock.now());
        let action = format!("{}.reveal", source.name());
        let entry = audit::start(documents, now, call.who()?, &action, id, Value::Null).await?;
        message.properties.remove(crate::retry::HISTORY);
        revealed = Some(message);
        entry.end(documents, app.clock.now(), "done", Value::Null).await;
    }
    Ok(Shown { record: summary, message: revealed })
}

impl From<RecoveryError> for Refusal {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Documents(error) => error.into(),
            RecoveryError::Commit(error) => error.into(),
            RecoveryError::Malformed(problem) => Self::Malformed(problem),
            error @ (RecoveryError::Publish(_) | RecoveryError::DeadLetters(_)) => Self::Unavailable(error.to_string()),
        }
    }
}

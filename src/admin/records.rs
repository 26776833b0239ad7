//! `/manage/parked`, `/manage/retries`, `/manage/dead-letters`: what failed and waits. Looking changes nothing; what
//! changes something is a job (`replays.rs`).

use std::time::Duration;

use axum::http::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::{Call, Refusal, Reply, Resource};
use crate::{
    app::App,
    audit,
    recovery::{
        Filter, Record, RecoveryError, Source,
        search::{Page, Search},
    },
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

pub(super) const PARKED: Resource = Resource {
    name: "parked",
    summary: "POST search, POST count {filter, limit, continuation}; GET {id}?reveal=: given up on, with reason and history",
    handle: |app, call| Box::pin(handle(app, call, Source::Parked)),
};

pub(super) const RETRIES: Resource = Resource {
    name: "retries",
    summary: "POST search, POST count {filter, limit, continuation}; GET {id}?reveal=: will be tried again by itself",
    handle: |app, call| Box::pin(handle(app, call, Source::Retries)),
};

pub(super) const DEAD_LETTERS: Resource = Resource {
    name: "dead-letters",
    summary: "POST search, POST count {filter, limit, continuation}; GET {id}?reveal=: given up on by the broker",
    handle: |app, call| Box::pin(handle(app, call, Source::DeadLetters)),
};

/// A filter may name a person, so that it does not stand in a URL, which hosts log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    continuation: Option<String>,
}

async fn handle(app: &App, mut call: Call, source: Source) -> Result<Reply, Refusal> {
    let what = call.next_segment();
    call.expect_end()?;
    match what.as_deref() {
        Some("search") => {
            call.expect_method(&[Method::POST])?;
            search(app, source, call.json()?).await
        }
        Some("count") => {
            call.expect_method(&[Method::POST])?;
            count(app, source, call.json()?).await
        }
        Some(id) => {
            call.expect_method(&[Method::GET])?;
            show(app, source, id, &call).await
        }
        None => Err(Refusal::NotFound(format!("POST /manage/{0}/search, or GET /manage/{0}/ID", source.name()))),
    }
}

async fn search(app: &App, source: Source, question: Question) -> Result<Reply, Refusal> {
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
    Ok(Reply::ok(
        json!({ "records": records, "scanned": scanned, "unreadable": unreadable, "continuation": continuation }),
    ))
}

/// With a continuation it goes on counting: the numbers are those of this request alone.
async fn count(app: &App, source: Source, question: Question) -> Result<Reply, Refusal> {
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
    Ok(Reply::ok(json!({ "matched": matched, "scanned": scanned, "sample": sample, "continuation": continuation })))
}

async fn show(app: &App, source: Source, id: &str, call: &Call) -> Result<Reply, Refusal> {
    let filter = Filter { id: Some(id.to_owned()), ..Filter::default() };
    let page = Search { source, filter, made_until: None }.page(app, None, 1).await?;
    let Some((record, _)) = page.found.into_iter().next() else {
        return Err(Refusal::NotFound(format!("nothing of {} has the id {id}", source.name())));
    };
    let Record { summary, mut message, .. } = record;
    let mut message_json = None;
    if call.parameter("reveal").is_some_and(|reveal| reveal == "true") {
        // Whoever reads what a person wrote leaves a trace.
        let (documents, now) = (app.documents.as_ref(), app.clock.now());
        let action = format!("{}.reveal", source.name());
        let entry = audit::start(documents, now, call.who()?, &action, id, json!(null)).await?;
        message.properties.remove(crate::retry::HISTORY);
        message_json = Some(message);
        entry.end(documents, app.clock.now(), "done", json!(null)).await;
    }
    Ok(Reply::ok(json!({ "record": summary, "message": message_json })))
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

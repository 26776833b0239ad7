//! Going on with an erasure: page by page for some seconds, with its place written down behind each.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    EraseError, Place,
    erasure::{Erasure, MARK_ID, PARTITION, Rewritten, State},
    standing::{OLDEST, stands_for},
    walk::{Mode, Page, Walk},
};
use crate::{
    app::App,
    audit,
    documents::{CommitError, Container, DocumentsError, Etag, Operation, Query, query_all},
    person::Person,
};

/// What an entry of the operators' log is called.
const ACTION: &str = "people.erase";
/// Between two looks at messages that somebody holds.
const PAUSE: Duration = Duration::from_millis(300);
/// Clocks of stores and instances differ by less than this.
const SKEW: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

/// An erasure and its version.
pub type Known = (Erasure, Etag);

/// The erasure of a person that is under way, or a new one. `run` names one that was begun before: it is then returned
/// whatever its state.
///
/// # Errors
/// The store failed.
pub async fn begin(app: &App, person: &Person, who: &str, run: Option<&str>) -> Result<Known, EraseError> {
    let documents = app.documents.as_ref();
    let token = person.token(&app.tokens);
    loop {
        let known = read(app, &token).await?;
        if let Some((erasure, etag)) = &known
            && (erasure.state == State::Running || run == Some(erasure.run.as_str()))
        {
            return Ok((erasure.clone(), etag.clone()));
        }
        let now = app.clock.now();
        let entry = audit::start(documents, now, who, ACTION, &token, Value::Null).await?;
        let run = Uuid::now_v7().to_string();
        let erasure = Erasure::new(token.clone(), run.clone(), now, who, entry.id().to_owned());
        let write = match known {
            Some((_, etag)) => Operation::replace(erasure.id.clone(), &erasure, etag),
            None => Operation::create(erasure.id.clone(), &erasure),
        };
        let mark = Operation::upsert(MARK_ID, &serde_json::json!({ "id": MARK_ID, "run": run }));
        let steps = vec![write.with_ttl(stands_for(&app.config)), mark];
        match documents.commit(Container::Registry, PARTITION, steps).await {
            Ok(etags) => {
                let Some(etag) = etags.into_iter().next().flatten() else { continue };
                app.erasures.expire();
                // From now on nobody applies an event of this person as it came; what was read before is found in the places.
                sleep(OLDEST + PAUSE).await;
                return Ok((erasure, etag));
            }
            // Somebody else has begun.
            Err(CommitError::Conflict { .. } | CommitError::PreconditionFailed { .. }) => {
                entry.end(documents, app.clock.now(), "begun by somebody else", Value::Null).await;
            }
            Err(error) => {
                entry.end(documents, app.clock.now(), "not begun: the store failed", Value::Null).await;
                return Err(error.into());
            }
        }
    }
}

/// The erasure of a token.
///
/// # Errors
/// The store failed.
pub async fn read(app: &App, token: &str) -> Result<Option<Known>, DocumentsError> {
    let id = format!("{}{token}", super::erasure::PREFIX);
    let found = app.documents.read(Container::Registry, PARTITION, &id).await?;
    found.map(|document| Ok((document.parse()?, document.etag))).transpose()
}

/// Every erasure that is remembered.
///
/// # Errors
/// The store failed.
pub async fn list(app: &App) -> Result<Vec<Erasure>, DocumentsError> {
    let query = Query::partition(PARTITION).id_prefix(super::erasure::PREFIX);
    let found = query_all(app.documents.as_ref(), Container::Registry, query).await?;
    found.iter().map(crate::documents::Document::parse).collect()
}

/// Works until the erasure ends, or about `until`.
///
/// # Errors
/// A dependency failed: what was done stays done, and the same may be asked for again.
pub async fn go_on(app: &App, person: &Person, known: Known, until: Instant) -> Result<Erasure, EraseError> {
    let (mut erasure, mut etag) = known;
    // What a page starts behind may name the person: it is known here, and what is written down is a place before it.
    let mut nameless = erasure.position.clone();
    while erasure.state == State::Running {
        let before = erasure.clone();
        step(app, person, &mut erasure, until).await?;
        if erasure.state != State::Running {
            erasure.ended_at = Some(app.clock.now());
        }
        if erasure != before {
            if !erasure.position.as_ref().is_some_and(|position| person.is_in(position)) {
                nameless.clone_from(&erasure.position);
            } else if erasure.place != before.place {
                nameless = None;
            }
            let written = Erasure { position: nameless.clone(), ..erasure.clone() };
            let replace = Operation::replace(written.id.clone(), &written, etag).with_ttl(stands_for(&app.config));
            match app.documents.commit(Container::Registry, PARTITION, vec![replace]).await {
                Ok(etags) => match etags.into_iter().next().flatten() {
                    Some(written) => etag = written,
                    None => return Ok(erasure),
                },
                // Somebody else asks for the same: what both have done is done, and the other's place is as good.
                Err(CommitError::PreconditionFailed { .. }) => match read(app, &erasure.token).await? {
                    Some(theirs) => {
                        (erasure, etag) = theirs;
                        nameless.clone_from(&erasure.position);
                    }
                    None => return Ok(erasure),
                },
                Err(error) => return Err(error.into()),
            }
        }
        if erasure.state != State::Running {
            let outcome = if erasure.state == State::Done { "done" } else { "unsettled: ask again" };
            audit::end(app.documents.as_ref(), &erasure.audit, app.clock.now(), outcome, erasure.told()).await;
        }
        if Instant::now() >= until {
            break;
        }
    }
    Ok(erasure)
}

async fn step(app: &App, person: &Person, erasure: &mut Erasure, until: Instant) -> Result<(), EraseError> {
    if erasure.place == Place::Files {
        rewrite_files(app, erasure).await?;
        erasure.turn();
        return Ok(());
    }
    // What is older was looked at in the first pass.
    let written_since = (erasure.pass > 1).then(|| erasure.at - SKEW);
    let walk = Walk { app, person, mode: Mode::Erase, written_since };
    let page = walk.page(erasure.place, erasure.position.as_deref(), until).await?;
    let Page { counts, held, again, position } = page;
    let total = erasure.counts.entry(erasure.place).or_default();
    total.looked_at += counts.looked_at;
    total.tokenised += counts.tokenised;
    total.removed += counts.removed;
    // The others look at some of it again.
    if erasure.pass == 1 {
        total.kept += counts.kept;
        total.left += counts.left;
    }
    erasure.dirty |= again || held > 0 || counts.tokenised + counts.removed > 0;
    erasure.held += held;
    match position {
        Some(position) => erasure.position = Some(position),
        None if erasure.held > 0 && !has_waited(app, erasure) => {
            (erasure.position, erasure.held) = (None, 0);
            sleep(PAUSE).await;
        }
        None => erasure.turn(),
    }
    Ok(())
}

/// Messages that a processor holds are waited for, for as long as it may hold them.
fn has_waited(app: &App, erasure: &mut Erasure) -> bool {
    let now = app.clock.now();
    let since = *erasure.waits_since.get_or_insert(now);
    now - since > chrono::TimeDelta::from_std(app.config.bus.lock_duration).unwrap_or(chrono::TimeDelta::MAX)
}

/// Killed in between, both are rewritten again.
async fn rewrite_files(app: &App, erasure: &mut Erasure) -> Result<(), EraseError> {
    erasure.files.clear();
    let mut rewritten = |name: &str, (before, after): (u64, u64)| {
        erasure.files.push(Rewritten { name: name.to_owned(), before, after });
    };
    if let Some(shelf) = app.bus.shelf() {
        rewritten("broker.sqlite", shelf.compact().await?);
    }
    if let Some(sizes) = app.documents.compact().await? {
        rewritten("documents.sqlite", sizes);
    }
    Ok(())
}

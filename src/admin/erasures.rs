//! `/manage/erasures`: people whose data is to go. The address comes in bodies only, and is in no answer.

use std::{collections::BTreeMap, time::Duration};

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Call, Refusal, Reply, Resource};
use crate::{
    app::App,
    config::{Blobs, Documents},
    erase::{
        EraseError, Place,
        erasure::{self, Erasure},
        run,
        walk::{Mode, Walk},
    },
    person::Person,
};

/// How long one request may work. What it has done until then is done, and the same request goes on.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) const RESOURCE: Resource = Resource {
    name: "erasures",
    summary: "POST {recipient, run}: begin or go on; POST count {recipient, continuation}; GET; GET {token}",
    handle: |app, call| Box::pin(handle(app, call)),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    recipient: String,
    /// As the answer before said, to hear how that one ended.
    #[serde(default)]
    run: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    recipient: String,
    #[serde(default)]
    continuation: Option<String>,
}

async fn handle(app: &App, mut call: Call) -> Result<Reply, Refusal> {
    let what = call.next_segment();
    call.expect_end()?;
    match what.as_deref() {
        None if call.method == Method::POST => {
            let order: Order = call.json()?;
            let person = person(&order.recipient)?;
            go_on(app, &person, call.who()?, order.run.as_deref()).await.map_err(|error| refusal(app, &person, error))
        }
        None => {
            call.expect_method(&[Method::GET, Method::POST])?;
            let erasures: Vec<Value> = run::list(app).await?.iter().map(|erasure| seen(app, erasure)).collect();
            Ok(Reply::ok(json!({ "erasures": erasures })))
        }
        Some("count") => {
            call.expect_method(&[Method::POST])?;
            let question: Question = call.json()?;
            let person = person(&question.recipient)?;
            count(app, &person, question.continuation).await.map_err(|error| refusal(app, &person, error))
        }
        Some(token) => {
            call.expect_method(&[Method::GET])?;
            match run::read(app, token).await? {
                Some((erasure, _)) => Ok(Reply::ok(seen(app, &erasure))),
                None => {
                    Err(Refusal::NotFound("there is no erasure of this token: GET /manage/erasures lists them".into()))
                }
            }
        }
    }
}

fn person(recipient: &str) -> Result<Person, Refusal> {
    Person::parse(recipient).ok_or_else(|| {
        let wanted = "an e-mail address, or a phone number with its country code, of 7 to 15 digits";
        Refusal::Malformed(format!("the recipient must be {wanted}"))
    })
}

async fn go_on(app: &App, person: &Person, who: &str, run: Option<&str>) -> Result<Reply, EraseError> {
    let known = run::begin(app, person, who, run).await?;
    let erasure = run::go_on(app, person, known, Instant::now() + PATIENCE).await?;
    Ok(Reply::ok(seen(app, &erasure)))
}

/// One look at everything, from place to place; the numbers are those of this request alone.
async fn count(app: &App, person: &Person, continuation: Option<String>) -> Result<Reply, EraseError> {
    let malformed = || EraseError::Malformed("the continuation is malformed".to_owned());
    let (mut place, mut position) = match &continuation {
        None => (Some(Place::Bus), None),
        Some(text) => {
            let (name, position) = text.split_once(' ').unwrap_or((text, ""));
            let place = Place::ALL.into_iter().find(|place| place.name() == name).ok_or_else(malformed)?;
            (Some(place), Some(position.to_owned()).filter(|position| !position.is_empty()))
        }
    };
    let walk = Walk { app, person, mode: Mode::Look, written_since: None };
    let until = Instant::now() + PATIENCE;
    let mut places: BTreeMap<Place, erasure::Counts> = BTreeMap::new();
    while let Some(here) = place
        && Instant::now() < until
    {
        let page = walk.page(here, position.as_deref(), until).await?;
        places.entry(here).or_default().add(page.counts);
        position = page.position;
        if position.is_none() {
            place = here.next();
        }
    }
    let continuation = place.map(|place| format!("{} {}", place.name(), position.unwrap_or_default()));
    Ok(Reply::ok(json!({ "token": person.token(&app.tokens), "places": places, "continuation": continuation })))
}

/// The erasure, and what it cannot reach.
fn seen(app: &App, erasure: &Erasure) -> Value {
    let config = &app.config;
    let is_azure = matches!(config.documents, Documents::Cosmos(_)) || matches!(config.blobs, Blobs::Azure(_));
    let is_service_bus = app.bus.shelf().is_none();
    let mut seen = serde_json::to_value(erasure).expect("erasures serialise to JSON");
    // Where its next page starts is nobody's business.
    seen["position"] = Value::Null;
    seen["out_of_reach"] = json!(erasure::out_of_reach(is_service_bus, is_azure, config.bus.time_to_live));
    seen
}

/// What went wrong, without the person: a store's words may quote an id.
fn refusal(app: &App, person: &Person, error: EraseError) -> Refusal {
    let text = error.to_string();
    let text = person.replaced(&text, &app.tokens).unwrap_or(text);
    match error {
        EraseError::Malformed(_) => Refusal::Malformed(text),
        _ => Refusal::Unavailable(format!("{text}; what was done stays done, and the same again goes on")),
    }
}

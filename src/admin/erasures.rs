//! `/manage/erasures`: people whose data is to go. The address comes in bodies only, and is in no answer.

use std::{collections::BTreeMap, time::Duration};

use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Call, Operation, Operator, Refusal, Resource, describe::in_path, operation::does};
use crate::{
    app::App,
    config::{Blobs, Documents},
    erase::{
        EraseError, Place,
        erasure::{self, Erasure},
        run,
        walk::{Mode, Walk},
    },
    openapi::Parameter,
    person::Person,
};

/// How long one request may work. What it has done until then is done, and the same request goes on.
const PATIENCE: Duration = Duration::from_secs(5);

const TOKEN: Parameter = in_path("token", "The person's token, as an erasure's answer told it.");

pub(super) const RESOURCE: Resource = Resource {
    name: "erasures",
    summary: "people whose data is to go",
    operations: &[
        Operation {
            method: Method::GET,
            path: "erasures",
            summary: "Every erasure that is written down",
            parameters: &[],
            operator: Operator::Optional,
            refused: &[],
            does: does!(list() -> OK Erasures),
        },
        Operation {
            method: Method::POST,
            path: "erasures",
            summary: "Begin to erase a person, or go on: for some seconds, then ask again until the state is not running",
            parameters: &[],
            operator: Operator::Required,
            refused: &[],
            does: does!(erase(Order) -> OK Seen),
        },
        Operation {
            method: Method::POST,
            path: "erasures/count",
            summary: "Where a person is found, place by place; ask again with the continuation until there is none",
            parameters: &[],
            operator: Operator::Optional,
            refused: &[],
            does: does!(count(Question) -> OK Found),
        },
        Operation {
            method: Method::GET,
            path: "erasures/{token}",
            summary: "How far an erasure is, and what it cannot reach",
            parameters: &[TOKEN],
            operator: Operator::Optional,
            refused: &[(StatusCode::NOT_FOUND, "There is no erasure of this token.")],
            does: does!(show() -> OK Seen),
        },
    ],
};

/// Whom to erase.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ErasureOrder")]
struct Order {
    /// An e-mail address, or a phone number with its country code.
    recipient: String,
    /// As the answer before said, to hear how that one ended.
    #[serde(default)]
    run: Option<String>,
}

/// Whom to look for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ErasureQuestion")]
struct Question {
    /// An e-mail address, or a phone number with its country code.
    recipient: String,
    /// As the answer before said.
    #[serde(default)]
    continuation: Option<String>,
}

/// Every erasure.
#[derive(Serialize, JsonSchema)]
struct Erasures {
    erasures: Vec<Seen>,
}

/// An erasure as operators see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErasureSeen")]
struct Seen {
    #[serde(flatten)]
    erasure: Erasure,
    /// What no erasure reaches, in words.
    out_of_reach: Vec<String>,
}

/// Where a person was found, by this request.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErasureFound")]
struct Found {
    token: String,
    places: BTreeMap<Place, erasure::Counts>,
    /// Where the next request goes on; null at the end.
    continuation: Option<String>,
}

async fn list(app: &App, _: &Call) -> Result<Erasures, Refusal> {
    Ok(Erasures { erasures: run::list(app).await?.into_iter().map(|erasure| seen(app, erasure)).collect() })
}

async fn show(app: &App, call: &Call) -> Result<Seen, Refusal> {
    match run::read(app, call.segment("token")).await? {
        Some((erasure, _)) => Ok(seen(app, erasure)),
        None => Err(Refusal::NotFound("there is no erasure of this token: GET /manage/erasures lists them".into())),
    }
}

async fn erase(app: &App, call: &Call, order: Order) -> Result<Seen, Refusal> {
    let person = person(&order.recipient)?;
    let gone_on = go_on(app, &person, call.who()?, order.run.as_deref()).await;
    gone_on.map_err(|error| refusal(app, &person, error))
}

async fn count(app: &App, _: &Call, question: Question) -> Result<Found, Refusal> {
    let person = person(&question.recipient)?;
    look(app, &person, question.continuation).await.map_err(|error| refusal(app, &person, error))
}

fn person(recipient: &str) -> Result<Person, Refusal> {
    Person::parse(recipient).ok_or_else(|| {
        let wanted = "an e-mail address, or a phone number with its country code, of 7 to 15 digits";
        Refusal::Malformed(format!("the recipient must be {wanted}"))
    })
}

async fn go_on(app: &App, person: &Person, who: &str, run: Option<&str>) -> Result<Seen, EraseError> {
    let known = run::begin(app, person, who, run).await?;
    let erasure = run::go_on(app, person, known, Instant::now() + PATIENCE).await?;
    Ok(seen(app, erasure))
}

/// One look at everything, from place to place; the numbers are those of this request alone.
async fn look(app: &App, person: &Person, continuation: Option<String>) -> Result<Found, EraseError> {
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
    Ok(Found { token: person.token(&app.tokens), places, continuation })
}

/// The erasure, and what it cannot reach.
fn seen(app: &App, erasure: Erasure) -> Seen {
    let config = &app.config;
    let is_azure = matches!(config.documents, Documents::Cosmos(_)) || matches!(config.blobs, Blobs::Azure(_));
    let is_service_bus = app.bus.shelf().is_none();
    // Where its next page starts is nobody's business.
    let erasure = Erasure { position: None, ..erasure };
    Seen { erasure, out_of_reach: erasure::out_of_reach(is_service_bus, is_azure, config.bus.time_to_live) }
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

//! `/manage/partners`: who receives events, and how.
//!
//! Values of headers are never told; secrets only to those who ask for them, and that is written down.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Call, Operation, Operator, Refusal, Resource,
    describe::in_path,
    operation::{Does, does},
};
use crate::{
    app::App,
    audit,
    clock::Timestamp,
    delivery::{
        Partner,
        changes::Changes,
        keys::Keys,
        partner::{Former, Settings, State},
        registry::{Registry, RegistryError},
        sample::Report,
    },
    openapi::{DurationText, Parameter},
};

const NAME: Parameter = in_path("name", "The partner's name: 1 to 40 of a-z, 0-9 and `-`.");
const UNKNOWN: (StatusCode, &str) = (StatusCode::NOT_FOUND, "There is no such partner.");
const CONFLICT: (StatusCode, &str) =
    (StatusCode::CONFLICT, "It does not fit how things are (the detail says what), or somebody else was faster.");

const fn change(method: Method, path: &'static str, summary: &'static str, does: Does) -> Operation {
    let (parameters, refused): (&[_], &[_]) = (&[NAME], &[UNKNOWN, CONFLICT]);
    Operation { method, path, summary, parameters, operator: Operator::Required, refused, does }
}

pub(super) const RESOURCE: Resource = Resource {
    name: "partners",
    summary: "who receives events, and how",
    operations: &[
        Operation {
            method: Method::GET,
            path: "partners",
            summary: "All partners",
            parameters: &[],
            operator: Operator::Optional,
            refused: &[CONFLICT],
            does: does!(list() -> OK Views),
        },
        Operation {
            method: Method::GET,
            path: "partners/{name}",
            summary: "One partner",
            parameters: &[NAME],
            operator: Operator::Optional,
            refused: &[UNKNOWN, CONFLICT],
            does: does!(show() -> OK View),
        },
        Operation {
            method: Method::PUT,
            path: "partners/{name}",
            summary: "Add a partner; its secret is in the answer",
            parameters: &[NAME],
            operator: Operator::Required,
            refused: &[CONFLICT],
            does: does!(add(Changes) -> CREATED View),
        },
        change(Method::PATCH, "partners/{name}", "Change a partner", does!(update(Changes) -> OK View)),
        change(
            Method::DELETE,
            "partners/{name}",
            "Remove a partner; what it is still owed is parked",
            does!(remove() -> OK View),
        ),
        change(
            Method::POST,
            "partners/{name}/disable",
            "Send it nothing for now: its events are parked with this reason",
            does!(disable(Disable) -> OK View),
        ),
        change(Method::POST, "partners/{name}/enable", "Send it events again", does!(enable() -> OK View)),
        change(
            Method::POST,
            "partners/{name}/rotate-secret",
            "Make a new secret, which is in the answer; the former stays valid for a while",
            does!(rotate(Rotate) -> OK View),
        ),
        change(
            Method::POST,
            "partners/{name}/secret",
            "Tell its secret, which nothing else does after it was made; that is written down",
            does!(secret() -> OK View),
        ),
        change(
            Method::POST,
            "partners/{name}/test",
            "Send it a signed sample event now, and tell what came back",
            does!(test() -> OK Report),
        ),
    ],
};

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        let told = error.to_string();
        match error {
            RegistryError::Invalid(_) | RegistryError::Name(_) => Self::Malformed(told),
            RegistryError::Unknown(_) => Self::NotFound(told),
            RegistryError::Exists(_) | RegistryError::Unreadable(_) | RegistryError::Busy(_) => Self::Conflict(told),
            RegistryError::Store(error) => error.into(),
        }
    }
}

/// Why a partner is disabled.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Disable {
    #[serde(default)]
    reason: Option<String>,
}

/// How long the former secret stays valid.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rotate {
    /// At most a year; by default `former_secret` of `[delivery]`.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    window: Option<humantime_serde::Serde<Duration>>,
}

/// A partner as operators see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Partner")]
struct View {
    name: String,
    /// Values of headers are hidden, unless they name a variable.
    settings: Settings,
    #[serde(flatten)]
    state: State,
    /// Of the secret that a receiver should know; it goes up with each rotation.
    generation: u32,
    /// Earlier secrets that events are signed with as well, for a while.
    former: Vec<Former>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// `whpk_...`, what signatures `v1a` are verified with; absent where there is no key to derive it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    /// `whsec_...`, where it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl View {
    fn of(app: &App, partner: &Partner) -> Self {
        let keys = app.courier.keys.as_ref();
        let public_key = keys.map(|keys| keys.public(partner, partner.signing.generation));
        let mut settings = partner.settings.clone();
        for value in settings.headers.values_mut().filter(|value| !value.starts_with("env:")) {
            *value = "(hidden)".to_owned();
        }
        Self {
            name: partner.id.clone(),
            settings,
            state: partner.state.clone(),
            generation: partner.signing.generation,
            former: partner.signing.former.clone(),
            created_at: partner.created_at,
            updated_at: partner.updated_at,
            public_key,
            secret: None,
        }
    }

    fn with_secret(app: &App, keys: &Keys, partner: &Partner) -> Self {
        let secret = keys.symmetric(partner, partner.signing.generation).expose().to_owned();
        Self { secret: Some(secret), ..Self::of(app, partner) }
    }
}

/// All partners, by name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Partners")]
struct Views {
    partners: Vec<View>,
}

async fn list(app: &App, _: &Call) -> Result<Views, Refusal> {
    let partners = app.courier.registry.list().await?;
    Ok(Views { partners: partners.all().map(|partner| View::of(app, partner)).collect() })
}

async fn show(app: &App, call: &Call) -> Result<View, Refusal> {
    Ok(View::of(app, &app.courier.registry.get(call.segment("name")).await?))
}

async fn add(app: &App, call: &Call, changes: Changes) -> Result<View, Refusal> {
    let keys = keys(app)?;
    let details = details(&changes);
    let settings = changes.create(&app.config).map_err(RegistryError::from)?;
    let doing = Doing::new(app, call)?;
    let partner = doing.audited("partner.add", details, app.courier.registry.add(doing.name, settings)).await?;
    Ok(View::with_secret(app, keys, &partner))
}

async fn update(app: &App, call: &Call, changes: Changes) -> Result<View, Refusal> {
    let registry: &Registry = &app.courier.registry;
    let doing = Doing::new(app, call)?;
    // Before it is written down that somebody changes something.
    changes.clone().apply(&registry.get(doing.name).await?.settings, &app.config).map_err(RegistryError::from)?;
    let details = details(&changes);
    let change = registry.update(doing.name, |settings| changes.clone().apply(settings, &app.config));
    Ok(View::of(app, &doing.audited("partner.update", details, change).await?.1))
}

async fn remove(app: &App, call: &Call) -> Result<View, Refusal> {
    let doing = Doing::new(app, call)?;
    let removal = app.courier.registry.remove(doing.name);
    Ok(View::of(app, &doing.audited("partner.remove", Value::Null, removal).await?))
}

async fn disable(app: &App, call: &Call, Disable { reason }: Disable) -> Result<View, Refusal> {
    let doing = Doing::new(app, call)?;
    let reason = reason.unwrap_or_else(|| format!("disabled by {}", doing.who));
    let change = app.courier.registry.disable(doing.name, &reason);
    Ok(View::of(app, &doing.audited("partner.disable", json!({ "reason": reason }), change).await?.1))
}

async fn enable(app: &App, call: &Call) -> Result<View, Refusal> {
    let doing = Doing::new(app, call)?;
    let change = app.courier.registry.enable(doing.name);
    Ok(View::of(app, &doing.audited("partner.enable", Value::Null, change).await?.1))
}

async fn rotate(app: &App, call: &Call, Rotate { window }: Rotate) -> Result<View, Refusal> {
    let window = window.map_or(app.config.delivery.former_secret, humantime_serde::Serde::into_inner);
    if window > Duration::from_secs(365 * 24 * 3600) {
        return Err(Refusal::Malformed("window must be at most a year".into()));
    }
    let keys = keys(app)?;
    let doing = Doing::new(app, call)?;
    let details = json!({ "window_s": window.as_secs() });
    let change = app.courier.registry.rotate(doing.name, window);
    Ok(View::with_secret(app, keys, &doing.audited("partner.rotate-secret", details, change).await?.1))
}

async fn secret(app: &App, call: &Call) -> Result<View, Refusal> {
    let keys = keys(app)?;
    let doing = Doing::new(app, call)?;
    let partner = doing.audited("partner.secret", Value::Null, app.courier.registry.get(doing.name)).await?;
    Ok(View::with_secret(app, keys, &partner))
}

async fn test(app: &App, call: &Call) -> Result<Report, Refusal> {
    let doing = Doing::new(app, call)?;
    let partner = app.courier.registry.get(doing.name).await?;
    let sample = async {
        let sent = app.courier.sample(&partner).await;
        sent.map_err(|error| Refusal::Conflict(format!("nothing was sent: {error}")))
    };
    doing.audited("partner.test", Value::Null, sample).await
}

/// Who does something to whom.
struct Doing<'a> {
    app: &'a App,
    who: &'a str,
    name: &'a str,
}

impl<'a> Doing<'a> {
    fn new(app: &'a App, call: &'a Call) -> Result<Self, Refusal> {
        Ok(Self { app, who: call.who()?, name: call.segment("name") })
    }

    /// Does it between the two lines of the audit trail.
    async fn audited<T, E: Into<Refusal>>(
        &self,
        action: &str,
        details: Value,
        act: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Refusal> {
        let (documents, clock) = (self.app.documents.as_ref(), &self.app.clock);
        let entry = audit::start(documents, clock.now(), self.who, action, self.name, details).await?;
        let done = act.await.map_err(Into::into);
        let outcome = done.as_ref().err().map_or_else(|| "done".to_owned(), ToString::to_string);
        entry.end(documents, clock.now(), &outcome, Value::Null).await;
        done
    }
}

fn keys(app: &App) -> Result<&Keys, Refusal> {
    app.courier.keys.as_ref().ok_or_else(|| {
        Refusal::Conflict(
            "there is no key to derive secrets from: set the variable that [delivery] key names in sluice.toml".into(),
        )
    })
}

/// What changes, for the audit trail: a header's value or an endpoint's query may be a secret.
fn details(changes: &Changes) -> Value {
    let mut details = serde_json::to_value(changes).expect("changes serialise to JSON");
    if let Some(headers) = &changes.headers {
        details["headers"] = json!(headers.keys().collect::<Vec<_>>());
    }
    if let Some(endpoint) = &changes.endpoint {
        details["endpoint"] = json!(endpoint.split(['?', '#']).next());
    }
    details
}

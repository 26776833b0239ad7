//! `/manage/partners`: who receives events, and how.
//!
//! | | |
//! |---|---|
//! | `GET /manage/partners` | all of them |
//! | `GET`, `PUT`, `PATCH`, `DELETE /manage/partners/{name}` | show, add, change, remove; bodies are [`Changes`] |
//! | `POST .../{name}/disable` | `{"reason"}` |
//! | `POST .../{name}/enable`, `.../test` | |
//! | `POST .../{name}/rotate-secret` | `{"window"}`: how long the former secret is valid |
//! | `POST .../{name}/secret` | its secret, which nothing else tells after it was made |
//!
//! Values of headers are never told; secrets only to those who ask for them, and that is written down.

use std::time::Duration;

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Refusal, Reply, Resource};
use crate::{
    app::App,
    audit,
    delivery::{
        Partner,
        changes::Changes,
        keys::Keys,
        registry::{Registry, RegistryError},
    },
};

pub(super) const RESOURCE: Resource = Resource {
    name: "partners",
    summary: "GET; GET PUT PATCH DELETE {name}; POST {name}/disable|enable|test|rotate-secret|secret: who receives events",
    handle: |app, call| Box::pin(handle(app, call)),
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disable {
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    #[serde(default)]
    window: Option<humantime_serde::Serde<Duration>>,
}

async fn handle(app: &App, mut call: Call) -> Result<Reply, Refusal> {
    let registry = &app.courier.registry;
    let Some(name) = call.next_segment() else {
        call.expect_method(&[Method::GET])?;
        let partners: Vec<_> = registry.list().await?.all().map(|partner| shown(app, partner)).collect();
        return Ok(Reply::ok(json!({ "partners": partners })));
    };
    let Some(verb) = call.next_segment() else {
        return match call.method {
            Method::GET => Ok(Reply::ok(shown(app, &registry.get(&name).await?))),
            Method::PUT => add(app, &call, &name).await,
            Method::PATCH => update(app, &call, &name).await,
            Method::DELETE => remove(app, &call, &name).await,
            _ => Err(Refusal::MethodNotAllowed("GET, PUT, PATCH, DELETE".into())),
        };
    };
    call.expect_end()?;
    call.expect_method(&[Method::POST])?;
    let at = Doing { app, who: call.who()?, name: &name };
    match verb.as_str() {
        "disable" => {
            let Disable { reason } = call.json()?;
            let reason = reason.unwrap_or_else(|| format!("disabled by {}", at.who));
            let changed = at.audited("partner.disable", json!({ "reason": reason }), registry.disable(&name, &reason));
            Ok(Reply::ok(shown(app, &changed.await?.1)))
        }
        "enable" => {
            let changed = at.audited("partner.enable", Value::Null, registry.enable(&name)).await?;
            Ok(Reply::ok(shown(app, &changed.1)))
        }
        "rotate-secret" => {
            let Rotate { window } = call.json()?;
            let window = window.map_or(app.config.delivery.former_secret, humantime_serde::Serde::into_inner);
            if window > Duration::from_secs(365 * 24 * 3600) {
                return Err(Refusal::Malformed("window must be at most a year".into()));
            }
            let keys = keys(app)?;
            let details = json!({ "window_s": window.as_secs() });
            let changed = at.audited("partner.rotate-secret", details, registry.rotate(&name, window)).await?;
            Ok(Reply::ok(with_secret(shown(app, &changed.1), keys, &changed.1)))
        }
        "secret" => {
            let keys = keys(app)?;
            let partner = at.audited("partner.secret", Value::Null, registry.get(&name)).await?;
            Ok(Reply::ok(with_secret(shown(app, &partner), keys, &partner)))
        }
        "test" => {
            let partner = registry.get(&name).await?;
            let sample = async {
                let sent = app.courier.sample(&partner).await;
                sent.map_err(|error| Refusal::Conflict(format!("nothing was sent: {error}")))
            };
            Ok(Reply::ok(at.audited("partner.test", Value::Null, sample).await?))
        }
        other => Err(Refusal::NotFound(format!("partners have no {other:?}: GET /manage lists what there is"))),
    }
}

async fn add(app: &App, call: &Call, name: &str) -> Result<Reply, Refusal> {
    let keys = keys(app)?;
    let changes: Changes = call.json()?;
    let details = details(&changes);
    let settings = changes.create(&app.config).map_err(RegistryError::from)?;
    let doing = Doing { app, who: call.who()?, name };
    let partner = doing.audited("partner.add", details, app.courier.registry.add(name, settings)).await?;
    Ok(Reply::created(with_secret(shown(app, &partner), keys, &partner)))
}

async fn update(app: &App, call: &Call, name: &str) -> Result<Reply, Refusal> {
    let changes: Changes = call.json()?;
    let registry: &Registry = &app.courier.registry;
    // Before it is written down that somebody changes something.
    changes.clone().apply(&registry.get(name).await?.settings, &app.config).map_err(RegistryError::from)?;
    let details = details(&changes);
    let change = registry.update(name, |settings| changes.clone().apply(settings, &app.config));
    let changed = Doing { app, who: call.who()?, name }.audited("partner.update", details, change).await?;
    Ok(Reply::ok(shown(app, &changed.1)))
}

async fn remove(app: &App, call: &Call, name: &str) -> Result<Reply, Refusal> {
    let removal = app.courier.registry.remove(name);
    let partner = Doing { app, who: call.who()?, name }.audited("partner.remove", Value::Null, removal).await?;
    Ok(Reply::ok(shown(app, &partner)))
}

/// Who does something to whom.
struct Doing<'a> {
    app: &'a App,
    who: &'a str,
    name: &'a str,
}

impl Doing<'_> {
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

/// A partner as operators see it.
fn shown(app: &App, partner: &Partner) -> Value {
    let mut shown = json!({
        "name": partner.name(),
        "settings": partner.settings,
        "generation": partner.signing.generation,
        "former": partner.signing.former,
        "created_at": partner.created_at,
        "updated_at": partner.updated_at,
    });
    let state = serde_json::to_value(&partner.state).expect("a state serialises to JSON");
    if let (Value::Object(shown), Value::Object(state)) = (&mut shown, state) {
        shown.extend(state);
    }
    for (name, value) in &partner.settings.headers {
        shown["settings"]["headers"][name] = json!(if value.starts_with("env:") { value } else { "(hidden)" });
    }
    if let Some(keys) = &app.courier.keys {
        shown["public_key"] = json!(keys.public(partner, partner.signing.generation));
    }
    shown
}

fn with_secret(mut shown: Value, keys: &Keys, partner: &Partner) -> Value {
    shown["secret"] = json!(keys.symmetric(partner, partner.signing.generation).expose());
    shown
}

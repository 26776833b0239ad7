//! The function folders and the handler agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;
use sluice::{
    app::SQL,
    config::{Blobs, BusKind, Config, Documents, Profile},
    functions::{Entry, FUNCTIONS, MESSAGES, ROWS, TIMER},
    local::host::{FunctionApp, Output, OutputKind, Trigger, app::ServiceBusSource},
    projection::schema::EVENTS,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn settings(name: &str) -> Option<String> {
    match name {
        "CALLBACKS_TOPIC" => Some("callbacks".into()),
        "DELIVERIES_TOPIC" => Some("deliveries".into()),
        _ => None,
    }
}

#[test]
fn every_folder_has_a_handler_and_every_handler_a_folder() {
    let app = FunctionApp::load(root(), &settings).unwrap();
    assert!(app.refused.is_empty(), "{:?}", app.refused);
    let folders: BTreeSet<_> = app.functions.iter().map(|function| function.name.as_str()).collect();
    let handlers: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
    assert_eq!(folders, handlers);
}

#[test]
fn names_routes_and_bindings_agree_with_the_handlers() {
    for function in FUNCTIONS {
        let path = root().join("functions").join(function.name).join("function.json");
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let trigger = &json["bindings"][0];
        match function.entry {
            Entry::Http(segment, ..) | Entry::Keyed(segment, ..) => {
                let level = if matches!(function.entry, Entry::Keyed(..)) { "function" } else { "anonymous" };
                assert_eq!(trigger["authLevel"], level);
                assert_eq!(trigger["type"], "httpTrigger");
                let route = trigger["route"].as_str().unwrap();
                assert_eq!(route.split('/').next(), Some(segment));
                // Anything else would switch the host from forwarding to invocations.
                let types: Vec<_> = json["bindings"].as_array().unwrap().iter().map(|b| b["type"].clone()).collect();
                assert_eq!(types, ["httpTrigger", "http"]);
            }
            Entry::Invocation(_) if trigger["type"] == "timerTrigger" => assert_eq!(trigger["name"], TIMER),
            Entry::Invocation(_) => {
                assert_eq!(trigger["type"], "serviceBusTrigger");
                assert_eq!(trigger["name"], MESSAGES);
                // Text bindings let a message's body spoof its own metadata.
                assert_eq!(trigger["dataType"], "binary");
                assert_eq!(trigger["cardinality"], "many");
                let (subscription, topic) = match function.name.split_once('-') {
                    Some(("process", channel)) => (channel, "%CALLBACKS_TOPIC%"),
                    Some((_, destination)) => (destination, "%DELIVERIES_TOPIC%"),
                    None => (function.name, "%DELIVERIES_TOPIC%"),
                };
                assert_eq!(
                    (&trigger["topicName"], &trigger["subscriptionName"]),
                    (&topic.into(), &subscription.into())
                );
            }
        }
    }
}

/// What `local.settings.json.example` sets.
fn local_settings() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("local.settings.json.example")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["IsEncrypted"], false);
    let values = json["Values"].as_object().unwrap();
    // Core Tools skips a value that is no text.
    values.iter().map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect()
}

/// Every text of a binding, with its key.
fn texts<'a>(key: &'a str, value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::String(text) => found.push((key, text)),
        Value::Array(values) => values.iter().for_each(|value| texts(key, value, found)),
        Value::Object(members) => members.iter().for_each(|(key, value)| texts(key, value, found)),
        _ => {}
    }
}

#[test]
fn the_example_of_local_settings_has_what_every_function_names() {
    let settings = local_settings();
    let has = |name: &str| settings.get(name).is_some_and(|value| !value.is_empty());
    assert_eq!(settings["FUNCTIONS_WORKER_RUNTIME"], "custom");
    assert!(has("AzureWebJobsStorage"), "the host keeps its timers' locks there");
    let app = FunctionApp::load(root(), &|name| settings.get(name).cloned()).unwrap();
    assert!(app.refused.is_empty(), "{:?}", app.refused);
    // What is switched off connects to nothing.
    let disabled: BTreeSet<_> = app.disabled.iter().map(String::as_str).collect();
    for function in FUNCTIONS {
        let path = root().join("functions").join(function.name).join("function.json");
        let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut found = Vec::new();
        texts("", &json, &mut found);
        for (key, text) in found {
            if key.to_ascii_lowercase().starts_with("connection") && !disabled.contains(function.name) {
                assert!(has(text), "{} connects to {text}, which is not set", function.name);
            }
            for name in text.split('%').skip(1).step_by(2) {
                assert!(has(name), "{} names %{name}%, which is not set", function.name);
            }
        }
    }
}

#[test]
fn with_the_example_of_local_settings_everything_is_on_the_emulators() {
    let settings = local_settings();
    let path = root().join("sluice.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let config = Config::parse(&path, &text, &|name| settings.get(name).cloned()).unwrap();
    assert_eq!(config.profile, Profile::Demo);
    assert_eq!((config.missing_secrets(), config.missing_connections()), (vec![], vec![]));
    assert_eq!(config.bus.kind, BusKind::ServiceBus);
    assert!(matches!(config.documents, Documents::Cosmos(_)) && matches!(config.blobs, Blobs::Azure(_)));
    for name in ["CALLBACKS_TOPIC", "DELIVERIES_TOPIC"] {
        assert_eq!(settings.get(name), config.default_setting(name).as_ref(), "{name}");
    }
    let unknown: Vec<_> =
        settings.keys().filter(|name| name.starts_with("SLUICE_") && !text.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "sluice.toml explains every variable of the program: {unknown:?}");
}

#[test]
fn the_projection_writes_to_its_table_by_the_binding_that_the_handler_answers() {
    let app = FunctionApp::load(root(), &settings).unwrap();
    let function = app.functions.iter().find(|function| function.name == "project-sql").unwrap();
    let kind = OutputKind::Sql { table: EVENTS.name.into(), connection: "SqlConnection".into() };
    assert_eq!(function.outputs, [Output { name: ROWS.into(), kind }]);
    let Trigger::ServiceBus(trigger) = &function.trigger else { panic!("{:?}", function.trigger) };
    let source = ServiceBusSource::Subscription { topic: "deliveries".into(), subscription: SQL.into() };
    assert_eq!(trigger.source, source);
}

//! The function folders and the handler agree.

use std::{collections::BTreeSet, path::Path};

use sluice::{
    app::SQL,
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
            Entry::Http(segment, _) => {
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
                let (verb, topic) = match function.name.split_once('-').unwrap() {
                    ("process", _) => ("process", "%CALLBACKS_TOPIC%"),
                    (verb, _) => (verb, "%DELIVERIES_TOPIC%"),
                };
                assert_eq!(trigger["topicName"], topic);
                assert_eq!(format!("{verb}-{}", trigger["subscriptionName"].as_str().unwrap()), function.name);
            }
        }
    }
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

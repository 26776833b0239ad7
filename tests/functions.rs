//! The function folders and the handler agree.

use std::{collections::BTreeSet, path::Path};

use sluice::{
    functions::{Entry, FUNCTIONS, MESSAGES, TIMER},
    local::host::FunctionApp,
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
            Entry::Http(segment, _) | Entry::Keyed(segment, _) => {
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
                assert_eq!(trigger["topicName"], "%CALLBACKS_TOPIC%");
                assert_eq!(format!("process-{}", trigger["subscriptionName"].as_str().unwrap()), function.name);
            }
        }
    }
}

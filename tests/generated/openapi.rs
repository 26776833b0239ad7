//! `docs/openapi.json` and `docs/openapi-custom-handler.json`.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;
use sluice::{
    functions::{Entry, FUNCTIONS},
    local::host::{FunctionApp, Trigger},
    openapi::{Place, document},
};

use crate::expect_up_to_date;

const PLACES: [(Place, &str); 2] =
    [(Place::World, "docs/openapi.json"), (Place::FunctionsHost, "docs/openapi-custom-handler.json")];

#[test]
fn the_committed_documents_are_what_the_code_says() {
    for (place, path) in PLACES {
        expect_up_to_date(path, &format!("{:#}\n", document(place)));
    }
}

#[test]
fn the_command_prints_them() {
    for (place, arguments) in [(Place::World, &[][..]), (Place::FunctionsHost, &["--custom-handler"])] {
        let run = Command::new(env!("CARGO_BIN_EXE_sluice")).arg("openapi").args(arguments).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        assert_eq!(serde_json::from_slice::<Value>(&run.stdout).unwrap(), document(place));
    }
}

/// Each operation's method, by its path.
fn methods(document: &Value) -> BTreeMap<&str, BTreeSet<String>> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .map(|(path, methods)| (path.as_str(), methods.as_object().unwrap().keys().cloned().collect()))
        .collect()
}

#[test]
fn every_function_is_described_with_the_methods_that_its_folder_lets_through() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let app = FunctionApp::load(root, &|name| name.ends_with("_TOPIC").then(|| name.into())).unwrap();
    let world = document(Place::World);
    let described = methods(&world);
    for function in app.functions {
        let Trigger::Http(trigger) = function.trigger else { continue };
        let route = trigger.route.text();
        let first = format!("/{}", route.split('/').next().unwrap());
        let below = described.iter().filter(|(path, _)| **path == first || path.starts_with(&format!("{first}/")));
        let told: BTreeSet<String> = below.flat_map(|(_, methods)| methods.iter().cloned()).collect();
        let taken = trigger.methods.expect("every HTTP function names its methods");
        let taken: BTreeSet<String> = taken.iter().map(|method| method.as_str().to_ascii_lowercase()).collect();
        assert_eq!(told, taken, "{route}");
    }
    let host = document(Place::FunctionsHost);
    for function in FUNCTIONS.iter().filter(|function| matches!(function.entry, Entry::Invocation(_))) {
        assert!(methods(&host).contains_key(format!("/{}", function.name).as_str()), "{}", function.name);
    }
}

#[test]
fn every_name_in_a_path_has_a_parameter_and_every_operation_a_name_of_its_own() {
    for (place, path) in PLACES {
        let document = document(place);
        let mut ids = BTreeSet::new();
        for (route, methods) in document["paths"].as_object().unwrap() {
            let named: BTreeSet<&str> =
                route.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            for (method, operation) in methods.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().unwrap();
                let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
                let told: BTreeSet<&str> = in_path.map(|parameter| parameter["name"].as_str().unwrap()).collect();
                assert_eq!(told, named, "{path}: {method} {route}");
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path}: {method} {route}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    for (place, path) in PLACES {
        let document = document(place);
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{path}: {reference}");
        }
    }
}

use std::{collections::BTreeSet, fs, time::Duration};

use axum::Router;
use serde_json::{Value, json};
use sluice::{
    host::value::DataType,
    local::host::{
        FunctionApp, HostJsonError, Trigger,
        app::{AuthLevel, ServiceBusSource},
    },
};

use crate::world::{
    FakeBroker, Folders, Running, http_function, options, service_bus_function, shipped, timer_function,
};

fn settings(name: &str) -> Option<String> {
    match name {
        "CALLBACKS_TOPIC" => Some("callbacks".into()),
        "DELIVERIES_TOPIC" => Some("deliveries".into()),
        // `tests/projection.rs` runs it.
        "AzureWebJobs.project-sql.Disabled" => Some("true".into()),
        _ => None,
    }
}

/// The bindings and one more.
fn with(mut bindings: Value, binding: Value) -> Value {
    bindings.as_array_mut().unwrap().push(binding);
    bindings
}

fn sql(extra: Value) -> Value {
    let mut binding = json!({
        "type": "sql", "direction": "out", "name": "rows",
        "commandText": "dbo.Events", "connectionStringSetting": "SqlConnection"
    });
    binding.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    binding
}

#[test]
fn the_shipped_folders_load_without_refusals() {
    let app = FunctionApp::load(shipped(), &settings).unwrap();
    assert_eq!(app.refused, []);
    let names: Vec<&str> = app.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "deliver",
            "health",
            "ingest",
            "operate",
            "process-email",
            "process-sms",
            "process-voice",
            "run-replays",
            "sweep-retries"
        ]
    );
    assert_eq!(app.host.custom_handler.arguments, ["serve"]);
    for function in &app.functions {
        match &function.trigger {
            Trigger::Http(http) => {
                assert!(http.forwarded, "{}: the raw request reaches the handler", function.name);
                let expected = if function.name == "operate" { AuthLevel::Function } else { AuthLevel::Anonymous };
                assert_eq!(http.auth_level, expected);
            }
            Trigger::ServiceBus(trigger) => {
                assert_eq!(function.binding, "messages");
                let (topic, subscription, batch) = match function.name.strip_prefix("process-") {
                    Some(channel) => ("callbacks", channel, 256),
                    None => ("deliveries", function.name.as_str(), 128),
                };
                let source = ServiceBusSource::Subscription { topic: topic.into(), subscription: subscription.into() };
                assert_eq!(trigger.source, source);
                assert_eq!((trigger.data_type, trigger.max_batch), (Some(DataType::Binary), Some(batch)));
            }
            Trigger::Timer(_) => assert_eq!(function.binding, "timer"),
            Trigger::Other(kind) => panic!("{kind}"),
        }
    }
}

#[tokio::test]
async fn the_one_machine_host_runs_everything_that_is_shipped() {
    let app = FunctionApp::load(shipped(), &settings).unwrap();
    let mut host = Running::start(app, Router::new(), &FakeBroker::default()).await;
    host.stop();
    host.stopped().await;
}

#[test]
fn what_the_functions_host_would_refuse_is_refused_with_its_reason() {
    let http = |extra: Value| {
        let mut bindings = http_function("x", &[]);
        bindings[0].as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        bindings
    };
    let bus = |extra: Value| {
        let mut bindings = service_bus_function("sms");
        bindings[0].as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        bindings
    };
    let cases: &[(&str, Value, &str)] = &[
        ("1st", http(json!({})), "is no function name"),
        ("host", http(json!({})), "cannot be called `host`"),
        ("f", json!([]), "at least one is needed"),
        ("f", json!([{"type": "http", "direction": "out", "name": "res"}]), "there is no trigger"),
        (
            "f",
            json!([{"type": "timerTrigger", "direction": "in", "name": "a", "schedule": "* * * * * *"},
                     {"type": "httpTrigger", "direction": "in", "name": "b"}]),
            "2 triggers (a, b)",
        ),
        ("f", http(json!({"name": "my_req"})), "`my_req` is no binding name"),
        ("f", http(json!({"name": null})), "`` is no binding name"),
        ("f", http(json!({"name": "RES"})), "two bindings are called `res`"),
        ("f", http(json!({"name": "$return"})), "`$return` must have the direction out"),
        ("f", http(json!({"direction": "sideways"})), "has the direction `sideways`"),
        ("f", http(json!({"direction": null})), "has no direction"),
        ("f", http(json!({"direction": "out"})), "there is no trigger"),
        ("f", http(json!({"type": null})), "has no type"),
        ("f", http(json!({"type": "pigeonTrigger"})), "no extension knows the binding type `pigeonTrigger`"),
        ("f", http(json!({"route": "Admin/x"})), "none may start with admin or runtime"),
        ("f", http(json!({"route": "/runtimes"})), "none may start with admin or runtime"),
        ("f", http(json!({"route": "a/{*rest}/b"})), "goes on after its catch-all"),
        ("f", http(json!({"route": "a//b"})), "has an empty segment"),
        ("f", http(json!({"route": "{x}/{X}"})), "names `X` twice"),
        ("f", http(json!({"route": "a{x}b"})), "use a whole segment for each parameter"),
        ("f", http(json!({"route": "{x:regex(y)}"})), "is not supported"),
        ("f", http(json!({"methods": ["ge t"]})), "is not an HTTP method"),
        ("f", http(json!({"authLevel": "nobody"})), "is no authLevel"),
        ("f", timer_function("61 * * * * *"), "`61` is no second"),
        ("f", timer_function("%WHEN%"), "`%WHEN%` does not resolve"),
        ("f", timer_function("100%"), "without its partner"),
        ("f", json!([{"type": "timerTrigger", "direction": "in", "name": "t"}]), "has no schedule"),
        ("f", bus(json!({"topicName": "%TOPIC%"})), "`%TOPIC%` does not resolve"),
        ("f", bus(json!({"topicName": null})), "needs either `queueName` or `topicName`"),
        ("f", bus(json!({"queueName": "q"})), "needs either `queueName` or `topicName`"),
        ("f", bus(json!({"cardinality": "several"})), "is no cardinality"),
        ("f", bus(json!({"dataType": "text"})), "is no dataType"),
        ("f", bus(json!({"maxMessageBatchSize": 0})), "must be a positive number"),
        ("f", bus(json!({"autoCompleteMessages": "yes"})), "must be true or false"),
        ("f", with(bus(json!({})), sql(json!({"commandText": " "}))), "binding `rows` has no `commandText`"),
        ("f", with(bus(json!({})), sql(json!({"commandText": "%TABLE%"}))), "`%TABLE%` does not resolve"),
        (
            "f",
            with(bus(json!({})), sql(json!({"connectionStringSetting": null}))),
            "binding `rows` has no `connectionStringSetting`",
        ),
    ];
    for (name, bindings, expected) in cases {
        let folders = Folders::new();
        let app = folders.function(name, bindings).function("good", &http_function("good", &[])).load();
        let [(refused, reasons)] = app.refused.as_slice() else { panic!("{bindings} must be refused") };
        assert_eq!(refused, name);
        assert!(reasons.iter().any(|reason| reason.contains(expected)), "{reasons:?} lacks {expected:?}");
        assert_eq!(app.functions.len(), 1, "the others still load");
    }
}

#[test]
fn all_faults_of_a_function_are_told_at_once() {
    let folders = Folders::new();
    let text = json!({"scriptFile": "run.js", "bindings": [
        {"type": "pigeonTrigger", "direction": "in", "name": "p"},
        {"type": "serviceBusTrigger", "direction": "in", "name": "m", "topicName": "%A%", "subscriptionName": "%B%"}
    ]});
    let app = folders.raw("f", &text.to_string()).load();
    let reasons = app.refused[0].1.join("\n");
    for part in ["run.js", "pigeonTrigger", "%A%", "%B%"] {
        assert!(reasons.contains(part), "{reasons}");
    }
    let app = Folders::new().raw("f", "{ not json").load();
    assert!(app.refused[0].1[0].starts_with("function.json is not JSON"));
}

#[test]
fn two_functions_share_a_route_only_with_different_methods() {
    let folders = Folders::new();
    folders
        .function("b", &http_function("Orders/{id}", &["get", "put"]))
        .function("a", &http_function("/orders/{ID}/", &["post"]))
        .function("c", &http_function("orders/{id}", &["put"]));
    let app = folders.load();
    assert_eq!(app.functions.iter().map(|function| &function.name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(app.refused[0].0, "c");
    assert!(app.refused[0].1[0].contains("belongs to the function `b`"), "{:?}", app.refused);
}

#[test]
fn only_folders_directly_below_the_root_count() {
    let folders = Folders::new();
    folders.function("a/nested", &http_function("x", &[])).function("b", &http_function("b", &[]));
    fs::create_dir(folders.0.path().join("terraform")).unwrap();
    assert_eq!(folders.load().functions.iter().map(|function| &function.name).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn at_source_the_folders_lie_below_functions() {
    let folders = Folders::new();
    folders.function("functions/a", &http_function("a", &[])).function("b", &http_function("b", &[]));
    assert_eq!(folders.load().functions.iter().map(|function| &function.name).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn settings_disable_functions_and_override_host_json() {
    let folders = Folders::new();
    for name in ["a", "b", "c"] {
        folders.function(name, &http_function(name, &[]));
    }
    let settings = |name: &str| match name {
        "AzureWebJobs.a.Disabled" => Some("True".to_owned()),
        "AzureWebJobs_b_Disabled" => Some("1".to_owned()),
        "AzureWebJobs.c.Disabled" => Some("0".to_owned()),
        "AzureFunctionsJobHost__functionTimeout" => Some("00:00:07".to_owned()),
        _ => None,
    };
    let app = FunctionApp::load(folders.0.path(), &settings).unwrap();
    assert_eq!(app.disabled, ["a", "b"]);
    assert_eq!(app.functions.len(), 1);
    assert_eq!(app.host.function_timeout, Some(Duration::from_secs(7)));
}

#[test]
fn host_json_decides_which_functions_load_and_what_precedes_their_routes() {
    let folders = Folders::new();
    folders.host_json(&json!({
        "version": "2.0", "functions": ["A"], "functionTimeout": "-1",
        "customHandler": {"description": {"defaultExecutablePath": "x"}}
    }));
    folders.function("a", &http_function("x", &[])).function("b", &http_function("b", &[]));
    let app = folders.load();
    assert_eq!(app.functions.len(), 1);
    assert_eq!(app.host.function_timeout, None);
    let Trigger::Http(http) = &app.functions[0].trigger else { panic!("an HTTP trigger") };
    assert_eq!(http.route.text(), "api/x");
    assert!(!http.forwarded, "forwarding is off unless host.json says otherwise");
}

#[test]
fn a_host_json_that_azure_would_not_start_with_is_an_error_that_names_the_key() {
    let handler = json!({"description": {"defaultExecutablePath": "sluice"}});
    let cases = [
        (json!({"customHandler": handler}), "version"),
        (json!({"version": 2.0, "customHandler": handler}), "version"),
        (json!({"version": "3.0", "customHandler": handler}), "version"),
        (json!([]), "version"),
        (json!({"version": "2.0"}), "customHandler"),
        (json!({"version": "2.0", "customHandler": {}}), "customHandler.description.defaultExecutablePath"),
        (json!({"version": "2.0", "customHandler": handler, "functionTimeout": "soon"}), "functionTimeout"),
        (json!({"version": "2.0", "customHandler": handler, "extensionBundle": {}}), "extensionBundle"),
        (json!({"version": "2.0", "customHandler": handler, "functions": "a"}), "functions"),
    ];
    for (text, expected) in cases {
        let folders = Folders::new();
        folders.host_json(&text);
        match FunctionApp::load(folders.0.path(), &|_| None) {
            Err(HostJsonError::Invalid { key, .. }) => assert_eq!(key, expected, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    let folders = Folders::new();
    fs::write(folders.0.path().join("host.json"), "{").unwrap();
    assert!(matches!(FunctionApp::load(folders.0.path(), &|_| None), Err(HostJsonError::NotJson { .. })));
    fs::remove_file(folders.0.path().join("host.json")).unwrap();
    assert!(matches!(FunctionApp::load(folders.0.path(), &|_| None), Err(HostJsonError::Unreadable { .. })));
}

#[test]
fn service_bus_needs_the_extension_bundle() {
    let folders = Folders::new();
    folders
        .host_json(&json!({"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "sluice"}}}));
    let app = folders.function("f", &service_bus_function("sms")).load();
    assert!(app.refused[0].1[0].contains("needs `extensionBundle`"), "{:?}", app.refused);
}

#[tokio::test]
async fn what_only_azure_can_do_keeps_the_host_from_starting() {
    let changed = |mut bindings: Value, key: &str, value: Value| {
        bindings[0][key] = value;
        bindings
    };
    let bus = || service_bus_function("sms");
    let with_output = with(http_function("x", &[]), json!({"type": "queue", "direction": "out", "name": "q"}));
    let cases = [
        (changed(http_function("x", &[]), "authLevel", json!("admin")), "anonymous"),
        (with_output, "forwards requests only"),
        (changed(bus(), "dataType", json!(null)), "binary"),
        (changed(bus(), "autoCompleteMessages", json!(false)), "ever complete"),
        (
            json!([{"type": "serviceBusTrigger", "direction": "in", "name": "m", "queueName": "q", "dataType": "binary"}]),
            "no queues",
        ),
        (json!([{"type": "cosmosDBTrigger", "direction": "in", "name": "docs"}]), "cosmosDBTrigger"),
        (with(bus(), json!({"type": "queue", "direction": "out", "name": "q"})), "but sql (`q`, queue)"),
        (with(bus(), sql(json!({}))), "no tables for the output binding `rows`"),
        (with(bus(), sql(json!({"direction": "inout"}))), "but sql (`rows`, sql)"),
    ];
    let mut seen = BTreeSet::new();
    for (bindings, expected) in cases {
        let folders = Folders::new();
        let app = folders.function("f", &bindings).load();
        assert_eq!(app.refused, [], "Azure takes it");
        let clock = std::sync::Arc::new(sluice::clock::SystemClock);
        let started = Running::start_with(app, Router::new(), &FakeBroker::default(), &options(), clock).await;
        let error = started.err().expect("the host refuses").to_string();
        assert!(error.contains("`f`") && error.contains(expected), "{error}");
        assert!(seen.insert(error));
    }
}

//! The program, the emulators' configuration and Terraform name the same topics, subscriptions, filters and containers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;
use sluice::{
    app::topology,
    azure::cosmos::containers::properties,
    config::Config,
    documents::Container,
    local::host::{FunctionApp, Trigger, app::ServiceBusSource},
};

const TERRAFORM: &str = "terraform/modules/topology/topology.json";

/// The properties that a message must have; empty: every message is taken.
type Filter = BTreeMap<String, String>;
/// By topic and subscription.
type Filters = BTreeMap<(String, String), Filter>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap()
}

/// The shipped configuration, with nothing from the environment.
fn config() -> Config {
    Config::parse(Path::new("sluice.toml"), &read("sluice.toml"), &|_| None).unwrap()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().expect("an object").iter()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn filter(value: &Value) -> Filter {
    object(value).map(|(name, value)| (name.clone(), text(value))).collect()
}

/// What the program's embedded broker is made from, and what its publisher and its triggers use in Azure.
fn of_the_program() -> Filters {
    let topology = topology(&config());
    let subscriptions = topology.topics.iter().flat_map(|topic| {
        topic
            .subscriptions
            .iter()
            .map(|of| ((topic.name.clone(), of.name.clone()), of.filter.clone().into_iter().collect()))
    });
    subscriptions.collect()
}

fn of_terraform() -> Filters {
    let topology = json(TERRAFORM);
    let mut found = Filters::new();
    for (topic, entry) in object(&topology["topics"]) {
        for (subscription, entry) in object(&entry["subscriptions"]) {
            found.insert((topic.clone(), subscription.clone()), filter(&entry["filter"]));
        }
    }
    found
}

/// From the file that compose.yaml gives the Service Bus emulator.
fn of_the_emulator() -> Filters {
    let compose = read("compose.yaml");
    let mounted =
        compose.lines().find_map(|line| line.trim().strip_suffix(":/ServiceBus_Emulator/ConfigFiles/Config.json:ro"));
    let emulator =
        json(mounted.and_then(|line| line.strip_prefix("- ./")).expect("compose.yaml mounts a configuration"));
    let mut found = Filters::new();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    for namespace in list(&emulator["UserConfig"]["Namespaces"]) {
        for topic in list(&namespace["Topics"]) {
            for subscription in list(&topic["Subscriptions"]) {
                let rules = list(&subscription["Rules"]);
                assert_eq!(rules.len(), 1, "a second rule would take more: {subscription}");
                let properties = &rules[0]["Properties"];
                let filter = match text(&properties["FilterType"]).as_str() {
                    "Correlation" => filter(&properties["CorrelationFilter"]["Properties"]),
                    _ if properties["SqlFilter"]["SqlExpression"] == "1=1" => Filter::new(),
                    _ => panic!("a rule that Sluice never writes: {properties}"),
                };
                found.insert((text(&topic["Name"]), text(&subscription["Name"])), filter);
            }
        }
    }
    found
}

#[test]
fn program_emulator_and_terraform_name_the_same_topics_subscriptions_and_filters() {
    let program = of_the_program();
    assert_eq!(program.len(), 5, "{program:?}");
    assert_eq!(program, of_the_emulator(), "run sluice init-azure --emulator-config emulators");
    assert_eq!(program, of_terraform(), "run sluice topology > {TERRAFORM}");
}

#[test]
fn terraform_creates_the_containers_that_the_program_opens_with_the_indexes_that_it_creates_on_an_emulator() {
    let terraform = json(TERRAFORM);
    let created: BTreeSet<_> = object(&terraform["containers"]).map(|(name, _)| name.as_str()).collect();
    assert_eq!(created, Container::ALL.into_iter().map(Container::name).collect(), "run sluice topology > {TERRAFORM}");
    for container in Container::ALL {
        let here = serde_json::to_value(properties(container)).unwrap();
        let there = &terraform["containers"][container.name()];
        let paths = |list: &Value| -> Vec<Value> {
            list.as_array().unwrap().iter().map(|entry| entry["path"].clone()).collect()
        };
        let policy = &here["indexingPolicy"];
        assert_eq!(Value::Array(paths(&policy["includedPaths"])), there["included"], "{container:?}");
        let composite = policy["compositeIndexes"].as_array().unwrap().iter().map(|index| Value::Array(paths(index)));
        assert_eq!(Value::Array(composite.collect()), there["composite"], "{container:?}");
        assert_eq!(here["partitionKey"]["paths"], Value::Array(vec![there["partition_key"].clone()]), "{container:?}");
    }
}

#[test]
fn what_terraform_reads_is_what_the_program_prints() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let output = command.args(["topology", "--root"]).arg(root()).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == read(TERRAFORM).into_bytes(), "out of date: run sluice topology > {TERRAFORM}");
}

#[test]
fn every_function_receives_from_a_subscription_that_terraform_creates_and_lets_its_app_receive_from() {
    let settings = |name: &str| config().default_setting(name);
    let app = FunctionApp::load(root(), &settings).unwrap();
    let terraform = json(TERRAFORM);
    let created = of_terraform();
    let mut triggered = 0;
    // The SQL projection is off until sluice.toml names its destination, and exists all the same.
    for function in &app.functions {
        let Trigger::ServiceBus(trigger) = &function.trigger else { continue };
        let ServiceBusSource::Subscription { topic, subscription } = &trigger.source else { panic!("{trigger:?}") };
        assert!(
            created.contains_key(&(topic.clone(), subscription.clone())),
            "{}: {topic}/{subscription}",
            function.name
        );
        let receiver = object(&terraform["apps"]).find(|(_, app)| !app["functions"][&function.name].is_null());
        let (name, receiver) = receiver.unwrap_or_else(|| panic!("{} is in no app", function.name));
        let may = receiver["receives"].as_array().unwrap().contains(&format!("{topic}/{subscription}").into());
        assert!(may, "{name} may not receive from {topic}/{subscription}");
        triggered += 1;
    }
    assert!(triggered >= 4, "{triggered} functions have a Service Bus trigger");
}

#[test]
fn the_settings_that_name_topics_are_the_same_on_the_emulators_and_in_terraform() {
    let example = json("local.settings.json.example");
    for (topic, entry) in object(&json(TERRAFORM)["topics"]) {
        let setting = text(&entry["setting"]);
        assert_eq!(example["Values"][&setting], **topic, "{setting}");
        assert_eq!(config().default_setting(&setting).as_ref(), Some(topic), "{setting}");
    }
}

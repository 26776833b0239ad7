//! What can be said without asking anybody: configuration, secrets, connections, keys and function folders. `sluice check`
//! is this half alone.

use std::{collections::BTreeSet, path::Path};

use super::report::{Step, Steps};
use crate::{
    azure,
    config::{Config, Profile},
    functions::FUNCTIONS,
    local::host::{FunctionApp, Settings},
    vendors,
};

/// The configuration, with what the environment adds to it. `path` is the file it is from.
pub fn configuration(config: &Config, path: &Path) -> Vec<Step> {
    let mut steps = Steps::of("config");
    let file = path.display();
    match config.profile {
        Profile::Demo => steps.warn(
            "profile",
            format!("{file}: the demo profile's secrets are public"),
            "SLUICE_PROFILE=production takes real ones",
        ),
        Profile::Production => steps.ok("profile", "production"),
    }
    if config.public_url.starts_with("http://") && config.profile == Profile::Production {
        let found =
            format!("public_url is {}: vendors sign the URL they were given, https as a rule", config.public_url);
        steps.warn("public_url", found, "Set public_url or SLUICE_PUBLIC_URL to what is in the vendors' consoles");
    }

    let missing = config.missing_secrets();
    for secret in &missing {
        let advice = match secret.problem {
            "an unresolved Key Vault reference" => {
                "Give the app's identity the role Key Vault Secrets User on this secret, and name that identity in \
                 keyVaultReferenceIdentity"
            }
            _ => "Set the variable, in Azure as an app setting with a Key Vault reference; or remove what needs it",
        };
        steps.fail("secret", secret.to_string(), advice);
    }
    for problem in unusable_keys(config) {
        steps.fail("secret", problem, "Copy the key anew from the vendor's console");
    }
    if missing.is_empty() {
        steps.ok("secrets", format!("all there are, for {} vendors", config.vendors.len()));
    }

    let without_key = "operators are answered 401";
    let advice = "Set SLUICE_ADMIN_KEY, or what [admin] names";
    match &config.admin_key {
        // In Azure the Functions host has keys of its own.
        _ if config.service_bus.is_some() => {}
        None => steps.warn("operators", format!("there is no [admin]: {without_key}"), advice),
        Some(Err(missing)) => steps.warn("operators", format!("{missing}: {without_key}"), advice),
        Some(Ok(_)) => {}
    }
    let delivery = match &config.delivery.key {
        None => Some("there is no key in [delivery]".to_owned()),
        Some(key) => key.as_ref().err().map(ToString::to_string),
    };
    if let Some(missing) = delivery {
        let found = format!("{missing}: nothing can be sent to partners, and none can be added");
        let advice = "Set SLUICE_DELIVERY_KEY to 32 random bytes, for example openssl rand -base64 32";
        steps.warn("partners", found, advice);
    }

    for connection in config.missing_connections() {
        let advice = "Set one of the two, or the section's `kind` to embedded";
        steps.fail("connection", connection.to_string(), advice);
    }
    if let Some(Ok(connection)) = &config.service_bus
        && let Err(error) = azure::engine::check_bus(config.bus.kind, connection)
    {
        steps.fail("connection", format!("{error:#}"), "Copy it anew from the namespace");
    }
    steps.steps
}

/// The function folders below `root`; `settings` resolves `%NAME%` in them.
pub fn functions(root: &Path, settings: Settings) -> (Option<FunctionApp>, Vec<Step>) {
    let mut steps = Steps::of("functions");
    let app = match FunctionApp::load(root, settings) {
        Ok(app) => app,
        Err(error) => {
            steps.fail("host.json", error.to_string(), "Name the folder that has it with --root");
            return (None, steps.steps);
        }
    };
    let place = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    steps.ok("host.json", place.display().to_string());
    for (name, reasons) in &app.refused {
        for reason in reasons {
            let advice = "The Functions host would not load it: correct its function.json, or set the app setting";
            steps.fail("folder", format!("function {name}: {reason}"), advice);
        }
    }
    if !app.disabled.is_empty() {
        steps.ok("switched off", app.disabled.join(", "));
    }
    let handlers: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
    let names: Vec<_> = app.functions.iter().map(|function| function.name.as_str()).collect();
    for name in names.iter().filter(|name| !handlers.contains(*name)) {
        let found = format!("function {name}: this program has no handler of that name");
        steps.fail("folder", found, "Remove the folder, or deploy the program that has the handler");
    }
    steps.ok("folders", if names.is_empty() { "none".to_owned() } else { names.join(", ") });
    (Some(app), steps.steps)
}

/// What is wrong with secrets that are there.
fn unusable_keys(config: &Config) -> Vec<String> {
    let complete = config.vendors.iter().filter(|(_, vendor)| vendor.missing_secrets().next().is_none());
    complete.filter_map(|(name, vendor)| vendors::unusable_key(name, vendor, &config.public_url)).collect()
}

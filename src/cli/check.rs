//! `sluice check`: everything that can be wrong before the first callback.

use std::{collections::BTreeSet, fmt::Write, process::ExitCode};

use clap::Args;

use super::{Places, run::settings};
use crate::{
    azure,
    config::{Config, Profile},
    functions::FUNCTIONS,
    local::host::FunctionApp,
    vendors,
};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    places: Places,
}

pub(super) fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let path = args.places.config_path();
    let mut problems = Vec::new();
    let mut notes = Vec::new();

    let config = match Config::load(&path) {
        Ok(config) => Some(config),
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    };
    if let Some(config) = &config {
        problems.extend(config.missing_secrets().into_iter().map(|missing| missing.to_string()));
        problems.extend(config.missing_connections().into_iter().map(|missing| missing.to_string()));
        if let Some(Ok(connection)) = &config.service_bus {
            problems
                .extend(azure::engine::check_bus(config.bus.kind, connection).err().map(|error| format!("{error:#}")));
        }
        problems.extend(unusable_keys(config));
        if config.profile == Profile::Demo {
            notes.push(format!("{}: the demo profile's secrets are public", path.display()));
        }
        if config.public_url.starts_with("http://") && config.profile == Profile::Production {
            notes.push(format!(
                "public_url is {}: vendors sign the URL they were given, https as a rule",
                config.public_url
            ));
        }
    }

    let root = args.places.root();
    match FunctionApp::load(&root, &|name| settings(config.as_ref(), name)) {
        Err(error) => problems.push(error.to_string()),
        Ok(app) => {
            for (name, reasons) in &app.refused {
                problems.extend(reasons.iter().map(|reason| format!("function {name}: {reason}")));
            }
            let handlers: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
            for function in &app.functions {
                if !handlers.contains(function.name.as_str()) {
                    problems.push(format!("function {}: this program has no handler of that name", function.name));
                }
            }
        }
    }

    let mut out = String::new();
    for note in &notes {
        writeln!(out, "note: {note}")?;
    }
    for problem in &problems {
        writeln!(out, "problem: {problem}")?;
    }
    let exit = match (problems.len(), &config) {
        (0, Some(config)) => {
            writeln!(out, "ok: {} vendors, {} functions", config.vendors.len(), FUNCTIONS.len())?;
            ExitCode::SUCCESS
        }
        (count, _) => {
            writeln!(out, "{count} problem{}", if count == 1 { "" } else { "s" })?;
            ExitCode::FAILURE
        }
    };
    super::print(&out)?;
    Ok(exit)
}

/// What is wrong with secrets that are there.
fn unusable_keys(config: &Config) -> Vec<String> {
    let complete = config.vendors.iter().filter(|(_, vendor)| vendor.missing_secrets().next().is_none());
    complete.filter_map(|(name, vendor)| vendors::unusable_key(name, vendor, &config.public_url)).collect()
}

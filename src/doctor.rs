//! `sluice doctor`: whether the program will work where it is, and what to do where it will not.
//!
//! [`offline`] says what can be said without asking anybody, `triggers` what the Functions host needs beside us. Then the
//! services are looked at side by side, each within its [`patience`]: `bus`, `documents` and `blobs` where they are in
//! Azure, and `embedded` for what is in the data folder. `reach` finds out whether anybody is there at all, and what the
//! `clock` of a service says. Nothing is taken from anybody: links are attached without credit, and what is written, a
//! document and a blob, is deleted and can expire. [`Report`] is what comes out.

mod blobs;
mod bus;
mod clock;
mod documents;
mod embedded;
pub mod offline;
mod patience;
mod reach;
mod report;
mod triggers;

use std::path::PathBuf;

pub use report::{Outcome, Report, Step};

use crate::config::{BusKind, Config, Environment};

/// What is examined.
pub struct Patient<'a> {
    pub config: &'a Config,
    /// The file that the configuration is from.
    pub config_path: PathBuf,
    /// The folder with `host.json`.
    pub root: PathBuf,
    /// The folder of what is embedded.
    pub data: PathBuf,
    /// Where settings are looked up.
    pub environment: Environment<'a>,
}

/// Looks at everything; takes some seconds, and at most about twenty.
pub async fn examine(patient: Patient<'_>) -> Report {
    let Patient { config, config_path, root, data, environment } = patient;
    let mut program = report::Steps::of("program");
    program.ok("sluice", format!("{}, configured by {}", env!("CARGO_PKG_VERSION"), config_path.display()));
    let mut steps = program.steps;
    steps.extend(offline::configuration(config, &config_path));

    // The Functions host knows the environment alone; the one-machine host falls back on the configuration.
    let settings = |name: &str| environment(name).or_else(|| one_machine_setting(config, name));
    let (app, found) = offline::functions(&root, &settings);
    steps.extend(found);
    let mut received = Vec::new();
    if let Some(app) = &app {
        steps.extend(triggers::examine(config, app, environment).steps);
        received = triggers::sources(app);
    }

    let in_azure = environment("WEBSITE_INSTANCE_ID").is_some();
    let (embedded, bus, (documents, cosmos_skew), (blobs, blob_skew)) = tokio::join!(
        embedded::examine(config, data, in_azure),
        bus::examine(config, &received),
        documents::examine(config),
        blobs::examine(config),
    );
    let skews = [("Cosmos DB", cosmos_skew), ("Blob Storage", blob_skew)];
    let skews: Vec<_> = skews.into_iter().filter_map(|(service, skew)| Some((service, skew?))).collect();
    for found in [embedded, bus, documents, blobs, clock::examine(&skews)] {
        steps.extend(found.steps);
    }
    Report::new(steps)
}

fn one_machine_setting(config: &Config, name: &str) -> Option<String> {
    (config.bus.kind == BusKind::Embedded).then(|| config.default_setting(name)).flatten()
}

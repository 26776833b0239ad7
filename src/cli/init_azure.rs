//! `sluice init-azure`: what Terraform creates in Azure, on emulators.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use chrono::Utc;
use clap::Args;

use super::{Places, app_settings::AppSettings};
use crate::{
    app::topology,
    azure::{
        blobs,
        cosmos::containers::{self, Created},
        emulator::{self, EmulatorConfig},
        engine,
    },
    config::{Blobs, Config, Connection, Documents},
};

#[derive(Debug, Args)]
pub(super) struct InitAzureArgs {
    /// Write the configuration of the Service Bus emulator into this folder instead, as compose.yaml mounts it
    #[arg(long, value_name = "DIR")]
    emulator_config: Option<PathBuf>,
    #[command(flatten)]
    settings: AppSettings,
    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(args: InitAzureArgs) -> anyhow::Result<ExitCode> {
    let config = args.places.load_config_with(&args.settings.load()?)?;
    if let Some(folder) = &args.emulator_config {
        super::print(&write_emulator_config(folder, &config)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = String::new();
    if let Documents::Cosmos(cosmos) = &config.documents {
        keyed(cosmos.connection.as_ref().map_err(Clone::clone)?, "documents.connection")?;
        let store = engine::documents(&config, cosmos)?;
        for (what, created) in containers::create(&store).await.context("Cosmos DB")? {
            out.push_str(&line(&what, created == Created::New));
        }
    }
    if let Blobs::Azure(blobs) = &config.blobs {
        let key = keyed(blobs.connection.as_ref().map_err(Clone::clone)?, "blobs.connection")?;
        let new = blobs::create(key, &blobs.container, Utc::now(), config.dependencies.timeout).await?;
        out.push_str(&line(&format!("blob container {}", blobs.container), new));
    }
    if out.is_empty() {
        bail!(
            "nothing to create: {} keeps documents and blobs in the data folder",
            args.places.config_path().display()
        );
    }
    super::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the file; returns what to tell about it.
fn write_emulator_config(folder: &Path, config: &Config) -> anyhow::Result<String> {
    let EmulatorConfig { json, limited } = emulator::service_bus(&topology(config))?;
    let path = folder.join("service-bus.json");
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    let text = serde_json::to_string_pretty(&json)? + "\n";
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    let mut out = format!("{}: written\n", path.display());
    for line in limited {
        out.push_str(&format!("the emulator allows less: {line}\n"));
    }
    Ok(out)
}

/// Creating needs a key: an identity's roles allow to use containers, not to make them.
fn keyed<'a>(connection: &'a Connection, key: &str) -> anyhow::Result<&'a crate::config::Secret> {
    match connection {
        Connection::Key(text) => Ok(text),
        Connection::Identity { address, .. } => {
            bail!(
                "{key}: {address} is reached with an identity; its containers are made by Terraform, not by this command"
            )
        }
    }
}

fn line(what: &str, new: bool) -> String {
    format!("{what}: {}\n", if new { "created" } else { "exists" })
}

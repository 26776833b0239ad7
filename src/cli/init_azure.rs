//! `sluice init-azure`: what Terraform creates in Azure, on emulators.

use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::Utc;
use clap::Args;

use super::Places;
use crate::{
    azure::{
        blobs,
        cosmos::containers::{self, Created},
        engine,
    },
    config::{Blobs, Connection, Documents},
};

#[derive(Debug, Args)]
pub(super) struct InitAzureArgs {
    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(args: InitAzureArgs) -> anyhow::Result<ExitCode> {
    let config = args.places.load_config()?;
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

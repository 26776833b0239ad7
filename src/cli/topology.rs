//! `sluice topology`: what Terraform creates, from the same source as everything else.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::{Places, run::settings};
use crate::{azure::topology::describe, local::host::FunctionApp};

/// Print what Terraform creates for this configuration, as JSON
///
/// terraform/modules/topology reads it. After a change of the bus, of the outbox or of a function folder:
///
///   sluice topology > terraform/modules/topology/topology.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct TopologyArgs {
    #[command(flatten)]
    places: Places,
}

pub(super) fn run(args: TopologyArgs) -> anyhow::Result<ExitCode> {
    let config = args.places.load_config()?;
    let functions = FunctionApp::load(&args.places.root(), &|name| {
        // A function that this machine switches off exists in Azure.
        settings(Some(&config), name).filter(|_| !name.ends_with(".Disabled"))
    })?;
    if let Some((name, reasons)) = functions.refused.first() {
        bail!("functions/{name}: {}", reasons.join("; "));
    }
    super::print(&(serde_json::to_string_pretty(&describe(&config, &functions))? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

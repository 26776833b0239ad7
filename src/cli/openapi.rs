//! `sluice openapi`: the HTTP interface as an OpenAPI document.

use std::process::ExitCode;

use clap::Args;

use crate::openapi::{Place, document};

#[derive(Debug, Args)]
pub(super) struct OpenApiArgs {
    /// What the Functions host asks of the custom handler, instead of what the world asks
    #[arg(long)]
    custom_handler: bool,
}

pub(super) fn run(args: &OpenApiArgs) -> anyhow::Result<ExitCode> {
    let place = if args.custom_handler { Place::FunctionsHost } else { Place::World };
    super::print(&format!("{:#}\n", document(place)))?;
    Ok(ExitCode::SUCCESS)
}

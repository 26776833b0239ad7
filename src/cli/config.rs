//! `sluice config`: the reference of every key and variable.

use std::process::ExitCode;

use crate::config::reference;

/// The file that this program was built with.
const SHIPPED: &str = include_str!("../../sluice.toml");

pub(super) fn run() -> anyhow::Result<ExitCode> {
    super::print(&reference(SHIPPED)?)?;
    Ok(ExitCode::SUCCESS)
}

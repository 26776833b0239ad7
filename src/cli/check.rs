//! `sluice check`: everything that can be wrong before the first callback, without asking any service.

use std::{fmt::Write, process::ExitCode};

use clap::Args;

use super::{Places, run::settings};
use crate::{
    config::Config,
    doctor::{Outcome, offline},
    functions::FUNCTIONS,
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
    let mut steps = Vec::new();
    let config = match Config::load(&path) {
        Ok(config) => {
            steps.extend(offline::configuration(&config, &path));
            Some(config)
        }
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    };
    steps.extend(offline::functions(&args.places.root(), &|name| settings(config.as_ref(), name)).1);
    for step in steps {
        match step.outcome {
            Outcome::Fail => problems.push(step.found),
            Outcome::Warn => notes.push(step.found),
            Outcome::Ok | Outcome::Skip => {}
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

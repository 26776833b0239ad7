//! `sluice package`: lays out what is deployed, and proves that the host will take it.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use super::{Places, run::settings};
use crate::package::{self, APPS, AppPlan, Sources};

/// Lay out a Function App as a folder or a zip file, or check one.
///
///   sluice package --app all --out build/          what `func start` takes, run in build/
///   sluice package --app ingest --out ingest.zip   what is deployed
///   sluice package --check ingest.zip              whether the Functions host will take it
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct PackageArgs {
    /// The app: ingest, sms, email, voice, delivery, ops, or all
    #[arg(long, value_name = "NAME", value_parser = APPS.iter().map(|app| app.name).collect::<Vec<_>>(), required_unless_present = "check", requires = "out")]
    app: Option<String>,
    /// Where to: a folder, or a file whose name ends in .zip
    #[arg(long, value_name = "PATH", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// The program to put in [default: this one]
    #[arg(long, value_name = "FILE")]
    executable: Option<PathBuf>,
    /// Check a package instead: a folder or a zip file
    #[arg(long, value_name = "PATH", conflicts_with = "app")]
    check: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
}

pub(super) fn run(args: PackageArgs) -> anyhow::Result<ExitCode> {
    let (path, what) = match (&args.check, &args.app, &args.out) {
        (Some(path), ..) => (path.clone(), "package".to_owned()),
        (None, Some(name), Some(out)) => {
            let app = AppPlan::named(name).with_context(|| format!("there is no app {name}"))?;
            write(&args, app, out.clone())?;
            (out.clone(), format!("app {name}: {}", app.folders().join(", ")))
        }
        _ => bail!("say --app and --out, or --check"),
    };
    let problems = package::check(&path, &|name| settings(None, name).or_else(|| topic(name)))?;
    let mut out = String::new();
    for problem in &problems {
        writeln!(out, "problem: {problem}")?;
    }
    if problems.is_empty() {
        writeln!(out, "ok: {} in {}", what, path.display())?;
    }
    super::print(&out)?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(args: &PackageArgs, app: &AppPlan, out: PathBuf) -> anyhow::Result<()> {
    let executable = match &args.executable {
        Some(path) => path.clone(),
        None => std::env::current_exe().context("this program's own file cannot be found: name one by --executable")?,
    };
    let sources = Sources { root: args.places.root(), config: args.places.config_path(), executable };
    match out.extension().is_some_and(|extension| extension == "zip") {
        true => package::write_zip(app, &sources, &out)?,
        false => package::write_folder(app, &sources, &out)?,
    }
    Ok(())
}

/// App settings of the deployment: any value does for a check.
fn topic(name: &str) -> Option<String> {
    matches!(name, "CALLBACKS_TOPIC" | "DELIVERIES_TOPIC").then(|| name.to_lowercase())
}

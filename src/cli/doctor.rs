//! `sluice doctor`: will it work here, and if not, what to do.

use std::process::ExitCode;

use clap::Args;

use super::{Places, app_settings::AppSettings};
use crate::doctor::{Patient, examine};

/// Say whether everything works: configuration, function folders, services, roles, disk and clock; and what to do if not
///
/// Looks at the configuration as `sluice check` does, and then at the services that it names, from this machine and with
/// this environment's identity: whether they can be reached, whether they let us in, what is missing and which role to
/// assign. Nothing is taken from a subscription, nothing is published; a document and a blob are written and deleted.
/// It may run beside a running server.
///
/// Each line begins with ok, warn, FAIL or skip. Every step has a time limit; all takes at most about 20 seconds.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes: 0 nothing failed, 1 something failed, 2 there is no configuration to start from.")]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: AppSettings,
    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(args: DoctorArgs) -> ExitCode {
    match answer(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sluice: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Prints the report; whether nothing failed.
async fn answer(args: DoctorArgs) -> anyhow::Result<bool> {
    let places = args.places;
    let environment = args.settings.load()?;
    let config = places.load_config_with(&environment)?;
    let patient = Patient {
        config: &config,
        config_path: places.config_path(),
        root: places.root(),
        data: places.data.clone(),
        environment: &environment,
    };
    let report = examine(patient).await;
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.page() };
    super::print(&text)?;
    Ok(report.healthy)
}

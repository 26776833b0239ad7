//! The command line: one file for each subcommand.

mod app_settings;
mod audit;
mod bench;
mod check;
mod config;
mod deliveries;
mod doctor;
mod erase;
mod explain;
mod init_azure;
mod limits;
mod moment;
mod openapi;
mod operator;
mod package;
mod partners;
mod recovery;
mod replays;
mod run;
mod serve;
mod show;
mod simulate;
mod status;
mod topology;
mod vendors;
mod verify;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    config::{Config, Environment},
    local::sqlite::give_way,
    recovery::Source,
};

/// Acknowledges vendors' callbacks in milliseconds and applies each event exactly once.
///
/// Without a command it starts the complete one-machine system: an HTTP server on http://127.0.0.1:7071, the embedded
/// broker, ledger and timers, with all data in .sluice/. When FUNCTIONS_CUSTOMHANDLER_PORT is set (the Azure Functions
/// host does that) it is the custom handler, as with `sluice serve`.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the custom handler that the Azure Functions host talks to
    Serve(serve::ServeArgs),
    /// Play the vendors: send genuinely signed callbacks to a URL, and verify what became of them
    Simulate(simulate::SimulateArgs),
    // Its help is with its arguments: it is longer than a line.
    Bench(Box<bench::BenchArgs>),
    /// Print the timeline of a message: its events, status, outbox and retries
    Show(show::ShowArgs),
    /// Print queue depths, dead letters, retries due, parked, the spool, and inbound against unique per vendor
    Status(status::StatusArgs),
    // Its help is with its arguments: it is longer than a line.
    Verify(verify::VerifyArgs),
    /// Validate configuration, function folders and secrets; say what is wrong and where
    Check(check::CheckArgs),
    /// Print what every key of sluice.toml and every variable of the environment means
    Config,
    // Its help is with its arguments: it is longer than a line.
    Doctor(doctor::DoctorArgs),
    Package(package::PackageArgs),
    /// Create the database and containers on emulators of Cosmos DB and Blob Storage; in Azure, Terraform does
    InitAzure(init_azure::InitAzureArgs),
    /// Print what Terraform creates for this configuration, as JSON: topics, filters, containers, and what each app may do
    Topology(topology::TopologyArgs),
    /// Print every vendor: its scheme, what is missing, the URLs for its console, how long it waits and what it retries
    Vendors(vendors::VendorsArgs),
    // Its help is with its arguments: it is longer than a line.
    Partners(Box<partners::PartnersArgs>),
    /// Print how partners fare: success, latency, breaker, retries
    Deliveries(deliveries::DeliveriesArgs),
    /// What was given up on: list, show, replay, discard
    Parked(recovery::RecoveryArgs),
    /// What will be tried again by itself: list, show, replay (now), discard
    Retries(recovery::RecoveryArgs),
    /// What the broker gave up on: list, show, replay, discard
    DeadLetters(recovery::RecoveryArgs),
    /// Replays under way and done: list, show, pause, resume, abort
    Replays(replays::ReplaysArgs),
    /// Print every HTTP route as an OpenAPI document
    Openapi(openapi::OpenApiArgs),
    // Its help is with its arguments: it is longer than a line.
    Erase(erase::EraseArgs),
    /// What operators did
    Audit(audit::AuditArgs),
    // Its help is with its arguments: it is longer than a line.
    Explain(Box<explain::ExplainArgs>),
}

/// Where the program finds its files.
#[derive(Debug, Clone, Args)]
pub struct Places {
    /// Folder with host.json, functions/ and sluice.toml [default: the Functions host's script root, else this folder]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Configuration file [default: sluice.toml in the root]
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of the embedded engine's data
    #[arg(long, value_name = "DIR", env = "SLUICE_DATA", default_value = ".sluice")]
    data: PathBuf,
}

impl Places {
    /// The folder with host.json.
    fn root(&self) -> PathBuf {
        let from_host = || ["FUNCTIONS_APP_ROOT_PATH", "AzureWebJobsScriptRoot"].into_iter().find_map(std::env::var_os);
        self.root.clone().or_else(|| from_host().map(PathBuf::from)).unwrap_or_else(|| PathBuf::from("."))
    }

    fn config_path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| self.root().join("sluice.toml"))
    }

    /// With settings from somewhere else than the environment alone.
    fn load_config_with(&self, environment: Environment) -> anyhow::Result<Config> {
        Ok(Config::load_with(&self.config_path(), environment)?)
    }

    fn load_config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config_path())?)
    }
}

/// Sockets that are served before the others are looked at. While the broker has the callbacks of one portion, those of the next
/// are read; if all were one portion, this program and the broker would wait for each other in turns.
const PORTION: usize = 20;

/// Runs the command line. An error is printed once, on standard error, and the exit code is 1.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut runtime = match std::thread::available_parallelism() {
        // On one core, handing work from thread to thread buys nothing.
        Ok(cores) if cores.get() == 1 => {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.max_io_events_per_tick(PORTION);
            // The embedded broker's thread is on this core, too: it begins with what it has been given.
            runtime.on_thread_park(give_way);
            runtime
        }
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sluice: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let examines = matches!(cli.command, Some(Command::Doctor(_)));
    let result = runtime.block_on(async {
        match cli.command {
            None if std::env::var_os(serve::PORT_VARIABLE).is_some() => serve::run(cli.run.try_into()?).await,
            None => run::run(cli.run).await,
            Some(Command::Serve(args)) => serve::run(args).await,
            Some(Command::Simulate(args)) => simulate::run(args).await,
            Some(Command::Bench(args)) => bench::run(*args).await,
            Some(Command::Show(args)) => show::run(args).await,
            Some(Command::Status(args)) => status::run(args).await,
            Some(Command::Verify(args)) => Ok(verify::run(args).await),
            Some(Command::Check(args)) => check::run(args),
            Some(Command::Config) => config::run(),
            Some(Command::Doctor(args)) => Ok(doctor::run(args).await),
            Some(Command::Package(args)) => package::run(args),
            Some(Command::InitAzure(args)) => init_azure::run(args).await,
            Some(Command::Topology(args)) => topology::run(args),
            Some(Command::Vendors(args)) => vendors::run(args),
            Some(Command::Partners(args)) => partners::run(*args).await,
            Some(Command::Deliveries(args)) => deliveries::run(args).await,
            Some(Command::Parked(args)) => recovery::run(Source::Parked, args).await,
            Some(Command::Retries(args)) => recovery::run(Source::Retries, args).await,
            Some(Command::DeadLetters(args)) => recovery::run(Source::DeadLetters, args).await,
            Some(Command::Replays(args)) => replays::run(args).await,
            Some(Command::Openapi(args)) => openapi::run(&args),
            Some(Command::Erase(args)) => erase::run(args).await,
            Some(Command::Audit(args)) => audit::run(args).await,
            Some(Command::Explain(args)) => Ok(explain::run(&args)),
        }
    });
    if examines {
        // A name server or a disk that hangs was reported: nobody waits for it a second time.
        runtime.shutdown_background();
    }
    result.unwrap_or_else(|error| {
        eprintln!("sluice: {error:#}");
        ExitCode::FAILURE
    })
}

/// Prints a report. A reader that has seen enough (`| head`) is no failure.
fn print(report: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(report.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}

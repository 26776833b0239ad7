//! `sluice serve`: the custom handler.

use std::{net::Ipv4Addr, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::TcpListener;

use super::{Places, run::RunArgs};
use crate::{config::in_azure, functions, host::FunctionKey, local::engine::Engine, telemetry};

/// The Functions host tells the handler its port in this variable.
pub(super) const PORT_VARIABLE: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    places: Places,
    /// Port on 127.0.0.1
    #[arg(long, env = PORT_VARIABLE)]
    port: u16,
}

impl TryFrom<RunArgs> for ServeArgs {
    type Error = anyhow::Error;

    /// # Errors
    /// The variable is no port: on another one than the host's, nobody would ever call.
    fn try_from(args: RunArgs) -> anyhow::Result<Self> {
        let text = std::env::var(PORT_VARIABLE)?;
        let port = text.parse().with_context(|| format!("{PORT_VARIABLE} is `{text}`, which is no port"))?;
        Ok(Self { places: args.places, port })
    }
}

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    telemetry::start_logging();
    let interrupted = super::run::interrupted()?;
    super::run::outlive_limits_on_files()?;
    let config = args.places.load_config()?;
    let embedded = config.embedded();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let in_azure = in_azure(&variable);
    if in_azure && !embedded.is_empty() {
        // What was acknowledged there would be lost.
        let sections = embedded.join(" and ");
        bail!("a Function App's disk is not kept, and {sections} would be on it: set `kind` to what is in Azure");
    }
    for missing in config.missing_secrets() {
        tracing::error!(%missing, "a secret is missing: its vendor is answered 503");
    }
    let engine = Engine::open(&args.places.data, config).await?;
    let meter = tokio::spawn(engine.app.meter.clone().run(engine.app.documents.clone()));
    // The host connects to the IPv4 loopback and takes an accepted connection as a ready handler: bind last.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .with_context(|| format!("127.0.0.1:{} cannot be bound", args.port))?;
    tracing::info!(address = %listener.local_addr()?, "the custom handler is ready");
    let handler = match in_azure {
        true => functions::handler(engine.app.clone()),
        // `func start` checks no keys, and whoever has an account on this machine reaches the handler's port.
        false => {
            let key = FunctionKey::new(engine.app.config.admin_key());
            functions::handler_with_key(engine.app.clone(), key)
        }
    };
    axum::serve(NoDelay(listener), handler).with_graceful_shutdown(interrupted).await?;
    meter.abort();
    engine.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Accepts connections without Nagle's delay.
struct NoDelay(TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        // A socket that refuses the option only answers more slowly.
        stream.set_nodelay(true).ok();
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

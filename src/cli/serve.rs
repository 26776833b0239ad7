//! `sluice serve`: the custom handler.

use std::{net::Ipv4Addr, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use axum::body::Body;
use clap::Args;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::{net::TcpListener, sync::watch};

use super::{Places, run::RunArgs};
use crate::{
    app::App,
    config::in_azure,
    functions,
    host::FunctionKey,
    listener::{Answer, Listener},
    local::engine::Engine,
    telemetry,
};

/// The Functions host tells the handler its port in this variable.
pub(super) const PORT_VARIABLE: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";

/// Far more connections than the Functions host opens. How many requests may be under way is the door's to say.
const MAX_CONNECTIONS: usize = 4096;

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
    let logging = telemetry::start_logging();
    let interrupted = super::run::interrupted()?;
    super::limits::settle()?;
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
    let export = telemetry::start_export();
    let tracing = export.as_ref().map(telemetry::Export::tracing).unwrap_or_default();
    let engine = Engine::open_traced(&args.places.data, config, tracing).await?;
    logging.know(&engine.app.tokens);
    if let Some(export) = &export {
        telemetry::register(&export.meter(), &engine.app);
    }
    let meter = tokio::spawn(engine.app.meter.clone().run(engine.app.documents.clone()));
    // The host connects to the IPv4 loopback and takes an accepted connection as a ready handler: bind last.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .with_context(|| format!("127.0.0.1:{} cannot be bound", args.port))?;
    tracing::info!(address = %listener.local_addr()?, "the custom handler is ready");
    // `func start` checks no keys, and whoever has an account on this machine reaches the handler's port.
    let key = (!in_azure).then(|| FunctionKey::new(engine.app.config.admin_key()));
    let handler = Handler { app: engine.app.clone(), key };
    // The host keeps idle connections for as long as it likes.
    let listener = Listener { listener, answer: handler, header_timeout: None, max_connections: MAX_CONNECTIONS };
    let (stopping, stop) = watch::channel(false);
    let serving = tokio::spawn(listener.run(stop));
    interrupted.await;
    // The listener may be gone already, which is as good as having been told.
    let _ = stopping.send(true);
    serving.await.context("the custom handler failed")?;
    meter.abort();
    engine.close().await;
    if let Some(export) = export {
        export.stop().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// The functions, as the Functions host calls them.
struct Handler {
    app: Arc<App>,
    /// `None`: the host has checked it.
    key: Option<FunctionKey>,
}

impl Answer for Handler {
    type Connection = ();

    async fn answer(&self, (): &(), request: Request<Incoming>) -> Response<Body> {
        let (app, request) = (self.app.clone(), request.map(Body::new));
        match &self.key {
            Some(key) => functions::answer_with_key(app, key, request).await,
            None => functions::answer(app, request).await,
        }
    }
}

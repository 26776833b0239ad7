//! `sluice`: the one-machine system.

use std::{
    fmt::Write,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::Places;
use crate::{
    config::{Config, Profile},
    functions,
    local::{
        amqp::{Endpoint, connection_string},
        engine::{self, Engine},
        host::{FunctionApp, Handler, HostOptions, OneMachineHost, OutputKind},
        metrics::Metrics,
        tables::Tables,
    },
    projection, simulate, telemetry,
};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub places: Places,
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 7071, env = "SLUICE_PORT")]
    port: u16,
    /// Listen here for clients of Service Bus too, for development and tests; for example 127.0.0.1:5672
    #[arg(long, value_name = "ADDRESS", env = "SLUICE_AMQP", value_parser = loopback)]
    amqp: Option<SocketAddr>,
}

/// Whoever reaches the endpoint may use it, so only this machine may reach it.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "an address is like 127.0.0.1:5672".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("it asks for no credentials, so it must be an address of this machine only".to_owned()),
    }
}

pub(super) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let logging = telemetry::start_logging();
    // First of all: a signal during the start must stop the program in order, too.
    let interrupted = interrupted()?;
    super::limits::settle()?;
    let places = &args.places;
    let config = places.load_config()?;
    let missing = config.missing_secrets();
    if !missing.is_empty() {
        for missing in &missing {
            eprintln!("sluice: {missing}");
        }
        bail!("{} of the secrets named in {} are missing", missing.len(), places.config_path().display());
    }
    let app = FunctionApp::load(&places.root(), &|name| settings(Some(&config), name))?;
    for (name, reasons) in &app.refused {
        for reason in reasons {
            tracing::error!(function = name, reason, "the function is not loaded");
        }
    }
    let export = telemetry::start_export();
    let tracing = export.as_ref().map(telemetry::Export::tracing).unwrap_or_default();
    let engine = Engine::open_traced(&places.data, config, tracing).await?;
    logging.know(&engine.app.tokens);
    let broker = engine.broker.clone().context(
        "bus.kind is service-bus, and the one-machine system brings its own broker: start `sluice serve` behind the \
         Functions host, or set SLUICE_BUS=embedded",
    )?;
    // Last: whoever gets a connection finds everything in place.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.with_context(|| {
        format!("127.0.0.1:{} is in use: stop what listens there, or choose another with --port", args.port)
    })?;
    let endpoint = match args.amqp {
        Some(address) => {
            let endpoint = Endpoint::bind(address, broker.clone(), engine.app.clock.clone()).await;
            Some(endpoint.with_context(|| format!("{address} cannot be bound: choose another with --amqp"))?)
        }
        None => None,
    };
    let mut banner = banner(&engine.app.config, &app, &listener, places)?;
    if let Some(endpoint) = &endpoint {
        let connection_string = connection_string(endpoint.local_addr()?);
        writeln!(banner, "Clients of Service Bus, for development and tests:\n\n  {connection_string}\n")?;
    }
    // It may go to a file on a full disk, and is not what the program is for.
    if let Err(error) = super::print(&banner) {
        tracing::warn!(%error, "standard output cannot be written");
    }
    let meter = tokio::spawn(engine.app.meter.clone().run(engine.app.documents.clone()));
    if let Some(export) = &export {
        telemetry::register(&export.meter(), &engine.app);
    }
    let metrics = Metrics { app: engine.app.clone(), broker: broker.clone() };
    let survey = tokio::spawn(metrics.clone().run());
    let metrics = Some(Handler::new(move |_| {
        let metrics = metrics.clone();
        async move { metrics.page().await }
    }));
    let tables = open_tables(&app, places)?;
    let pressure = Some(engine.app.door.pressure());
    let options = HostOptions {
        tables,
        pressure,
        metrics,
        background: functions::BACKGROUND,
        ..HostOptions::from(&engine.app.config)
    };
    let state = engine.app.clone();
    let handler = Handler::new(move |request| functions::answer(state.clone(), request));
    let host = OneMachineHost::new(app, handler, Arc::new(broker), listener, &options, &engine.app.clock)?;
    let (stop_endpoint, stopped) = oneshot::channel::<()>();
    // The other half is dropped when the host has drained: clients may use the broker until then.
    let endpoint = endpoint.map(|endpoint| tokio::spawn(endpoint.run(async move { drop(stopped.await) })));
    host.run(interrupted).await;
    drop(stop_endpoint);
    if let Some(endpoint) = endpoint {
        endpoint.await.context("the Service Bus endpoint failed")?;
    }
    meter.abort();
    survey.abort();
    engine.close().await;
    if let Some(export) = export {
        export.stop().await;
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The file for `sql` outputs, where a function has one.
fn open_tables(app: &FunctionApp, places: &Places) -> anyhow::Result<Option<Tables>> {
    let mut outputs = app.functions.iter().flat_map(|function| &function.outputs);
    let wanted = outputs.any(|output| matches!(output.kind, OutputKind::Sql { .. }));
    let open = || Tables::open(&engine::paths(&places.data).projection, projection::TABLES);
    Ok(wanted.then(open).transpose()?)
}

/// App settings for function folders (`%NAME%`, and which are disabled): the environment first, then what the
/// configuration says.
pub(super) fn settings(config: Option<&Config>, name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| config?.default_setting(name))
}

/// Catches SIGINT and SIGTERM from now on; the future completes on the first of them.
pub(super) fn interrupted() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn banner(config: &Config, app: &FunctionApp, listener: &TcpListener, places: &Places) -> anyhow::Result<String> {
    let mut out = String::new();
    let url = format!("http://{}", listener.local_addr()?);
    let me = std::env::args().next().unwrap_or_else(|| "sluice".into());
    let data = std::path::absolute(&places.data)?;
    let functions: Vec<_> = app.functions.iter().map(|function| function.name.as_str()).collect();
    writeln!(out, "sluice {}  {url}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  data       {}", data.display())?;
    writeln!(out, "  functions  {}", functions.join(", "))?;
    if config.profile == Profile::Demo {
        writeln!(
            out,
            "  profile    demo: the secrets in sluice.toml are public. SLUICE_PROFILE=production takes real ones"
        )?;
        if let Some((curl, key)) = simulate::sample_curl(config, &url) {
            writeln!(out, "\nSend one delivery receipt, and see what became of it:\n")?;
            writeln!(out, "  {curl}")?;
            writeln!(out, "  {me} show {key}")?;
        }
    }
    writeln!(out, "\nOr play the vendors:\n\n  {me} simulate --url {url} --count 1000 --verify\n")?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");

    /// The functions that are switched off, and whether the projection's file is there.
    fn started(destinations: &str) -> (Vec<String>, bool) {
        let path = Path::new(ROOT).join("sluice.toml");
        let text = std::fs::read_to_string(&path).unwrap().replace("destinations = []", destinations);
        let config = Config::parse(&path, &text, &|_| None).unwrap();
        let app = FunctionApp::load(Path::new(ROOT), &|name| settings(Some(&config), name)).unwrap();
        assert_eq!(app.refused, []);
        let folder = tempfile::tempdir().unwrap();
        let places = Places { root: Some(ROOT.into()), config: None, data: folder.path().to_owned() };
        let tables = open_tables(&app, &places).unwrap();
        let there = folder.path().join("projection.sqlite").exists();
        assert_eq!(tables.is_some(), there);
        (app.disabled, there)
    }

    #[test]
    fn the_projection_runs_where_events_are_announced_to_it_and_is_off_elsewhere() {
        assert_eq!(started("destinations = []"), (vec!["project-sql".to_owned()], false));
        assert_eq!(started("destinations = [\"crm\"]"), (vec!["project-sql".to_owned()], false));
        assert_eq!(started("destinations = [\"crm\", \"sql\"]"), (Vec::new(), true));
    }
}

//! The engine: broker, documents and blobs in one data folder, assembled into an [`App`]; or, where the configuration says
//! so, in Azure.

use std::{
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use anyhow::Context;
use tokio::runtime::Handle;

use super::{broker::Broker, documents::LocalDocuments};
use crate::{
    app::{App, Ports, topology},
    azure, blobs,
    bus::SharedBus,
    clock::{SharedClock, SystemClock},
    config::{self, Config},
    dead_letters::SharedDeadLetters,
    documents::SharedDocuments,
    outbound::HttpsClient,
    telemetry::Tracing,
};

/// The program on embedded storage.
#[derive(Debug)]
pub struct Engine {
    pub app: Arc<App>,
    /// The embedded broker; `None` when the bus is Service Bus.
    pub broker: Option<Broker>,
}

impl Engine {
    /// Opens the data folder, creating what is missing. Without spans.
    ///
    /// # Errors
    /// Another process uses the folder, it cannot be opened, or the privacy key is missing.
    pub async fn open(folder: &Path, config: Config) -> anyhow::Result<Self> {
        Self::open_traced(folder, config, Tracing::off()).await
    }

    /// Opens the data folder, creating what is missing.
    ///
    /// # Errors
    /// As for [`Engine::open`].
    pub async fn open_traced(folder: &Path, config: Config, tracing: Tracing) -> anyhow::Result<Self> {
        let paths = paths(folder);
        // A deployed app has nothing here, and its disk may be read-only.
        if !config.embedded().is_empty() {
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
        }
        let clock: SharedClock = Arc::new(SystemClock);
        let (bus, documents) = open_stores(&paths, &config, &clock);
        let ((bus, dead_letters, broker), documents) = (bus?, documents?);
        let blobs = match &config.blobs {
            config::Blobs::Embedded => blobs::open_folder(&paths.blobs)?,
            config::Blobs::Azure(container) => azure::engine::blobs(&config, container)?,
        };
        let outbound = Arc::new(HttpsClient::new()?);
        let ports = Ports { clock, bus, dead_letters, documents, blobs, outbound };
        let app = App::traced(config, ports, tracing)?;
        if matches!(app.config.documents, config::Documents::Embedded) {
            // This process alone has the store: whoever held a lease was killed.
            app.leases.free_all().await?;
        }
        Ok(Self { app, broker })
    }

    /// Writes the last counters and closes the files.
    pub async fn close(self) {
        self.app.meter.flush(self.app.documents.as_ref()).await;
    }
}

/// Where everything is in a data folder.
#[derive(Debug, Clone)]
pub struct Paths {
    pub broker: PathBuf,
    pub documents: PathBuf,
    pub blobs: PathBuf,
    /// The SQL projection, where it is on.
    pub projection: PathBuf,
}

/// The files of a data folder.
pub fn paths(folder: &Path) -> Paths {
    Paths {
        broker: folder.join("broker.sqlite"),
        documents: folder.join("documents.sqlite"),
        blobs: folder.join("blobs"),
        projection: folder.join("projection.sqlite"),
    }
}

/// Opens both at once: after a kill each has a log to read.
fn open_stores(
    paths: &Paths,
    config: &Config,
    clock: &SharedClock,
) -> (anyhow::Result<OpenedBus>, anyhow::Result<SharedDocuments>) {
    let runtime = Handle::current();
    thread::scope(|scope| {
        let bus = scope.spawn(|| {
            // The adapters for Azure start tasks, and the broker answers by one.
            let _runtime = runtime.enter();
            open_bus(paths, config, clock.clone())
        });
        let documents = open_documents(paths, config, clock.clone());
        (bus.join().unwrap_or_else(|panic| resume_unwind(panic)), documents)
    })
}

/// The embedded broker comes last, where there is one.
type OpenedBus = (SharedBus, SharedDeadLetters, Option<Broker>);

fn open_bus(paths: &Paths, config: &Config, clock: SharedClock) -> anyhow::Result<OpenedBus> {
    let Some(connection) = &config.service_bus else {
        let broker = Broker::open(&paths.broker, &topology(config), clock)?;
        return Ok((Arc::new(broker.clone()), Arc::new(broker.clone()), Some(broker)));
    };
    let (bus, dead_letters) = azure::engine::bus(config, connection.as_ref().map_err(Clone::clone)?, clock)?;
    Ok((bus, dead_letters, None))
}

fn open_documents(paths: &Paths, config: &Config, clock: SharedClock) -> anyhow::Result<SharedDocuments> {
    let cosmos = match &config.documents {
        config::Documents::Embedded => return Ok(Arc::new(LocalDocuments::open(&paths.documents, clock)?)),
        config::Documents::Cosmos(cosmos) => cosmos,
    };
    let documents = azure::engine::documents(config, cosmos)?;
    // A store that is away must not keep callbacks from being acknowledged; what is wrong with it is told at once.
    let connecting = Arc::clone(&documents);
    tokio::spawn(async move {
        if let Err(error) = connecting.connect().await {
            tracing::error!(%error, "the documents cannot be reached");
        }
    });
    Ok(documents)
}

/// The documents, beside the process that serves them or alone.
///
/// # Errors
/// There is no data, or it cannot be read.
pub fn open_read_only(folder: &Path, config: &Config) -> anyhow::Result<SharedDocuments> {
    if let config::Documents::Cosmos(cosmos) = &config.documents {
        return Ok(azure::engine::documents(config, cosmos)?);
    }
    let documents = LocalDocuments::open_read_only(&paths(folder).documents, Arc::new(SystemClock));
    Ok(Arc::new(documents.with_context(|| format!("{} holds no data that can be read", folder.display()))?))
}

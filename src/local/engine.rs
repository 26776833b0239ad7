//! The engine: broker, documents and blobs in one data folder, assembled into an [`App`]; or, where the configuration says
//! so, in Azure.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;

use super::{broker::Broker, documents::LocalDocuments};
use crate::{
    app::{App, Ports, topology},
    azure, blobs,
    bus::SharedBus,
    clock::{SharedClock, SystemClock},
    config::Config,
    documents::SharedDocuments,
};

/// The program on embedded storage.
#[derive(Debug)]
pub struct Engine {
    pub app: Arc<App>,
    /// The embedded broker; `None` when the bus is Service Bus.
    pub broker: Option<Broker>,
}

impl Engine {
    /// Opens the data folder, creating what is missing.
    ///
    /// # Errors
    /// Another process uses the folder, it cannot be opened, or the privacy key is missing.
    pub fn open(folder: &Path, config: Config) -> anyhow::Result<Self> {
        let paths = paths(folder);
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
        let clock = Arc::new(SystemClock);
        let (bus, broker) = open_bus(&paths, &config, clock.clone())?;
        let documents = LocalDocuments::open(&paths.documents, clock.clone())?;
        let blobs = blobs::open_folder(&paths.blobs)?;
        let ports = Ports { clock, bus, documents: Arc::new(documents), blobs };
        Ok(Self { app: App::new(config, ports)?, broker })
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
}

/// The files of a data folder.
pub fn paths(folder: &Path) -> Paths {
    Paths {
        broker: folder.join("broker.sqlite"),
        documents: folder.join("documents.sqlite"),
        blobs: folder.join("blobs"),
    }
}

fn open_bus(paths: &Paths, config: &Config, clock: SharedClock) -> anyhow::Result<(SharedBus, Option<Broker>)> {
    let Some(connection) = &config.service_bus else {
        let broker = Broker::open(&paths.broker, &topology(config), clock)?;
        return Ok((Arc::new(broker.clone()), Some(broker)));
    };
    let client = azure::engine::service_bus(connection.as_ref().map_err(Clone::clone)?, clock)?;
    // Connected by the time the first callback comes, or known to be out of reach.
    client.create_sender(&config.bus.callbacks_topic);
    Ok((Arc::new(client), None))
}

/// The documents of a data folder, beside the process that serves it or alone.
///
/// # Errors
/// There is no data, or it cannot be read.
pub fn open_read_only(folder: &Path) -> anyhow::Result<SharedDocuments> {
    let documents = LocalDocuments::open_read_only(&paths(folder).documents, Arc::new(SystemClock));
    Ok(Arc::new(documents.with_context(|| format!("{} holds no data that can be read", folder.display()))?))
}

//! The embedded engine: broker, documents and blobs in one data folder, assembled into an [`App`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;

use super::{broker::Broker, documents::LocalDocuments};
use crate::{
    app::{App, Ports, topology},
    blobs,
    clock::SystemClock,
    config::Config,
    documents::SharedDocuments,
    outbound::HttpsClient,
};

/// The program on embedded storage.
#[derive(Debug)]
pub struct Engine {
    pub app: Arc<App>,
    pub broker: Broker,
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
        let broker = Broker::open(&paths.broker, &topology(&config), clock.clone())?;
        let documents = LocalDocuments::open(&paths.documents, clock.clone())?;
        let blobs = blobs::open_folder(&paths.blobs)?;
        let outbound = Arc::new(HttpsClient::new()?);
        let ports = Ports { clock, bus: Arc::new(broker.clone()), documents: Arc::new(documents), blobs, outbound };
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

/// The documents of a data folder, beside the process that serves it or alone.
///
/// # Errors
/// There is no data, or it cannot be read.
pub fn open_read_only(folder: &Path) -> anyhow::Result<SharedDocuments> {
    let documents = LocalDocuments::open_read_only(&paths(folder).documents, Arc::new(SystemClock));
    Ok(Arc::new(documents.with_context(|| format!("{} holds no data that can be read", folder.display()))?))
}

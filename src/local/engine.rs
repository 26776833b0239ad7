//! The embedded engine: broker, documents and blobs in one data folder, assembled into an [`App`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;

use super::{broker::Broker, documents::LocalDocuments};
use crate::{
    app::{App, Ports, topology},
    blobs::{self, SharedBlobs},
    clock::{SharedClock, SystemClock},
    config::Config,
    documents::SharedDocuments,
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
        create(folder)?;
        let clock = Arc::new(SystemClock);
        let broker = Broker::open(&paths(folder).broker, &topology(&config), clock.clone())?;
        let (documents, blobs) = open_storage(folder, clock.clone())?;
        let ports = Ports { clock, bus: Arc::new(broker.clone()), documents, blobs };
        Ok(Self { app: App::new(config, ports)?, broker })
    }

    /// Writes the last counters and closes the files.
    pub async fn close(self) {
        self.app.meter.flush(self.app.documents.as_ref()).await;
    }
}

/// Opens what is not the bus.
///
/// # Errors
/// Another process uses the folder, or it cannot be opened.
pub fn open_storage(folder: &Path, clock: SharedClock) -> anyhow::Result<(SharedDocuments, SharedBlobs)> {
    create(folder)?;
    let paths = paths(folder);
    let documents = LocalDocuments::open(&paths.documents, clock)?;
    Ok((Arc::new(documents), blobs::open_folder(&paths.blobs)?))
}

fn create(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))
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

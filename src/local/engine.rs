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

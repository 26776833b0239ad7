//! The blobs port: bodies too large for a bus message, and the spool's last resort. `object_store` is the port itself.

use std::{path::Path, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem};

/// The blob store that every part of the program shares.
pub type SharedBlobs = Arc<dyn ObjectStore>;

/// Opens a folder on the local disk. A blob is on disk, flushed, once `put` has returned.
///
/// # Errors
/// The folder cannot be created or opened.
pub fn open_folder(folder: &Path) -> Result<SharedBlobs, object_store::Error> {
    std::fs::create_dir_all(folder)
        .map_err(|source| object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(source) })?;
    Ok(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)))
}

//! The room that is left where the data is.

use std::{io, path::Path};

use bytesize::ByteSize;

/// Less than some hours of callbacks.
pub const WARN_BELOW: ByteSize = ByteSize::gib(1);
/// Checkpoints and logs need this much to go on.
pub const FAIL_BELOW: ByteSize = ByteSize::mib(64);

/// What this user may still write on the disk that a folder is on.
///
/// # Errors
/// There is no such folder, or its file system does not tell.
pub fn free(folder: &Path) -> io::Result<ByteSize> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(ByteSize::b(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

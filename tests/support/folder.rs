//! Where a test keeps its files, when its subject is not what a disk makes of them.

use std::path::Path;

use tempfile::TempDir;

/// Enough for any test that asks.
const ROOM: u64 = 2 << 30;

/// A temporary folder in memory, where there is room: a disk that stalls for half a second would be measured instead of the
/// program. Elsewhere a folder like any other. Whether something survives a disk is for tests that use one.
pub fn quick_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    let quick = (room >= ROOM).then(|| tempfile::tempdir_in(memory).ok()).flatten();
    quick.unwrap_or_else(|| tempfile::tempdir().unwrap())
}

//! What the system lets a process have of files.

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Prepares a server for the limits that it was started with.
///
/// # Errors
/// The signal's handler cannot be set.
pub(super) fn settle() -> anyhow::Result<()> {
    outlive_the_size_of_files()?;
    raise_the_number_of_files();
    Ok(())
}

/// A file that has reached its limit (`ulimit -f`, systemd's `LimitFSIZE=`) shall be like a full disk: an error of the write
/// alone. Uncaught, the signal that comes with it ends the program.
fn outlive_the_size_of_files() -> anyhow::Result<()> {
    // The handler stays when the stream is dropped.
    drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
    Ok(())
}

/// Every connection is a file, and shells and systemd let a program have 1,024 of them until it asks for what it may have
/// (`ulimit -Hn`, `LimitNOFILE=`).
fn raise_the_number_of_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // macOS refuses what is beyond a limit of its own: then it stays as it was.
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

//! The data folder of what is embedded: can it be written, is there room, who uses it, and can the files be read. Nothing
//! in it is changed: a server may be at work beside us.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    patience::{Patience, STEP},
    report::Steps,
};
use crate::{
    clock::SystemClock,
    config::{Blobs, Config, Documents},
    documents::{Container, Documents as _, Query},
    local::{broker::read_depths, disk, documents::LocalDocuments, engine, sqlite::FileLock},
};

pub(super) async fn examine(config: &Config, folder: PathBuf, in_azure: bool) -> Steps {
    let mut steps = Steps::of("data");
    let embedded = config.embedded();
    if embedded.is_empty() {
        return steps;
    }
    if in_azure {
        let found = format!("{} would be on a Function App's disk, which is not kept", embedded.join(" and "));
        steps.fail("kind", found, "Set `kind` to what is in Azure: sluice serve refuses to start");
    }
    let paths = engine::paths(&folder);
    let files = [
        (config.service_bus.is_none(), paths.broker.clone()),
        (matches!(config.documents, Documents::Embedded), paths.documents.clone()),
    ];
    let files: Vec<_> = files.into_iter().filter_map(|(here, path)| here.then_some(path)).collect();
    let blobs = matches!(config.blobs, Blobs::Embedded).then(|| paths.blobs.clone());
    let looked = tokio::task::spawn_blocking({
        let files = files.clone();
        move || {
            let there = look(&folder, &files, blobs.as_deref(), &mut steps);
            (there, steps)
        }
    });
    // A network drive that hangs keeps its thread; everybody else goes on.
    let patience = Patience::new();
    let (there, mut steps) = match patience.wait(STEP, looked).await {
        Ok(looked) => looked.expect("looking at a folder does not panic"),
        Err(silence) => {
            let mut steps = Steps::of("data");
            steps.fail("folder", silence.to_string(), "The disk hangs: look at its mount");
            return steps;
        }
    };
    if there {
        for file in files.iter().filter(|file| file.exists()) {
            if let Err(silence) = patience.wait(STEP, read(file, *file == paths.broker, &mut steps)).await {
                steps.fail(name(file), silence.to_string(), "The disk hangs, or the file is locked for long");
            }
        }
    }
    steps
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether there is a folder with files that can be looked into.
fn look(folder: &Path, files: &[PathBuf], blobs: Option<&Path>, steps: &mut Steps) -> bool {
    let shown = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let place = shown.display();
    // What is not there yet is made by the first start, in the nearest folder that is.
    let existing = shown.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned();
    let exists = existing == shown;
    let mut writable = true;
    for path in [Some(existing.as_path()), blobs.filter(|path| path.exists())].into_iter().flatten() {
        if let Err(error) = try_write(path) {
            writable = false;
            let found = format!("{} cannot be written: {error}", path.display());
            steps.fail("folder", found, "Give this user the right to write there, or name another folder with --data");
        }
    }
    match (writable, exists) {
        (true, true) => steps.ok("folder", format!("{place} can be written")),
        (true, false) => steps.ok("folder", format!("{place} does not exist yet: the first start makes it")),
        (false, _) => {}
    }
    room(&existing, steps);
    for file in files.iter().filter(|file| file.exists()) {
        let name = name(file);
        match FileLock::holder(file) {
            Ok(Some(holder)) => {
                let process = holder.process.map(|id| format!(" (process {id})")).unwrap_or_default();
                steps.ok(name, format!("in use by a running server{process}"));
            }
            Ok(None) => steps.ok(name, "not in use: no server runs on it"),
            Err(error) => steps.fail(name, error.to_string(), "Give this user the right to read it"),
        }
    }
    exists
}

/// Makes a file of no name that anybody would choose, and removes it.
fn try_write(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".sluice-doctor-{}", uuid::Uuid::now_v7()));
    fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(&probe)
}

fn room(folder: &Path, steps: &mut Steps) {
    match disk::free(folder) {
        Ok(free) => {
            let found = format!("{free} free");
            let advice = "Make room: a full disk turns every callback away";
            if free < disk::FAIL_BELOW {
                steps.fail("disk", found, advice);
            } else if free < disk::WARN_BELOW {
                steps.warn("disk", found, advice);
            } else {
                steps.ok("disk", found);
            }
        }
        Err(error) => steps.warn("disk", format!("free space is not known: {error}"), "Look yourself: df"),
    }
}

/// Opens a file as `sluice status` does.
async fn read(file: &Path, is_broker: bool, steps: &mut Steps) {
    let path = file.to_owned();
    let read = match is_broker {
        true => tokio::task::spawn_blocking(move || messages(&path)).await.expect("reading does not panic"),
        false => parked(path).await,
    };
    let what = if is_broker { "broker" } else { "documents" };
    match read {
        Ok(found) => steps.ok(what, found),
        Err(error) => {
            let advice = "It is damaged, or from a newer version of this program: restore it, or use that version";
            steps.fail(what, error, advice);
        }
    }
}

fn messages(path: &Path) -> Result<String, String> {
    let depths = read_depths(path).map_err(|error| error.to_string())?;
    let waiting: u64 = depths.iter().map(|depth| depth.active).sum();
    let dead: u64 = depths.iter().map(|depth| depth.dead_letters).sum();
    Ok(format!("{} subscriptions, {waiting} messages wait, {dead} dead letters", depths.len()))
}

async fn parked(path: PathBuf) -> Result<String, String> {
    let opened = tokio::task::spawn_blocking(move || LocalDocuments::open_read_only(&path, Arc::new(SystemClock)));
    let documents = opened.await.expect("opening does not panic").map_err(|error| error.to_string())?;
    let parked = documents.count(Container::Parked, &Query::all()).await.map_err(|error| error.to_string())?;
    Ok(format!("they can be read; {parked} parked"))
}

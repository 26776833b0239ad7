//! What is deployed: the files that the Functions host expects below a script root.
//!
//! The host finds function folders only directly below its root, so the source's `functions/` is laid out anew:
//! `host.json`, the app's function folders, the executable that `host.json` names, and `sluice.toml`. Each app deploys
//! alone; `all` is for `func start`.

mod check;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

pub use check::check;

/// A topic that an app publishes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// What vendors sent; processors send it once more where no retry record can be written.
    Callbacks,
    /// What was applied; deliveries too are sent once more where no retry record can be written.
    Deliveries,
}

/// An app and its functions, besides `health`, which every app has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppPlan {
    pub name: &'static str,
    pub functions: &'static [&'static str],
    pub sends: &'static [Sends],
}

const CALLBACKS: &[Sends] = &[Sends::Callbacks];
const DELIVERIES: &[Sends] = &[Sends::Deliveries];
const BOTH: &[Sends] = &[Sends::Callbacks, Sends::Deliveries];

/// Every app.
pub const APPS: &[AppPlan] = &[
    AppPlan { name: "ingest", functions: &["ingest"], sends: CALLBACKS },
    AppPlan { name: "sms", functions: &["process-sms"], sends: BOTH },
    AppPlan { name: "email", functions: &["process-email"], sends: BOTH },
    AppPlan { name: "voice", functions: &["process-voice"], sends: BOTH },
    AppPlan { name: "delivery", functions: &["deliver", "project-sql"], sends: DELIVERIES },
    AppPlan { name: "ops", functions: &["operate", "run-replays", "sweep-retries"], sends: BOTH },
    AppPlan {
        name: "all",
        functions: &[
            "deliver",
            "ingest",
            "operate",
            "process-sms",
            "process-email",
            "process-voice",
            "project-sql",
            "run-replays",
            "sweep-retries",
        ],
        sends: BOTH,
    },
];

/// Bytes of a package, unpacked. Far beyond any real one; an archive can unpack to a thousand times its size.
const MOST_UNPACKED: u64 = 1024 * 1024 * 1024;

/// Belongs to every app: a probe must not need another one.
const HEALTH: &str = "health";

impl AppPlan {
    /// The app of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        APPS.iter().find(|app| app.name == name)
    }

    /// Its function folders, in the order of their names.
    pub fn folders(&self) -> Vec<&'static str> {
        let mut folders: Vec<_> = self.functions.iter().copied().chain([HEALTH]).collect();
        folders.sort_unstable();
        folders
    }
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Zip { path: PathBuf, source: zip::result::ZipError },
    #[error("{0} is not empty and holds no package (no host.json): choose another folder, or empty it")]
    Occupied(PathBuf),
    #[error("{folder} holds {part}, which goes into the package, and would be emptied: choose another folder")]
    HoldsSources { folder: PathBuf, part: PathBuf },
    #[error("{path} unpacks to {bytes} bytes: no package is so large (at most {MOST_UNPACKED})")]
    TooLarge { path: PathBuf, bytes: u64 },
}

impl PackageError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    fn zip(path: &Path) -> impl FnOnce(zip::result::ZipError) -> Self {
        move |source| Self::Zip { path: path.to_owned(), source }
    }
}

/// Where the parts of a package come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The folder with `host.json` and `functions/`.
    pub root: PathBuf,
    pub config: PathBuf,
    /// The program for the machine that the app runs on: Linux on x86-64.
    pub executable: PathBuf,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// With `/` between its parts.
    name: String,
    source: PathBuf,
    executable: bool,
}

impl Entry {
    fn mode(&self) -> u32 {
        if self.executable { 0o755 } else { 0o644 }
    }
}

/// The files of an app, sorted by name: equal sources give equal packages.
fn entries(app: &AppPlan, sources: &Sources) -> Vec<Entry> {
    let file = |name: &str, source: PathBuf| Entry { name: name.to_owned(), source, executable: false };
    let mut entries = vec![
        file("host.json", sources.root.join("host.json")),
        file("sluice.toml", sources.config.clone()),
        Entry { executable: true, ..file("sluice", sources.executable.clone()) },
    ];
    for folder in app.folders() {
        let source = sources.root.join("functions").join(folder).join("function.json");
        entries.push(file(&format!("{folder}/function.json"), source));
    }
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    entries
}

/// Writes an app as a folder, in place of an earlier package.
///
/// # Errors
/// A source is missing, or the folder holds something else.
pub fn write_folder(app: &AppPlan, sources: &Sources, folder: &Path) -> Result<(), PackageError> {
    let entries = entries(app, sources);
    // Nothing is removed before everything is known to be there.
    for entry in &entries {
        fs::metadata(&entry.source).map_err(PackageError::io(&entry.source))?;
    }
    match fs::read_dir(folder).map(|mut files| files.next().is_some()) {
        Ok(true) if !folder.join("host.json").is_file() => return Err(PackageError::Occupied(folder.to_owned())),
        Ok(true) => {
            // A checkout has a host.json, too.
            keeps_sources(&entries, folder)?;
            fs::remove_dir_all(folder).map_err(PackageError::io(folder))?;
        }
        _ => {}
    }
    for entry in &entries {
        let target = folder.join(&entry.name);
        let parent = target.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(PackageError::io(parent))?;
        fs::copy(&entry.source, &target).map_err(PackageError::io(&entry.source))?;
        set_mode(&target, entry.mode()).map_err(PackageError::io(&target))?;
    }
    Ok(())
}

/// Refuses a folder that a part of the package comes from.
fn keeps_sources(entries: &[Entry], folder: &Path) -> Result<(), PackageError> {
    let place = folder.canonicalize().map_err(PackageError::io(folder))?;
    for Entry { source, .. } in entries {
        if source.canonicalize().map_err(PackageError::io(source))?.starts_with(&place) {
            return Err(PackageError::HoldsSources { folder: folder.to_owned(), part: source.clone() });
        }
    }
    Ok(())
}

/// Writes an app as a zip file. Equal sources give equal bytes: nothing of the day or the machine is in it.
///
/// # Errors
/// A source is missing, or the file cannot be written.
pub fn write_zip(app: &AppPlan, sources: &Sources, path: &Path) -> Result<(), PackageError> {
    // A package that is half written must not be found under its name.
    let partial = path.with_extension("zip.partial");
    let mut zip = ZipWriter::new(File::create(&partial).map_err(PackageError::io(&partial))?);
    for entry in entries(app, sources) {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(entry.mode());
        zip.start_file(entry.name, options).map_err(PackageError::zip(path))?;
        let content = fs::read(&entry.source).map_err(PackageError::io(&entry.source))?;
        zip.write_all(&content).map_err(PackageError::io(&partial))?;
    }
    let file = zip.finish().map_err(PackageError::zip(path))?;
    file.sync_all().map_err(PackageError::io(&partial))?;
    fs::rename(&partial, path).map_err(PackageError::io(path))
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

//! Whether the Functions host will find in a package what it needs.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::Path,
};

use zip::ZipArchive;

use super::{APPS, MOST_UNPACKED, PackageError};
use crate::{
    config::Config,
    functions::FUNCTIONS,
    local::host::{FunctionApp, Settings},
};

/// What is wrong with a package, a folder or a zip file; empty where nothing is.
///
/// # Errors
/// It cannot be read at all, or unpacks to more than a package holds.
pub fn check(path: &Path, settings: Settings) -> Result<Vec<String>, PackageError> {
    if path.is_dir() {
        return Ok(check_folder(path, settings));
    }
    let file = File::open(path).map_err(PackageError::io(path))?;
    let mut archive = ZipArchive::new(file).map_err(PackageError::zip(path))?;
    check_size(&mut archive, path)?;
    let folder = std::env::temp_dir().join(format!("sluice-package-{}", uuid::Uuid::now_v7()));
    let unpacked = archive.extract(&folder).map_err(PackageError::zip(path));
    let problems = unpacked.map(|()| check_folder(&folder, settings));
    if let Err(error) = fs::remove_dir_all(&folder) {
        tracing::debug!(%error, "an unpacked package stays behind");
    }
    problems
}

/// Refuses what would fill the disk. The sizes are the archive's own words, and no entry unpacks to more than it says.
fn check_size(archive: &mut ZipArchive<File>, path: &Path) -> Result<(), PackageError> {
    let mut bytes: u64 = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(PackageError::zip(path))?;
        bytes = bytes.saturating_add(entry.size());
    }
    if bytes > MOST_UNPACKED {
        return Err(PackageError::TooLarge { path: path.to_owned(), bytes });
    }
    Ok(())
}

fn check_folder(root: &Path, settings: Settings) -> Vec<String> {
    let mut problems = Vec::new();
    if root.join("functions").exists() {
        problems
            .push("functions/ is a folder of the source: the host looks for function folders in the root only".into());
    }
    if root.join("local.settings.json").exists() {
        problems.push("local.settings.json is here: it holds secrets, and the host ignores it in Azure".into());
    }
    match fs::read_to_string(root.join("sluice.toml")) {
        Err(error) => problems.push(format!("sluice.toml: {error}")),
        Ok(text) => {
            // Secrets come from the app's settings, which are not here.
            if let Err(error) = Config::parse(Path::new("sluice.toml"), &text, &|_| None) {
                problems.push(error.to_string());
            }
        }
    }
    match FunctionApp::load(root, settings) {
        Err(error) => problems.push(error.to_string()),
        Ok(app) => {
            problems.extend(executable_problem(&root.join(&app.host.custom_handler.executable)));
            for (name, reasons) in &app.refused {
                problems.extend(reasons.iter().map(|reason| format!("function {name}: {reason}")));
            }
            let known: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
            // A function that is switched off is in the package all the same.
            let enabled = app.functions.iter().map(|function| &function.name);
            let found: BTreeSet<_> = enabled.chain(&app.disabled).map(String::as_str).collect();
            problems.extend(
                found.difference(&known).map(|name| format!("function {name}: the program has no handler of it")),
            );
            if problems.is_empty() && !APPS.iter().any(|app| found == app.folders().into_iter().collect()) {
                let found: Vec<_> = found.into_iter().collect();
                problems.push(format!("these functions are no app's: {}", found.join(", ")));
            }
        }
    }
    problems
}

/// What keeps the host from starting the program.
fn executable_problem(path: &Path) -> Option<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut magic = [0; 20];
    match File::open(path).and_then(|mut file| file.read_exact(&mut magic)) {
        Err(error) => return Some(format!("{name}, which host.json starts: {error}")),
        // ELF, 64 bits, for x86-64: what the Linux plans run.
        Ok(()) if magic[..5] != *b"\x7fELF\x02" || magic[18..] != [0x3e, 0] => {
            return Some(format!("{name} is no program for Linux on x86-64"));
        }
        Ok(()) => {}
    }
    (!is_executable(path)).then(|| format!("{name} is not executable (mode 0755)"))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o777 == 0o755)
}

#[cfg(not(unix))]
fn is_executable(_path: &Path) -> bool {
    true
}

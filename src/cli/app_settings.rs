//! App settings as `func start` has them: the environment, and `local.settings.json` for what it lacks.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;

#[derive(Debug, Args)]
pub(super) struct AppSettings {
    /// Take what the environment lacks from a local.settings.json, as `func start` does
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(rename = "IsEncrypted", default)]
    is_encrypted: bool,
    #[serde(rename = "Values", default)]
    values: BTreeMap<String, String>,
}

impl AppSettings {
    /// Looks a setting up; an empty one is none.
    ///
    /// # Errors
    /// The file cannot be read, or is encrypted.
    pub fn load(&self) -> anyhow::Result<impl Fn(&str) -> Option<String>> {
        let values = match &self.settings {
            Some(path) => read(path).with_context(|| path.display().to_string())?,
            None => BTreeMap::new(),
        };
        Ok(move |name: &str| {
            let found = std::env::var(name).ok().or_else(|| values.get(name).cloned());
            found.filter(|value| !value.is_empty())
        })
    }
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    // Values may be secrets, and serde's own words quote them: only the place is told.
    let file: File = serde_json::from_str(&fs::read_to_string(path)?)
        .map_err(|error| anyhow::anyhow!("line {}: not an object with Values that are texts", error.line()))?;
    ensure!(!file.is_encrypted, "its values are encrypted: func settings decrypt");
    Ok(file.values)
}

//! Errors that name the file, the line and the key.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The text is not TOML, has an unknown key or a value of the wrong type.
    #[error("{}:{line}: {problem}", path.display())]
    Syntax { path: PathBuf, line: usize, problem: String },
    /// A value that cannot be meant.
    #[error("{}:{line}: {key}: {problem}", path.display())]
    Value { path: PathBuf, line: usize, key: String, problem: String },
    #[error("environment variable {name}: {problem}")]
    Variable { name: &'static str, problem: String },
    /// The demo profile's secrets are public: a deployed app must not accept them.
    #[error("the demo profile does not start in Azure: set SLUICE_PROFILE=production and the vendors' secrets")]
    DemoInAzure,
    #[error(
        "bus.kind is service-bus-https, and this program was built without it: build it with `cargo build --release \
         --features servicebus-https`, or use service-bus"
    )]
    WithoutHttps,
}

/// Turns positions in the text into lines.
pub(super) struct Locator<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Locator<'_> {
    pub fn line(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset.min(self.text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    pub fn toml(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let excerpt = self.text.get(span.clone()).and_then(|text| text.lines().next()).unwrap_or_default();
        let problem = match (error.message(), excerpt) {
            (message, "") => message.to_owned(),
            (message, excerpt) => format!("{message} (at `{excerpt}`)"),
        };
        ConfigError::Syntax { path: self.path.to_owned(), line: self.line(span.start), problem }
    }

    pub fn value(&self, span: Range<usize>, key: impl Into<String>, problem: String) -> ConfigError {
        ConfigError::Value { path: self.path.to_owned(), line: self.line(span.start), key: key.into(), problem }
    }
}

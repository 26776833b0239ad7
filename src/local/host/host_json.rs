//! `host.json`: what holds for all functions.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{
    json::{member, scalar},
    settings::Settings,
    time_span,
};

/// The parts of `host.json` that mean something outside Azure.
#[derive(Debug, Clone, PartialEq)]
pub struct HostJson {
    /// How long an invocation may take; `None` for ever.
    pub function_timeout: Option<Duration>,
    /// Comes before every route; empty or without slashes at its ends.
    pub route_prefix: String,
    pub custom_handler: CustomHandler,
    /// `extensions.serviceBus.maxMessageBatchSize`, for functions that set none.
    pub max_message_batch_size: usize,
    /// Bindings other than HTTP and timers come from here.
    pub has_extension_bundle: bool,
    /// Only these functions are loaded.
    pub allow_list: Option<Vec<String>>,
}

/// How Azure starts the handler. The one-machine host calls it in process and starts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomHandler {
    pub executable: String,
    pub arguments: Vec<String>,
    /// HTTP functions get the request itself instead of a description in JSON.
    pub forwards_http: bool,
}

/// Why no function can be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum HostJsonError {
    #[error("{path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    NotJson { path: PathBuf, source: serde_json::Error },
    /// A key is missing or has a value that the Functions host would not take.
    #[error("{path}: `{key}` {problem}")]
    Invalid { path: PathBuf, key: &'static str, problem: String },
}

impl HostJson {
    /// Reads a `host.json`. Every value can be overridden by a setting such as
    /// `AzureFunctionsJobHost__extensions__http__routePrefix`.
    ///
    /// # Errors
    /// The file is missing, malformed, or the Functions host would not start with it.
    pub fn read(path: &Path, settings: Settings) -> Result<Self, HostJsonError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| HostJsonError::Unreadable { path: path.to_owned(), source })?;
        let json: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|source| HostJsonError::NotJson { path: path.to_owned(), source })?;
        File { path, json, settings }.host_json()
    }
}

struct File<'a> {
    path: &'a Path,
    json: Value,
    settings: Settings<'a>,
}

impl File<'_> {
    fn host_json(&self) -> Result<HostJson, HostJsonError> {
        if !self.json.is_object() {
            return Err(self.invalid("version", "must be \"2.0\", but the file holds no object"));
        }
        match member(&self.json, "version") {
            Some(Value::String(version)) if version == "2.0" => {}
            Some(other) => return Err(self.invalid("version", format!("must be \"2.0\", not {other}"))),
            None => return Err(self.invalid("version", "is missing: it must be \"2.0\"")),
        }
        Ok(HostJson {
            function_timeout: self.function_timeout()?,
            route_prefix: self
                .text("extensions.http.routePrefix")
                .map_or_else(|| "api".to_owned(), |prefix| prefix.trim_matches('/').to_owned()),
            custom_handler: self.custom_handler()?,
            max_message_batch_size: self.max_message_batch_size()?,
            has_extension_bundle: self.has_extension_bundle()?,
            allow_list: self.allow_list()?,
        })
    }

    fn function_timeout(&self) -> Result<Option<Duration>, HostJsonError> {
        match self.text("functionTimeout").as_deref() {
            None => Ok(Some(Duration::from_secs(30 * 60))),
            Some("-1") => Ok(None),
            Some(text) => time_span::parse(text).map(Some).ok_or_else(|| {
                self.invalid(
                    "functionTimeout",
                    format!("must be a time span such as \"00:05:00\" or \"-1\", not `{text}`"),
                )
            }),
        }
    }

    fn custom_handler(&self) -> Result<CustomHandler, HostJsonError> {
        // `httpWorker` is the old name; it never forwards. With both, the new one counts.
        let section = ["customHandler", "httpWorker"].into_iter().find(|name| member(&self.json, name).is_some());
        let Some(section) = section else {
            return Err(self.invalid("customHandler", "is missing: the handler is a custom one"));
        };
        let value = |key: &str| self.text(&format!("{section}.{key}"));
        let Some(executable) = value("description.defaultExecutablePath").filter(|path| !path.is_empty()) else {
            return Err(self.invalid("customHandler.description.defaultExecutablePath", "is missing"));
        };
        let forwards_http = match value("enableForwardingHttpRequest").as_deref() {
            None => false,
            Some(text) if text.eq_ignore_ascii_case("true") => section == "customHandler",
            Some(text) if text.eq_ignore_ascii_case("false") => false,
            Some(text) => {
                let problem = format!("must be true or false, not `{text}`");
                return Err(self.invalid("customHandler.enableForwardingHttpRequest", problem));
            }
        };
        let arguments = self.value(&format!("{section}.description.arguments"));
        let arguments = arguments.and_then(Value::as_array).into_iter().flatten().filter_map(scalar).collect();
        Ok(CustomHandler { executable, arguments, forwards_http })
    }

    fn max_message_batch_size(&self) -> Result<usize, HostJsonError> {
        let Some(text) = self.text("extensions.serviceBus.maxMessageBatchSize") else { return Ok(1000) };
        text.parse().ok().filter(|size| *size > 0).ok_or_else(|| {
            self.invalid(
                "extensions.serviceBus.maxMessageBatchSize",
                format!("must be a positive number, not `{text}`"),
            )
        })
    }

    fn has_extension_bundle(&self) -> Result<bool, HostJsonError> {
        if self.value("extensionBundle").is_none() {
            return Ok(false);
        }
        let complete = self.text("extensionBundle.id").is_some() && self.text("extensionBundle.version").is_some();
        if !complete {
            return Err(self.invalid("extensionBundle", "must have an `id` and a `version` such as \"[4.*, 5.0.0)\""));
        }
        Ok(true)
    }

    fn allow_list(&self) -> Result<Option<Vec<String>>, HostJsonError> {
        let Some(value) = self.value("functions") else { return Ok(None) };
        let names =
            value.as_array().and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        names.map(Some).ok_or_else(|| self.invalid("functions", "must be a list of function names"))
    }

    fn value(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.json, member)
    }

    fn text(&self, key: &str) -> Option<String> {
        let setting = (self.settings)(&format!("AzureFunctionsJobHost__{}", key.replace('.', "__")));
        setting.or_else(|| self.value(key).and_then(scalar))
    }

    fn invalid(&self, key: &'static str, problem: impl Into<String>) -> HostJsonError {
        HostJsonError::Invalid { path: self.path.to_owned(), key, problem: problem.into() }
    }
}

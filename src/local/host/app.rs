//! A function app: `host.json` and one folder for each function.

use std::{ffi::OsStr, path::Path};

use http::Method;

use super::{
    function_json,
    host_json::{HostJson, HostJsonError},
    names,
    route::RouteTemplate,
    schedule::Schedule,
    settings::{self, Settings},
};
use crate::host::value::DataType;

/// What the Functions host would find below a script root.
#[derive(Debug)]
pub struct FunctionApp {
    pub host: HostJson,
    /// In the order in which their routes are tried.
    pub functions: Vec<Function>,
    /// Folders that the Functions host would not load, with every reason.
    pub refused: Vec<(String, Vec<String>)>,
    /// Functions that a setting switches off.
    pub disabled: Vec<String>,
}

/// A function that can be invoked.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// The folder's name.
    pub name: String,
    /// The trigger's binding name.
    pub binding: String,
    pub trigger: Trigger,
    pub outputs: Vec<Output>,
    /// The app settings that its bindings name as their connections.
    pub connections: Vec<String>,
}

/// An output binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub name: String,
    pub kind: OutputKind,
}

/// What an output binding writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputKind {
    /// `sql`: the table, and the app setting with the connection string.
    Sql { table: String, connection: String },
    /// Any other type, by its name.
    Other(String),
}

impl std::fmt::Display for OutputKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OutputKind::Sql { .. } => formatter.write_str("sql"),
            OutputKind::Other(kind) => formatter.write_str(kind),
        }
    }
}

/// What starts a function.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    Http(HttpTrigger),
    ServiceBus(ServiceBusTrigger),
    Timer(TimerTrigger),
    /// Valid in Azure; the one-machine host has no source for it.
    Other(String),
}

/// `httpTrigger`
#[derive(Debug, Clone, PartialEq)]
pub struct HttpTrigger {
    /// With the route prefix.
    pub route: RouteTemplate,
    /// `None` takes every method.
    pub methods: Option<Vec<Method>>,
    pub auth_level: AuthLevel,
    /// The handler gets the request itself: the only input is this trigger, and the only output is HTTP.
    pub forwarded: bool,
}

/// Which key a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthLevel {
    Anonymous,
    Function,
    Admin,
}

/// `serviceBusTrigger`
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceBusTrigger {
    pub source: ServiceBusSource,
    /// The app setting that tells the namespace.
    pub connection: String,
    /// The most messages of one invocation; `None` for cardinality one.
    pub max_batch: Option<usize>,
    /// `None` when function.json says nothing: bodies are then parsed as JSON.
    pub data_type: Option<DataType>,
    /// Whether the host settles messages. A custom handler has no way to do it.
    pub auto_complete: bool,
}

/// Where messages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceBusSource {
    Queue(String),
    Subscription { topic: String, subscription: String },
}

/// `timerTrigger`
#[derive(Debug, Clone, PartialEq)]
pub struct TimerTrigger {
    pub schedule: Schedule,
    pub run_on_startup: bool,
    pub use_monitor: bool,
}

impl FunctionApp {
    /// Reads a function app. Folders are those directly below `root`, as in Azure, or below `root/functions`, as at
    /// source. `settings` looks up app settings, with whatever defaults the caller has for them.
    ///
    /// # Errors
    /// `host.json` is unusable. A bad function folder is no error: it is listed in `refused`.
    pub fn load(root: &Path, settings: Settings) -> Result<Self, HostJsonError> {
        let host = HostJson::read(&root.join("host.json"), settings)?;
        let at_source = root.join("functions");
        let base = if at_source.is_dir() { at_source.as_path() } else { root };
        let mut folders = folders(base)?;
        if let Some(allowed) = &host.allow_list {
            folders.retain(|name| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)));
        }
        let mut app = Self { host, functions: Vec::new(), refused: Vec::new(), disabled: Vec::new() };
        for name in folders {
            let loaded = names::check_function(&name)
                .map_err(|reason| vec![reason])
                .and_then(|()| function_json::read(&base.join(&name), &name, &app.host, settings))
                .and_then(|function| app.check_conflicts(&function).map(|()| function).map_err(|reason| vec![reason]));
            match loaded {
                Err(reasons) => app.refused.push((name, reasons)),
                Ok(_) if settings::is_disabled(&name, settings) => app.disabled.push(name),
                Ok(function) => app.functions.push(function),
            }
        }
        Ok(app)
    }

    /// Two functions with one route must differ in their methods. The one whose name sorts first keeps it.
    fn check_conflicts(&self, function: &Function) -> Result<(), String> {
        let Trigger::Http(new) = &function.trigger else { return Ok(()) };
        for other in &self.functions {
            let Trigger::Http(old) = &other.trigger else { continue };
            let overlap = match (&new.methods, &old.methods) {
                (Some(new), Some(old)) => new.iter().any(|method| old.contains(method)),
                _ => true,
            };
            if overlap && new.route.text().eq_ignore_ascii_case(old.route.text()) {
                return Err(format!(
                    "the route `{}` belongs to the function `{}` already",
                    new.route.text(),
                    other.name
                ));
            }
        }
        Ok(())
    }
}

/// The names of the folders that hold a `function.json`, sorted.
fn folders(base: &Path) -> Result<Vec<String>, HostJsonError> {
    let unreadable = |source| HostJsonError::Unreadable { path: base.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(base).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.join("function.json").is_file() {
            names.extend(path.file_name().map(OsStr::to_string_lossy).map(|name| name.into_owned()));
        }
    }
    names.sort_by_cached_key(|name| name.to_ascii_lowercase());
    Ok(names)
}

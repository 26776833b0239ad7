//! `function.json`: one function's bindings, checked as the Functions host checks them. All faults are reported, where
//! the real host stops at the first.

use std::path::Path;

use http::Method;
use serde_json::Value;
use tracing::warn;

use super::{
    app::{
        AuthLevel, Function, HttpTrigger, Output, OutputKind, ServiceBusSource, ServiceBusTrigger, TimerTrigger,
        Trigger,
    },
    host_json::HostJson,
    json::{member, scalar},
    names,
    route::RouteTemplate,
    schedule::Schedule,
    settings::{self, Settings},
};
use crate::host::value::DataType;

/// Reads the function in `folder`.
pub(super) fn read(folder: &Path, name: &str, host: &HostJson, settings: Settings) -> Result<Function, Vec<String>> {
    let one = |reason: String| vec![reason];
    let text = std::fs::read_to_string(folder.join("function.json"))
        .map_err(|error| one(format!("function.json cannot be read: {error}")))?;
    let json: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| one(format!("function.json is not JSON: {error}")))?;

    let mut reasons = Vec::new();
    if let Some(script) = member(&json, "scriptFile").and_then(scalar).filter(|script| !script.is_empty())
        && !folder.join(&script).is_file()
    {
        reasons.push(format!("`scriptFile` names `{script}`, which is not there"));
    }
    if member(&json, "retry").is_some() {
        warn!(function = name, "the one-machine host ignores retry policies");
    }
    let bindings = bindings(&json, host, &mut reasons);
    let outputs = bindings.iter().filter(|binding| binding.is_output).filter_map(|binding| {
        let kind = binding.output_kind(settings).map_err(|reason| reasons.push(reason)).ok()?;
        Some(Output { name: binding.name.clone(), kind })
    });
    let outputs: Vec<Output> = outputs.collect();
    let triggers: Vec<&Binding> = bindings.iter().filter(|binding| binding.is_input && binding.is_trigger()).collect();
    let trigger = match triggers.as_slice() {
        [trigger] => {
            let reader = TriggerReader { function: name, bindings: &bindings, binding: trigger, host, settings };
            reader.read().map_err(|mut more| reasons.append(&mut more)).ok().map(|kind| (trigger, kind))
        }
        // Faulty bindings have been reported; which of them was to be the trigger is a guess.
        _ if !reasons.is_empty() => None,
        [] => {
            reasons.push("there is no trigger: exactly one binding must be one".into());
            None
        }
        several => {
            let names: Vec<&str> = several.iter().map(|binding| binding.name.as_str()).collect();
            reasons.push(format!("there are {} triggers ({}): exactly one is allowed", names.len(), names.join(", ")));
            None
        }
    };
    match trigger {
        Some((binding, trigger)) if reasons.is_empty() => {
            let connections = bindings.iter().filter_map(|binding| binding.connection(settings)).collect();
            Ok(Function { name: name.to_owned(), binding: binding.name.clone(), trigger, outputs, connections })
        }
        _ => Err(reasons),
    }
}

struct Binding<'a> {
    name: String,
    kind: String,
    is_input: bool,
    is_output: bool,
    json: &'a Value,
}

impl Binding<'_> {
    fn is(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
    }

    /// The app setting that says where its service is: SQL bindings have another word for it.
    fn connection(&self, settings: Settings) -> Option<String> {
        let named = ["connection", "connectionStringSetting"].into_iter().find_map(|key| member(self.json, key));
        let text = named?.as_str()?;
        // What does not resolve is named as it is: nothing will be found under it.
        let name = settings::resolve(text, settings).unwrap_or_else(|_| text.to_owned());
        (!name.is_empty()).then_some(name)
    }

    /// What it writes to. The sql extension wants both of its texts, and resolves settings in the first only.
    fn output_kind(&self, settings: Settings) -> Result<OutputKind, String> {
        if !self.is("sql") || self.is_input {
            return Ok(OutputKind::Other(self.kind.clone()));
        }
        let text = |key: &str| {
            let text = member(self.json, key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
            text.ok_or_else(|| format!("the sql binding `{}` has no `{key}`", self.name))
        };
        let table = settings::resolve(text("commandText")?, settings)?;
        Ok(OutputKind::Sql { table, connection: text("connectionStringSetting")?.to_owned() })
    }

    fn is_trigger(&self) -> bool {
        self.kind.to_ascii_lowercase().ends_with("trigger")
    }
}

/// The bindings that are well-formed by themselves.
fn bindings<'a>(json: &'a Value, host: &HostJson, reasons: &mut Vec<String>) -> Vec<Binding<'a>> {
    let list = member(json, "bindings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        reasons.push("there are no bindings: at least one is needed".into());
    }
    let mut bindings: Vec<Binding> = Vec::with_capacity(list.len());
    for json in list {
        match binding(json, host) {
            Ok(binding) if bindings.iter().any(|other| other.name.eq_ignore_ascii_case(&binding.name)) => {
                reasons.push(format!("two bindings are called `{}`", binding.name));
            }
            Ok(binding) => bindings.push(binding),
            Err(reason) => reasons.push(reason),
        }
    }
    bindings
}

fn binding<'a>(json: &'a Value, host: &HostJson) -> Result<Binding<'a>, String> {
    let text = |key: &str| member(json, key).and_then(Value::as_str);
    let name = text("name").unwrap_or_default();
    names::check_binding(name)?;
    let kind =
        text("type").filter(|kind| !kind.is_empty()).ok_or_else(|| format!("the binding `{name}` has no type"))?;
    names::check_type(kind, host.has_extension_bundle)?;
    let (is_input, is_output) = match text("direction").map(str::to_ascii_lowercase).as_deref() {
        Some("in") => (true, false),
        Some("out") => (false, true),
        Some("inout") => (true, true),
        Some(other) => return Err(format!("the binding `{name}` has the direction `{other}`: use in, out or inout")),
        None => return Err(format!("the binding `{name}` has no direction")),
    };
    if name == "$return" && (is_input || !is_output) {
        return Err("the binding `$return` must have the direction out".into());
    }
    Ok(Binding { name: name.to_owned(), kind: kind.to_owned(), is_input, is_output, json })
}

struct TriggerReader<'a> {
    function: &'a str,
    bindings: &'a [Binding<'a>],
    binding: &'a Binding<'a>,
    host: &'a HostJson,
    settings: Settings<'a>,
}

impl TriggerReader<'_> {
    fn read(&self) -> Result<Trigger, Vec<String>> {
        let one = |reason: String| vec![reason];
        if self.binding.is("httpTrigger") {
            self.http().map(Trigger::Http).map_err(one)
        } else if self.binding.is("timerTrigger") {
            self.timer().map(Trigger::Timer).map_err(one)
        } else if self.binding.is("serviceBusTrigger") {
            self.service_bus().map(Trigger::ServiceBus)
        } else {
            Ok(Trigger::Other(self.binding.kind.clone()))
        }
    }

    fn http(&self) -> Result<HttpTrigger, String> {
        let route = self.text("route").filter(|route| !route.trim().is_empty());
        let route = route.unwrap_or_else(|| self.function.to_owned());
        let own = route.trim_matches('/');
        let lower = own.to_ascii_lowercase();
        // By the letter, as the real host has it: `administration` is refused too.
        if lower.starts_with("admin") || lower.starts_with("runtime") {
            return Err(format!("the route `{own}` belongs to the host: none may start with admin or runtime"));
        }
        let full = format!("{}/{own}", self.host.route_prefix);
        let methods = match self.member("methods") {
            None => None,
            Some(Value::Array(list)) if list.is_empty() => None,
            Some(Value::Array(list)) => {
                let method = |value: &Value| {
                    let name = value.as_str().unwrap_or_default().to_ascii_uppercase();
                    Method::from_bytes(name.as_bytes()).map_err(|_| format!("{value} is not an HTTP method"))
                };
                Some(list.iter().map(method).collect::<Result<Vec<_>, _>>()?)
            }
            Some(other) => return Err(format!("`methods` must be a list, not {other}")),
        };
        let auth_level = match self.text("authLevel").map(|level| level.to_ascii_lowercase()).as_deref() {
            Some("anonymous") => AuthLevel::Anonymous,
            None | Some("function") => AuthLevel::Function,
            Some("admin") => AuthLevel::Admin,
            Some(other) => return Err(format!("`{other}` is no authLevel: use anonymous, function or admin")),
        };
        let mut inputs = self.bindings.iter().filter(|binding| binding.is_input);
        let mut outputs = self.bindings.iter().filter(|binding| binding.is_output);
        let only_http_out = outputs.next().is_some_and(|output| output.is("http")) && outputs.next().is_none();
        let forwarded = self.host.custom_handler.forwards_http
            && only_http_out
            && inputs.next().is_some()
            && inputs.next().is_none();
        let route = RouteTemplate::parse(full.trim_matches('/'))?;
        Ok(HttpTrigger { route, methods, auth_level, forwarded })
    }

    fn timer(&self) -> Result<TimerTrigger, String> {
        let schedule = self.resolved("schedule")?.ok_or("the timer has no schedule")?;
        Ok(TimerTrigger {
            schedule: Schedule::parse(&schedule)?,
            run_on_startup: self.flag("runOnStartup", false)?,
            use_monitor: self.flag("useMonitor", true)?,
        })
    }

    fn service_bus(&self) -> Result<ServiceBusTrigger, Vec<String>> {
        let mut reasons = Vec::new();
        let mut note = |reason: String| reasons.push(reason);
        let resolved = |key, note: &mut dyn FnMut(String)| self.resolved(key).map_err(note).ok().flatten();
        let queue = resolved("queueName", &mut note);
        let topic = resolved("topicName", &mut note);
        let subscription = resolved("subscriptionName", &mut note);
        let connection = resolved("connection", &mut note);
        let many = match self.text("cardinality").map(|text| text.to_ascii_lowercase()).as_deref() {
            None | Some("one") => false,
            Some("many") => true,
            Some(other) => {
                note(format!("`{other}` is no cardinality: use one or many"));
                false
            }
        };
        let data_type = match self.text("dataType").map(|text| text.to_ascii_lowercase()).as_deref() {
            None => None,
            Some("string") => Some(DataType::Text),
            Some("binary") => Some(DataType::Binary),
            Some(other) => {
                note(format!("`{other}` is no dataType for Service Bus: use string or binary"));
                None
            }
        };
        let max_batch = match self.member("maxMessageBatchSize").map(Value::as_u64) {
            None => self.host.max_message_batch_size,
            Some(Some(size @ 1..=100_000)) => size as usize,
            Some(_) => {
                note("`maxMessageBatchSize` must be a positive number".into());
                1
            }
        };
        let auto_complete = self.flag("autoCompleteMessages", true).map_err(&mut note).unwrap_or(true);
        let source = match (queue, topic, subscription) {
            (Some(queue), None, None) => Some(ServiceBusSource::Queue(queue)),
            (None, Some(topic), Some(subscription)) => Some(ServiceBusSource::Subscription { topic, subscription }),
            _ => None,
        };
        match source {
            Some(source) if reasons.is_empty() => Ok(ServiceBusTrigger {
                source,
                connection: connection.unwrap_or_else(|| "AzureWebJobsServiceBus".into()),
                max_batch: many.then_some(max_batch),
                data_type,
                auto_complete,
            }),
            // An unresolved setting explains the missing name.
            None if reasons.is_empty() => {
                Err(vec!["a Service Bus trigger needs either `queueName` or `topicName` and `subscriptionName`".into()])
            }
            _ => Err(reasons),
        }
    }

    fn member(&self, key: &str) -> Option<&Value> {
        member(self.binding.json, key)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.member(key).and_then(Value::as_str).map(str::to_owned)
    }

    /// A value in which `%SETTING%` counts.
    fn resolved(&self, key: &str) -> Result<Option<String>, String> {
        let text = self.text(key).filter(|text| !text.is_empty());
        text.map(|text| settings::resolve(&text, self.settings)).transpose()
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.member(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(format!("`{key}` must be true or false, not {other}")),
        }
    }
}

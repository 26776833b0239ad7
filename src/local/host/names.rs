//! What functions, bindings and binding types may be called.

/// A folder's name: a letter, then up to 127 letters, digits, `_` or `-`; and not `host`.
pub(super) fn check_function(name: &str) -> Result<(), String> {
    let valid = starts_with_letter(name)
        && name.len() <= 128
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !valid {
        return Err(format!(
            "`{name}` is no function name: a letter, then at most 127 letters, digits, underscores or hyphens"
        ));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err("a function cannot be called `host`".into());
    }
    Ok(())
}

/// A binding's name: a letter, then up to 127 letters or digits; or `$return`.
pub(super) fn check_binding(name: &str) -> Result<(), String> {
    let valid = name == "$return"
        || starts_with_letter(name) && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if valid {
        return Ok(());
    }
    Err(format!(
        "`{name}` is no binding name: a letter, then at most 127 letters or digits (no underscore), or $return"
    ))
}

fn starts_with_letter(name: &str) -> bool {
    name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
}

/// Binding types that need no extension bundle.
const BUILT_IN: &[&str] = &["httpTrigger", "http", "timerTrigger"];

/// Binding types of the extension bundle, version 4.
const BUNDLED: &[&str] = &[
    "serviceBusTrigger",
    "serviceBus",
    "queueTrigger",
    "queue",
    "table",
    "blobTrigger",
    "blob",
    "cosmosDBTrigger",
    "cosmosDB",
    "eventHubTrigger",
    "eventHub",
    "eventGridTrigger",
    "eventGrid",
    "kafkaTrigger",
    "kafka",
    "rabbitMQTrigger",
    "rabbitMQ",
    "sqlTrigger",
    "sql",
    "mysqlTrigger",
    "mysql",
    "signalRTrigger",
    "signalR",
    "signalRConnectionInfo",
    "webPubSubTrigger",
    "webPubSub",
    "webPubSubConnection",
    "webPubSubContext",
    "sendGrid",
    "twilioSms",
    "durableClient",
    "orchestrationTrigger",
    "activityTrigger",
    "entityTrigger",
];

/// Whether an extension knows the binding type.
pub(super) fn check_type(type_name: &str, has_bundle: bool) -> Result<(), String> {
    let among = |types: &[&str]| types.iter().any(|known| known.eq_ignore_ascii_case(type_name));
    if among(BUILT_IN) || has_bundle && among(BUNDLED) {
        return Ok(());
    }
    Err(if among(BUNDLED) {
        format!("the binding type `{type_name}` needs `extensionBundle` in host.json")
    } else {
        format!("no extension knows the binding type `{type_name}`")
    })
}

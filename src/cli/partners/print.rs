//! Partners as people read them.

use serde_json::Value;

/// One line each.
pub(super) fn list(partners: &Value) -> String {
    let partners = partners.as_array().map(Vec::as_slice).unwrap_or_default();
    if partners.is_empty() {
        return "no partners: add one with `sluice partners add NAME --endpoint URL`\n".to_owned();
    }
    let mut out = format!("{:<24} {:<9} {:<44} wants\n", "partner", "state", "endpoint");
    for partner in partners {
        let settings = &partner["settings"];
        let wants = [text(&settings["channels"]), text(&settings["events"]), text(&settings["vendors"])];
        let wants: Vec<_> = wants.into_iter().filter(|filter| !filter.is_empty()).collect();
        let wants = if wants.is_empty() { "everything".to_owned() } else { wants.join("; ") };
        let (name, state, endpoint) = (text(&partner["name"]), text(&partner["state"]), text(&settings["endpoint"]));
        out.push_str(&format!("{name:<24} {state:<9} {endpoint:<44} {wants}\n"));
    }
    out
}

/// Everything there is to know.
pub(super) fn partner(partner: &Value) -> String {
    let settings = &partner["settings"];
    let mut out = format!("{}\n", text(&partner["name"]));
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            out.push_str(&format!("  {name:<12} {value}\n"));
        }
    };
    line("endpoint", text(&settings["endpoint"]));
    let state = match text(&partner["reason"]) {
        reason if reason.is_empty() => text(&partner["state"]),
        reason => format!("{} since {}: {reason}", text(&partner["state"]), text(&partner["since"])),
    };
    line("state", state);
    for filter in ["channels", "events", "vendors"] {
        let value = text(&settings[filter]);
        line(filter, if value.is_empty() { "all".to_owned() } else { value });
    }
    line("format", text(&settings["format"]));
    let headers = settings["headers"].as_object().into_iter().flatten();
    line("headers", headers.map(|(name, value)| format!("{name}: {}", text(value))).collect::<Vec<_>>().join(", "));
    let rate = settings["rate"].as_u64().unwrap_or_default();
    line("rate", if rate == 0 { "no limit".to_owned() } else { format!("{rate}/s") });
    line("concurrency", text(&settings["concurrency"]));
    line("timeout", text(&settings["timeout"]));
    line("schedule", text(&settings["schedule"]));
    line("internal", if settings["allow_internal"] == true { "allowed".to_owned() } else { String::new() });
    line("generation", text(&partner["generation"]));
    for former in partner["former"].as_array().into_iter().flatten() {
        line("former", format!("generation {} until {}", text(&former["generation"]), text(&former["until"])));
    }
    line("public key", text(&partner["public_key"]));
    line("secret", text(&partner["secret"]));
    out
}

/// What came of a sample event.
pub(super) fn sample(report: &Value) -> String {
    let status =
        report["status"].as_u64().map_or_else(|| "no answer".to_owned(), |status| format!("answered {status}"));
    let mut out = format!(
        "{} {}: {status} after {} ms: {}\n",
        text(&report["event_type"]),
        text(&report["event_id"]),
        text(&report["latency_ms"]),
        text(&report["outcome"])
    );
    if let Some(response) = report["response"].as_str() {
        // An endpoint's words must not steer the terminal.
        let shown: String = response.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        out.push_str(&format!("\n{shown}\n"));
    }
    out
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

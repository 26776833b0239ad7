//! What the host makes of a handler's answer.

use http::StatusCode;
use serde_json::{Map, Value};

use super::result::InvocationResult;

/// Why an answer is not a success. For the trigger all are alike: its messages come again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// The handler says that it failed.
    #[error("the handler answered {0}")]
    Status(StatusCode),
    /// In Azure this invocation would hang until its timeout, and the handler would then be killed.
    #[error("the handler answered {0} with an empty or null body: the Functions host would hang on it. Answer `{{}}`")]
    Hang(StatusCode),
    /// The host reads nothing but `application/json` and `text/json`.
    #[error("the handler answered with the content type `{0}` instead of application/json")]
    ContentType(String),
    /// The body is not the JSON object of the contract.
    #[error("the handler's answer is not an invocation result: {0}")]
    Malformed(String),
}

impl BadAnswer {
    /// Whether the handler breaks the contract, as opposed to reporting a failure by it.
    pub fn breaks_the_contract(&self) -> bool {
        !matches!(self, Self::Status(status) if status.is_server_error())
    }
}

/// Judges an answer as the host does.
///
/// # Errors
/// Anything but a 2xx with a JSON object in it.
pub fn judge(status: StatusCode, content_type: Option<&str>, body: &[u8]) -> Result<InvocationResult, BadAnswer> {
    if !status.is_success() {
        return Err(BadAnswer::Status(status));
    }
    // Before the content type: an empty body has none, and of the two faults this is the one that kills.
    if matches!(body.trim_ascii(), b"" | b"null") {
        return Err(BadAnswer::Hang(status));
    }
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !["application/json", "text/json"].iter().any(|known| media_type.eq_ignore_ascii_case(known)) {
        return Err(BadAnswer::ContentType(content_type.unwrap_or_default().to_owned()));
    }
    let members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| BadAnswer::Malformed(error.to_string()))?;
    let mut result = InvocationResult::default();
    for (name, value) in members {
        // Top-level names count in any case; names within `Outputs` are exact.
        match (name.to_ascii_lowercase().as_str(), value) {
            (_, Value::Null) => {}
            ("outputs", Value::Object(outputs)) => result.outputs = outputs,
            ("logs", Value::Array(logs)) => result.logs = logs.into_iter().map(log_line).collect(),
            ("outputs" | "logs", _) => {
                return Err(BadAnswer::Malformed(format!("`{name}` has the wrong type")));
            }
            ("returnvalue", value) => result.return_value = Some(value),
            _ => {}
        }
    }
    Ok(result)
}

fn log_line(value: Value) -> String {
    match value {
        Value::String(line) => line,
        other => other.to_string(),
    }
}

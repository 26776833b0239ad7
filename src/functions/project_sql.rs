//! `project-sql`: Service Bus trigger, subscription `sql` of the deliveries topic; its output binding writes to SQL.

use serde_json::Value;

use super::{MESSAGES, PAUSE_BEFORE_REDELIVERY, ROWS};
use crate::{
    app::App,
    host::{Invocation, InvocationFailure, InvocationResult},
    projection::project,
};

pub(super) async fn handle(app: &App, call: &Invocation<'_>) -> Result<InvocationResult, InvocationFailure> {
    let messages = call.service_bus_batch(MESSAGES)?;
    let projected = match project(app, &messages).await {
        Ok(projected) => projected,
        Err(error) => {
            tokio::time::sleep(PAUSE_BEFORE_REDELIVERY).await;
            return Err(InvocationFailure::new(error.to_string()));
        }
    };
    tracing::debug!(
        messages = messages.len(),
        rows = projected.rows.len(),
        kept = projected.kept,
        "a batch is projected"
    );
    let mut result = InvocationResult::default();
    // Without rows the binding need not be written, and the database not be asked.
    if !projected.rows.is_empty() {
        let rows = projected.rows.into_iter().map(Value::Object).collect();
        result.outputs.insert(ROWS.to_owned(), rows);
    }
    Ok(result)
}

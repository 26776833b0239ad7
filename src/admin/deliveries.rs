//! `/manage/deliveries`: how partners fare.

use axum::http::Method;
use serde_json::json;

use super::{Call, Refusal, Reply, Resource};
use crate::{app::App, delivery::report};

pub(super) const RESOURCE: Resource = Resource {
    name: "deliveries",
    summary: "GET /manage/deliveries?partner=: success, latency, breaker and retries of each partner",
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: &App, call: Call) -> Result<Reply, Refusal> {
    call.expect_end()?;
    call.expect_method(&[Method::GET])?;
    let only = call.parameter("partner");
    // What this process counted since it last wrote its counters down.
    app.meter.flush(app.documents.as_ref()).await;
    let reports = report::read(app.documents.as_ref(), only).await?;
    match only {
        Some(name) if reports.is_empty() => Err(Refusal::NotFound(format!("there is no partner {name}"))),
        _ => Ok(Reply::ok(json!({ "partners": reports }))),
    }
}

//! `/manage/audit`: what operators did.

use axum::http::Method;
use serde_json::json;

use super::{Call, Refusal, Reply, Resource};
use crate::{app::App, audit};

/// Entries in one answer, unless asked otherwise.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

pub(super) const RESOURCE: Resource = Resource {
    name: "audit",
    summary: "GET /manage/audit?since=&until=&limit=&continuation=: who did what, oldest first",
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: &App, call: Call) -> Result<Reply, Refusal> {
    call.expect_end()?;
    call.expect_method(&[Method::GET])?;
    let (since, until) = (call.time("since")?, call.time("until")?);
    let limit = call.number("limit")?.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let continuation = call.parameter("continuation").map(str::to_owned);
    let page = audit::list(app.documents.as_ref(), since, until, limit, continuation).await?;
    let entries = page.documents.iter().map(audit::parse).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::ok(json!({ "entries": entries, "continuation": page.continuation })))
}

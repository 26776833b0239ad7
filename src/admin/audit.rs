//! `/manage/audit`: what operators did.

use axum::http::Method;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Call, Operation, Operator, Refusal, Resource, describe::in_query, operation::does};
use crate::{
    app::App,
    audit::{self, AuditRecord},
    clock::Timestamp,
    openapi::shape,
};

/// Entries in one answer, unless asked otherwise.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

pub(super) const RESOURCE: Resource = Resource {
    name: "audit",
    summary: "what operators did",
    operations: &[Operation {
        method: Method::GET,
        path: "audit",
        summary: "Who did what, oldest first",
        parameters: &[
            in_query("since", "Not before.", shape::<Timestamp>),
            in_query("until", "Not after.", shape::<Timestamp>),
            in_query("limit", "Entries in the answer: 1 to 1000, by default 100.", shape::<usize>),
            in_query("continuation", "Where the answer before this one ended.", shape::<String>),
        ],
        operator: Operator::Optional,
        refused: &[],
        does: does!(list() -> OK Entries),
    }],
};

/// A page of the operators' log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEntries")]
struct Entries {
    entries: Vec<AuditRecord>,
    /// Asks for what follows; null at the end.
    continuation: Option<String>,
}

async fn list(app: &App, call: &Call) -> Result<Entries, Refusal> {
    let (since, until) = (call.time("since")?, call.time("until")?);
    let limit = call.number("limit")?.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let continuation = call.parameter("continuation").map(str::to_owned);
    let page = audit::list(app.documents.as_ref(), since, until, limit, continuation).await?;
    let entries = page.documents.iter().map(audit::parse).collect::<Result<Vec<_>, _>>()?;
    Ok(Entries { entries, continuation: page.continuation })
}

//! `/manage/deliveries`: how partners fare.

use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Call, Operation, Operator, Refusal, Resource, describe::in_query, operation::does};
use crate::{
    app::App,
    delivery::report::{self, PartnerReport},
    openapi::shape,
};

pub(super) const RESOURCE: Resource = Resource {
    name: "deliveries",
    summary: "how partners fare",
    operations: &[Operation {
        method: Method::GET,
        path: "deliveries",
        summary: "Success, latency, breaker and retries of each partner",
        parameters: &[in_query("partner", "This one alone.", shape::<String>)],
        operator: Operator::Optional,
        refused: &[(StatusCode::NOT_FOUND, "There is no such partner.")],
        does: does!(read() -> OK Reports),
    }],
};

/// How partners fare.
#[derive(Serialize, JsonSchema)]
struct Reports {
    partners: Vec<PartnerReport>,
}

async fn read(app: &App, call: &Call) -> Result<Reports, Refusal> {
    let only = call.parameter("partner");
    // What this process counted since it last wrote its counters down.
    app.meter.flush(app.documents.as_ref()).await;
    let partners = report::read(app.documents.as_ref(), only).await?;
    match only {
        Some(name) if partners.is_empty() => Err(Refusal::NotFound(format!("there is no partner {name}"))),
        _ => Ok(Reports { partners }),
    }
}

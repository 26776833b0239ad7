//! `/manage`: what there is.

use axum::http::Method;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Call, Operation, Operator, RESOURCES, Refusal, Resource, operation::does};
use crate::app::App;

pub(super) const RESOURCE: Resource = Resource {
    name: "",
    summary: "what there is",
    operations: &[Operation {
        method: Method::GET,
        path: "",
        summary: "What operators can look at and change here",
        parameters: &[],
        operator: Operator::Optional,
        refused: &[],
        does: does!(list() -> OK Index),
    }],
};

/// What there is below `/manage`.
#[derive(Serialize, JsonSchema)]
struct Index {
    /// Of the program.
    version: &'static str,
    resources: Vec<Entry>,
}

/// A resource.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Resource")]
struct Entry {
    path: String,
    summary: &'static str,
    operations: Vec<Line>,
}

/// Something that can be asked of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ResourceOperation")]
struct Line {
    method: String,
    path: String,
    summary: &'static str,
}

async fn list(_: &App, _: &Call) -> Result<Index, Refusal> {
    let line = |operation: &Operation| Line {
        method: operation.method.to_string(),
        path: format!("/manage/{}", operation.path),
        summary: operation.summary,
    };
    let entry = |resource: &Resource| Entry {
        path: format!("/manage/{}", resource.name),
        summary: resource.summary,
        operations: resource.operations.iter().map(line).collect(),
    };
    let resources = RESOURCES.iter().filter(|resource| !resource.name.is_empty()).map(entry).collect();
    Ok(Index { version: env!("CARGO_PKG_VERSION"), resources })
}

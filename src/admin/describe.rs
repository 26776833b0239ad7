//! The operators' API as OpenAPI tells it.

use axum::http::StatusCode;

use super::{Operation, Operator, RESOURCES, call::LONGEST_NAME};
use crate::openapi::{self, Answer, At, Parameter, shape};

const OPERATOR: Parameter = Parameter {
    at: At::Header,
    name: super::OPERATOR_HEADER,
    required: false,
    meaning: "Who asks: 1 to 100 visible ASCII characters and spaces. Whoever changes something, or reads what a person \
              wrote, is in the audit log by this name.",
    shape: |_| schemars::json_schema!({ "type": "string", "pattern": format!("^[!-~]([ -~]{{0,{}}}[!-~])?$", LONGEST_NAME - 2) }),
};

/// Every operation, below the function's own segment (`manage`).
pub fn operations(segment: &str) -> Vec<openapi::Operation> {
    let operations = RESOURCES.iter().flat_map(|resource| resource.operations);
    operations.map(|operation| operation.described(segment)).collect()
}

impl Operation {
    /// As OpenAPI tells it.
    pub fn described(&self, segment: &str) -> openapi::Operation {
        let path = format!("/{segment}/{}", self.path);
        let required = self.operator == Operator::Required;
        let mut answers = vec![
            Answer::json(self.does.status, "It is done, or this is how it is.", self.does.answer),
            Answer::problem(StatusCode::BAD_REQUEST, "Something in the request cannot be meant; the detail says what."),
        ];
        answers.extend(self.refused.iter().map(|(status, when)| Answer::problem(*status, when)));
        answers.push(Answer::later("A store or the broker failed. Whether a change happened may be unknown."));
        openapi::Operation {
            method: self.method.clone(),
            path: path.trim_end_matches('/').to_owned().into(),
            summary: self.summary,
            description: "".into(),
            tag: "operators",
            parameters: self.parameters.iter().copied().chain([Parameter { required, ..OPERATOR }]).collect(),
            body: self.does.body.map(|shape| ("application/json", shape)),
            answers,
        }
    }
}

/// A parameter of the path.
pub(super) const fn in_path(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { at: At::Path, name, required: true, meaning, shape: shape::<String> }
}

/// A parameter of the query.
pub(super) const fn in_query(name: &'static str, meaning: &'static str, shape: openapi::Shape) -> Parameter {
    Parameter { at: At::Query, name, required: false, meaning, shape }
}

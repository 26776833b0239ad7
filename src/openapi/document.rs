//! The document, put together from what the functions say of themselves.

use http::StatusCode;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{Answer, At, Content, Operation, Parameter, Shape, plain};
use crate::{
    functions::{Entry, FUNCTIONS},
    host::{Invocation, InvocationFailure, InvocationResult, key::KEY_HEADER},
    problem::Problem,
};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Vendors, probes and operators, in Azure and on one machine.
    World,
    /// The Functions host, which calls the custom handler (`sluice serve`): beside what it forwards.
    FunctionsHost,
}

/// The OpenAPI document of what is answered there.
pub fn document(place: Place) -> Value {
    let mut shapes = Shapes::default();
    let mut paths = Map::new();
    for (operation, keyed) in operations(place) {
        let path = paths.entry(operation.path.to_string()).or_insert_with(|| json!({}));
        let method = operation.method.as_str().to_ascii_lowercase();
        let earlier = path[&method].take();
        assert!(earlier.is_null(), "{method} {} is described twice", operation.path);
        path[method] = shapes.operation(&operation, keyed);
    }
    let (title, about) = match place {
        Place::World => ("Sluice", WORLD),
        Place::FunctionsHost => ("Sluice, the custom handler", FUNCTIONS_HOST),
    };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": env!("CARGO_PKG_VERSION"),
            "description": about,
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "http://127.0.0.1:7071", "description": "the one-machine system, as it starts" }],
        "tags": TAGS.iter().map(|(name, meaning)| json!({ "name": name, "description": meaning })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": shapes.take(),
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "header", "name": KEY_HEADER, "description": KEY },
                "code": { "type": "apiKey", "in": "query", "name": "code", "description": "The same, where there is no such header." },
            },
        },
    })
}

const WORLD: &str = "What vendors, probes and operators can ask. Made from the code by `sluice openapi`. A method that a path \
                     does not have here is answered 404, as the Functions host does.";
const FUNCTIONS_HOST: &str = "What the Functions host asks of the custom handler on the loopback, beside the world's requests, which it forwards as they came. Nobody else can reach it in \
                              Azure. Made from the code by `sluice openapi --custom-handler`.";
const KEY: &str =
    "On one machine and behind `func start` that of `[admin]` in sluice.toml; in Azure a key of the function.";
const TAGS: &[(&str, &str)] = &[
    ("vendors", "Callbacks, and what vendors ask of a URL before they use it"),
    ("health", "Whether the instance can do its work"),
    ("operators", "What failed, what is replayed, who receives events"),
    ("host", "The Functions host, or what stands in for it"),
];

/// Everything that is answered there, and whether it takes a key.
fn operations(place: Place) -> Vec<(Operation, bool)> {
    let mut operations = vec![(root(place), false)];
    if place == Place::World {
        operations.push((metrics(), true));
    }
    for function in FUNCTIONS {
        match (function.entry, place) {
            (Entry::Http(segment, _, describe), Place::World) => {
                operations.extend(describe(segment).into_iter().map(|operation| (operation, false)));
            }
            (Entry::Keyed(segment, _, describe), Place::World) => {
                operations.extend(describe(segment).into_iter().map(|operation| (operation, true)));
            }
            (Entry::Invocation(_), Place::FunctionsHost) => operations.push((invocation(function.name), false)),
            // Function names are no paths: what is behind a queue or a timer cannot be reached from outside.
            (Entry::Invocation(_), Place::World) => {}
            // Forwarded as they came.
            (Entry::Http(..) | Entry::Keyed(..), Place::FunctionsHost) => {}
        }
    }
    operations
}

fn root(place: Place) -> Operation {
    let (summary, answers) = match place {
        Place::World => (
            "A page that says that the host is up",
            vec![
                Answer { content: Content::Text, ..Answer::bare(StatusCode::OK, "It is up.") },
                Answer::bare(
                    StatusCode::NO_CONTENT,
                    "It is up, and the app setting AzureWebJobsDisableHomepage is set.",
                ),
            ],
        ),
        Place::FunctionsHost => ("Whether the handler is up", vec![Answer::bare(StatusCode::OK, "It is up.")]),
    };
    Operation {
        method: http::Method::GET,
        path: "/".into(),
        summary,
        description: "".into(),
        tag: "host",
        parameters: Vec::new(),
        body: None,
        answers,
    }
}

/// Answered by the one-machine host itself.
fn metrics() -> Operation {
    Operation {
        method: http::Method::GET,
        path: "/metrics".into(),
        summary: "The metrics, as Prometheus reads them",
        description: "On one machine only. The key may also come as a bearer token, which is what scrapers can send."
            .into(),
        tag: "operators",
        parameters: Vec::new(),
        body: None,
        answers: vec![Answer { content: Content::Text, ..Answer::bare(StatusCode::OK, "The metrics now.") }],
    }
}

fn invocation(name: &'static str) -> Operation {
    Operation {
        method: http::Method::POST,
        path: format!("/{name}").into(),
        summary: "An invocation by a trigger",
        description: format!(
            "Of the function {name}. Anything but a 200 makes the host give the trigger's messages out again."
        )
        .into(),
        tag: "host",
        parameters: Vec::new(),
        body: Some(("application/json", Invocation::shape)),
        answers: vec![
            Answer::json(StatusCode::OK, "It is done.", super::shape::<InvocationResult>),
            Answer::json(
                StatusCode::INTERNAL_SERVER_ERROR,
                "It failed, and should come again.",
                super::shape::<InvocationFailure>,
            ),
        ],
    }
}

/// The shapes of what is read, and of what is written: a field with a default may be absent from the one only.
struct Shapes {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Default for Shapes {
    fn default() -> Self {
        let settings = || {
            let mut settings = SchemaSettings::draft2020_12();
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }
}

impl Shapes {
    fn operation(&mut self, operation: &Operation, keyed: bool) -> Value {
        let mut described = json!({
            "operationId": id(operation),
            "summary": operation.summary,
            "tags": [operation.tag],
            "parameters": operation.parameters.iter().map(|one| self.parameter(one)).collect::<Vec<_>>(),
            "responses": self.answers(operation, keyed),
        });
        if !operation.description.is_empty() {
            described["description"] = json!(operation.description);
        }
        if let Some((media_type, shape)) = operation.body {
            described["requestBody"] = json!({ "content": { media_type: { "schema": shape(&mut self.read) } } });
        }
        if keyed {
            described["security"] = json!([{ "key": [] }, { "code": [] }]);
        }
        described
    }

    fn parameter(&mut self, parameter: &Parameter) -> Value {
        let place = match parameter.at {
            At::Path => "path",
            At::Query => "query",
            At::Header => "header",
        };
        json!({
            "name": parameter.name,
            "in": place,
            "required": parameter.required,
            "description": parameter.meaning,
            "schema": (parameter.shape)(&mut self.read),
        })
    }

    fn answers(&mut self, operation: &Operation, keyed: bool) -> Value {
        let mut answers = Map::new();
        let refused = keyed.then(|| Answer::bare(StatusCode::UNAUTHORIZED, "The key is missing or wrong."));
        for answer in operation.answers.iter().chain(&refused) {
            let mut described = json!({ "description": answer.meaning });
            if let Some((media_type, shape)) = content(answer.content) {
                described["content"] = json!({ media_type: { "schema": shape(&mut self.written) } });
            }
            for header in answer.headers {
                described["headers"][header.name] = json!({
                    "description": header.meaning,
                    "required": header.always,
                    "schema": (header.shape)(&mut self.written),
                });
            }
            let earlier = answers.insert(answer.status.as_str().to_owned(), described);
            assert!(earlier.is_none(), "{} {} is described twice", operation.path, answer.status);
        }
        answers.into()
    }

    /// Every shape that has a name.
    fn take(mut self) -> Value {
        let mut all = Map::new();
        for (name, shape) in self.read.take_definitions(true).into_iter().chain(self.written.take_definitions(true)) {
            let shape = told(shape);
            let earlier = all.insert(name.clone(), shape.clone());
            assert!(earlier.is_none_or(|earlier| earlier == shape), "{name} is read and written in different shapes");
        }
        all.into()
    }
}

fn content(content: Content) -> Option<(&'static str, Shape)> {
    match content {
        Content::Undescribed => None,
        Content::Json(shape) => Some(("application/json", shape)),
        Content::Text => Some(("text/plain", super::shape::<String>)),
        Content::Problem => Some(("application/problem+json", super::shape::<Problem<'static>>)),
    }
}

/// `get_manage_partners_name`
fn id(operation: &Operation) -> String {
    let words = operation.path.split(|character: char| !character.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let words = if words.is_empty() { "root".to_owned() } else { words.join("_") };
    format!("{}_{words}", operation.method.as_str().to_ascii_lowercase())
}

/// Descriptions are doc comments: here for readers without rustdoc.
fn told(mut shape: Value) -> Value {
    match &mut shape {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = plain(text);
            }
            members.values_mut().for_each(|member| *member = told(member.take()));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| *value = told(value.take())),
        _ => {}
    }
    shape
}
